import numpy as np
import pytest
from scipy import stats

from whybench.bench.statistics import bootstrap_intervals


def test_agrees_with_scipy():
    values = np.random.default_rng(1).beta(2, 5, size=200)
    own = bootstrap_intervals(values[:, None])[:, 0]
    other = stats.bootstrap((values,), np.mean, n_resamples=10_000, method="percentile", rng=2).confidence_interval
    width = other.high - other.low
    assert own == pytest.approx([other.low, other.high], abs=0.03 * width)


def test_the_same_examples_are_drawn_for_every_column_and_call():
    values = np.random.default_rng(3).normal(size=(50, 2))
    both = bootstrap_intervals(values)
    alone = np.column_stack([bootstrap_intervals(values[:, [i]])[:, 0] for i in range(2)])
    np.testing.assert_allclose(both, alone, atol=1e-12)
    shifted = bootstrap_intervals(np.column_stack((values[:, 0], values[:, 0] + 1)))
    np.testing.assert_allclose(shifted[:, 0] + 1, shifted[:, 1], atol=1e-12)


def test_a_constant_has_no_width():
    np.testing.assert_allclose(bootstrap_intervals(np.full((7, 1), 0.3))[:, 0], [0.3, 0.3], atol=1e-12)


def test_coverage():
    """Of 95 % intervals for means of 100 draws, between 92 and 97.5 % hold the true mean (300 trials)."""
    random = np.random.default_rng(5)
    samples = random.exponential(size=(100, 300))
    low, high = bootstrap_intervals(samples)
    share = np.mean((low <= 1) & (high >= 1))
    assert 0.92 <= share <= 0.975
