import numpy as np
import pytest
from scipy import stats

from whybench.bench import statistics
from whybench.bench.statistics import bootstrap_intervals, percentile_intervals, resampled_means


def test_agrees_with_scipy():
    values = np.random.default_rng(1).beta(2, 5, size=200)
    own = bootstrap_intervals(values[:, None])[:, 0]
    other = stats.bootstrap((values,), np.mean, n_resamples=10_000, method="percentile", rng=2).confidence_interval
    width = other.high - other.low
    assert own == pytest.approx([other.low, other.high], abs=0.03 * width)


@pytest.mark.parametrize("shape", [(1,), (2,), (3, 7), (2, 41), (4, 10_000), (2, 21_620)])
def test_percentiles_are_numpys(shape):
    drawn = np.random.default_rng(5).normal(size=shape).round(2)
    before = drawn.copy()
    tail = 100 * (1 - statistics.LEVEL) / 2
    np.testing.assert_array_equal(percentile_intervals(drawn), np.percentile(drawn, [tail, 100 - tail], axis=-1))
    np.testing.assert_array_equal(drawn, before)


def test_the_same_examples_are_drawn_for_every_column_and_call():
    values = np.random.default_rng(3).normal(size=(50, 2))
    both = bootstrap_intervals(values)
    alone = np.column_stack([bootstrap_intervals(values[:, [i]])[:, 0] for i in range(2)])
    np.testing.assert_allclose(both, alone, atol=1e-12)
    shifted = bootstrap_intervals(np.column_stack((values[:, 0], values[:, 0] + 1)))
    np.testing.assert_allclose(shifted[:, 0] + 1, shifted[:, 1], atol=1e-12)


def test_a_constant_has_no_width():
    np.testing.assert_allclose(bootstrap_intervals(np.full((7, 1), 0.3))[:, 0], [0.3, 0.3], atol=1e-12)


def test_a_resample_is_drawn_one_by_one():
    values = np.random.default_rng(4).normal(size=(7, 2))
    generator = np.random.default_rng([3, 1])
    plain = [np.mean([values[i] for i in generator.integers(7, size=7)], axis=0) for _ in range(50)]
    np.testing.assert_allclose(resampled_means(values, seed=[3, 1], resamples=50), plain, atol=1e-12)


def test_many_examples_are_drawn_in_parts(monkeypatch):
    values = np.random.default_rng(4).normal(size=(70, 2))
    whole = resampled_means(values, resamples=100)
    monkeypatch.setattr(statistics, "_DRAWS", 400)
    np.testing.assert_allclose(resampled_means(values, resamples=100), whole, atol=1e-12)


# like figures: bounded and skewed, some of them 0 on most examples; with their means
SHAPES = {
    "beta(2, 5)": (lambda random, size: random.beta(2, 5, size), 2 / 7),
    "beta(1/2, 2)": (lambda random, size: random.beta(0.5, 2, size), 0.2),
    "beta(1/2, 1/2)": (lambda random, size: random.beta(0.5, 0.5, size), 0.5),
    "mostly zero": (lambda random, size: random.beta(2, 3, size) * (random.random(size) > 0.7), 0.12),
}


@pytest.mark.parametrize("examples", [100, 200])
@pytest.mark.parametrize("shape", SHAPES)
def test_coverage(shape, examples):
    """Of 95 % intervals for means and for differences of pairs, 93 to 97 % hold the truth (4,000 trials each)."""
    draw, mean = SHAPES[shape]
    random = np.random.default_rng([5, examples])
    held, differences = 0, 0
    for seed in range(4):
        one, other = (draw(random, (examples, 1000)) for _ in range(2))
        low, high = bootstrap_intervals(one, seed=seed, resamples=1000)
        held += np.sum((low <= mean) & (mean <= high))
        # a second method, worse, that finds the same examples easy
        low, high = bootstrap_intervals(one - (0.5 * one + 0.3 * other), seed=seed, resamples=1000)
        differences += np.sum((low <= 0.2 * mean) & (0.2 * mean <= high))
    assert 0.93 <= held / 4000 <= 0.97
    assert 0.93 <= differences / 4000 <= 0.97


@pytest.mark.parametrize(
    ("draw", "mean", "examples", "least", "most"),
    [
        (*SHAPES["beta(2, 5)"], 10, 0.88, 0.92),
        (*SHAPES["beta(1/2, 2)"], 10, 0.85, 0.90),
        (*SHAPES["mostly zero"], 10, 0.83, 0.88),
        (lambda random, size: random.beta(2, 3, size) * (random.random(size) > 0.9), 0.04, 100, 0.905, 0.935),
    ],
)
def test_where_coverage_is_too_low(draw, mean, examples, least, most):
    """What docs/protocol.md warns of: few examples, and figures that are 0 on nearly all of them."""
    random = np.random.default_rng([6, examples])
    intervals = [bootstrap_intervals(draw(random, (examples, 1000)), seed=seed, resamples=1000) for seed in range(4)]
    assert least <= np.mean([(low <= mean) & (mean <= high) for low, high in intervals]) <= most
