"""Golden vectors, computed by hand."""

import numpy as np
import pytest

from whybench.bench.curves import Curves, grid_of, k_of
from whybench.bench.errors import ParameterError, UnknownNameError
from whybench.bench.metrics import METRICS, metrics_named


def curves(removed, kept, flipped):
    n = len(removed) - 1
    everything = np.arange(n + 1)
    return Curves(n, everything, np.array(removed), np.array(flipped, dtype=bool), everything, np.array(kept))


FIVE = curves(
    removed=[0.9, 0.8, 0.5, 0.4, 0.2, 0.1],
    kept=[0.1, 0.3, 0.7, 0.8, 0.85, 0.9],
    flipped=[False, False, False, True, True, True],
)
ONE = curves(removed=[0.6, 0.5], kept=[0.5, 0.6], flipped=[False, False])

# n = 5: k(q) = 1, 1, 1, 1, 3, as .20·5 is 1 and .50·5 rounds up to 3.
# The grid ⌈t·5⌉ is 0 1 1 2 2 3 3 4 4 5 5.
GOLDEN = [
    # (4·(.9 − .8) + (.9 − .4)) / 5
    ("comprehensiveness", FIVE, 0.18),
    # (4·(.9 − .3) + (.9 − .8)) / 5
    ("sufficiency", FIVE, 0.50),
    # heights .9 .8 .8 .5 .5 .4 .4 .2 .2 .1 .1: (4.9 − (.9 + .1) / 2) / 10
    ("deletion_auc", FIVE, 0.44),
    # heights .1 .3 .3 .7 .7 .8 .8 .85 .85 .9 .9: (7.2 − (.1 + .9) / 2) / 10
    ("insertion_auc", FIVE, 0.67),
    # the third removal is the first that changes the argmax
    ("decision_flip", FIVE, 0.6),
    ("never_flips", FIVE, 0.0),
    # n = 1: every threshold is the whole text
    ("comprehensiveness", ONE, 0.1),
    ("sufficiency", ONE, 0.0),
    # heights .6 and ten times .5: (5.6 − 1.1 / 2) / 10
    ("deletion_auc", ONE, 0.505),
    ("insertion_auc", ONE, 0.595),
    ("decision_flip", ONE, 1.0),
    ("never_flips", ONE, 1.0),
]


@pytest.mark.parametrize(("name", "given", "expected"), GOLDEN)
def test_golden_vectors(name, given, expected):
    assert METRICS[name].value(given) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("percent", "n", "k"),
    [(1, 1, 1), (1, 100, 1), (1, 101, 2), (5, 20, 1), (5, 21, 2), (10, 70, 7), (20, 5, 1), (50, 5, 3), (50, 1, 1)],
)
def test_thresholds_are_computed_in_integers(percent, n, k):
    assert k_of(percent, n) == k


def test_the_grid_has_both_ends():
    assert grid_of(7) == [0, 1, 2, 3, 3, 4, 5, 5, 6, 7, 7]
    assert grid_of(70)[1] == 7  # .1·70 is above 7 in floating point


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda m: m.name)
def test_a_metric_asks_for_the_sizes_that_it_reads(metric):
    for n in (1, 2, 5, 13, 70):
        needs = metric.needs(n)
        removed = np.array(sorted({0, *needs.get("removed", ())}))
        kept = np.array(sorted(needs.get("kept", ())), dtype=int)
        recorded = Curves(
            n, removed, np.full(len(removed), 0.5), np.zeros(len(removed), bool), kept, np.full(len(kept), 0.5)
        )
        low, high = metric.range
        assert low <= metric.value(recorded) <= high


def test_a_point_that_was_not_recorded_is_an_error():
    sparse = Curves(4, np.array([0, 2]), np.array([0.9, 0.1]), np.array([False, True]), np.array([], int), np.array([]))
    with pytest.raises(ParameterError, match=r"no point at k = \[1\]"):
        METRICS["comprehensiveness"].value(sparse)
    with pytest.raises(ParameterError, match="kept"):
        METRICS["sufficiency"].value(sparse)


def test_the_perfect_and_the_worst_ranking_bound_the_figures():
    perfect = curves([1.0, 0, 0, 0, 0], [0.0, 1, 1, 1, 1], [False, True, True, True, True])
    worst = curves([1.0, 1, 1, 1, 0], [0.0, 0, 0, 0, 1], [False, False, False, False, True])
    for name, metric in METRICS.items():
        better, less = metric.value(perfect), metric.value(worst)
        if name != "never_flips":
            assert (better > less) == metric.higher_is_better, name


def test_an_unknown_metric_is_met_with_a_proposal():
    with pytest.raises(UnknownNameError, match="Did you mean 'sufficiency'"):
        metrics_named(["suficiency"])
