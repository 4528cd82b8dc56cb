"""What holds of every metric, and of some; golden vectors are in test_golden.py."""

import numpy as np
import pytest

from whybench.bench.agreement import subsets, tau
from whybench.bench.curves import SOFT_DRAWS, SUBSETS, Curves
from whybench.bench.errors import NotRecordedError, ParameterError, UnknownNameError
from whybench.bench.metrics import METRICS, metrics_named


def curves(removed, kept, flipped):
    """Curves whose units drop in the order of the scores, each by what the curve says."""
    n = len(removed) - 1
    everything = np.arange(n + 1)
    removed, scores = np.array(removed), -np.arange(n, dtype=float)
    drawn = subsets(n, 0, "a")
    drops = -np.diff(removed)
    return Curves(
        n,
        everything,
        removed,
        np.array(flipped, dtype=bool),
        everything,
        np.array(kept),
        scores=scores,
        single_p=removed[0] - drops,
        drawn_units=drawn,
        drawn_p=removed[0] - drawn @ drops,
        soft_p=np.tile([[removed[1]], [kept[1]], [0.5], [0.5]], SOFT_DRAWS),
    )


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda m: m.name)
def test_a_metric_asks_for_the_sizes_that_it_reads(metric):
    for n in (1, 2, 5, 13, 70):
        needs = metric.needs(n)
        removed = np.array(sorted({0, *needs.get("removed", ())}))
        kept = np.array(sorted(needs.get("kept", ())), dtype=int)
        more = {
            "single": {"single_p": np.full(n, 0.25)},
            "drawn": {"drawn_units": subsets(n, 0, "a"), "drawn_p": np.full(SUBSETS, 0.25)},
            "soft": {"soft_p": np.full((4, SOFT_DRAWS), 0.25)},
        }
        recorded = Curves(
            n,
            removed,
            np.full(len(removed), 0.5),
            np.zeros(len(removed), bool),
            kept,
            np.linspace(0.25, 0.5, len(kept)),
            scores=np.arange(n, dtype=float),
            **{name: values for part in needs for name, values in more.get(part, {}).items()},
        )
        low, high = metric.range
        value = metric.value(recorded)
        assert low <= value <= high if value is not None else metric.undefined


def test_a_point_that_was_not_recorded_is_an_error():
    sparse = Curves(4, np.array([0, 2]), np.array([0.9, 0.1]), np.array([False, True]), np.array([], int), np.array([]))
    with pytest.raises(NotRecordedError, match=r"no point at k = \[1\]"):
        METRICS["comprehensiveness"].value(sparse)
    with pytest.raises(NotRecordedError, match="kept"):
        METRICS["sufficiency"].value(sparse)


def test_the_perfect_and_the_worst_ranking_bound_the_figures():
    perfect = curves([1.0, 0, 0, 0, 0], [0.0, 1, 1, 1, 1], [False, True, True, True, True])
    worst = curves([1.0, 1, 1, 1, 0], [0.0, 0, 0, 0, 1], [False, False, False, False, True])
    for name, metric in METRICS.items():
        better, less = metric.value(perfect), metric.value(worst)
        if name not in ("never_flips", "loo_agreement", "infidelity") and metric.higher_is_better is not None:
            assert (better > less) == metric.higher_is_better, name


def test_an_unknown_metric_is_met_with_a_proposal():
    with pytest.raises(UnknownNameError, match="Did you mean 'sufficiency'"):
        metrics_named(["suficiency"])


def test_which_metrics_a_choice_of_names_stands_for():
    assert [metric.name for metric in metrics_named(None)] == [name for name, m in METRICS.items() if m.default]
    assert [metric.name for metric in metrics_named(["all"])] == list(METRICS)
    assert metrics_named(["infidelity", "all"])[0].name == "infidelity"
    assert [metric.name for metric in metrics_named(["sufficiency", "sufficiency"])] == ["sufficiency"]
    with pytest.raises(ParameterError, match="average_precision is not chosen"):
        metrics_named(["average_precision"])


def test_log_odds_of_a_probability_that_is_0_in_floating_point():
    metric = METRICS["log_odds"]
    for p, q in ((0.0, 1.0), (5e-324, 1.0), (1.0, 0.0), (0.0, 0.0)):
        value = metric.value(curves([q, p], [p, q], [False, False]))
        assert metric.range[0] <= value <= metric.range[1]
    assert metric.value(curves([1.0, 0.0], [0.0, 1.0], [False, True])) == metric.range[0] == -1022 * np.log(2)
    assert metric.value(curves([1.0, 1e-300], [0.0, 1.0], [False, True])) == pytest.approx(-300 * np.log(10))


def test_tau_equals_scipys_on_exact_ties():
    from scipy.stats import kendalltau

    chance = np.random.default_rng(0)
    for n in (2, 3, 5, 20):
        for _ in range(20):
            # few values, so that most pairs tie in one of the two or in both
            first, second = chance.integers(0, 3, size=(2, n)).astype(float)
            expected = kendalltau(first, second).statistic
            assert tau(first, second) == (0.0 if np.isnan(expected) else pytest.approx(expected, abs=1e-12))
            made = METRICS["loo_agreement"].value(
                Curves(
                    n,
                    np.array([0]),
                    np.array([0.5]),
                    np.array([False]),
                    np.zeros(0, int),
                    np.zeros(0),
                    scores=first,
                    single_p=0.5 - second / 8,
                )
            )
            assert made == tau(first, second)


def test_scales_and_signs_of_scores_make_no_difference_to_infidelity():
    from dataclasses import replace

    given = curves([1.0, 0.7, 0.6, 0.55], [0.1, 0.2, 0.4, 1.0], [False] * 4)
    metric = METRICS["infidelity"]
    first = metric.value(given)
    assert 0 < first < 1
    for factor in (1e300, 1e-300, -1.0):
        assert metric.value(replace(given, scores=factor * given.scores)) == pytest.approx(first, rel=1e-12)
    # the drops add up, so their own map explains them all; one of zeros explains nothing
    drops = given.single_drops()
    assert metric.value(replace(given, scores=drops)) == pytest.approx(0.0, abs=1e-12)
    assert metric.value(replace(given, scores=0 * drops)) == 1.0
    # least squares by another's hand
    sums, drawn = given.drawn_units @ given.scores, given.drawn_drops()[1]
    _, residual, *_ = np.linalg.lstsq(sums[:, None], drawn, rcond=None)
    assert first == pytest.approx(residual[0] / (drawn @ drawn), rel=1e-12)


SUBSETS_OF_A = "010001000001"


def test_subsets_are_of_every_size_alike_and_of_the_example_alone():
    drawn = np.concatenate([subsets(6, 0, str(i)) for i in range(300)])
    sizes = np.bincount(drawn.sum(axis=1), minlength=7)
    assert sizes[0] == 0
    assert np.abs(sizes[1:] / len(drawn) - 1 / 6).max() < 0.02
    assert np.abs(drawn.mean(axis=0) - 3.5 / 6).max() < 0.02
    assert np.array_equal(subsets(6, 0, "a"), subsets(6, 0, "a"))
    assert not np.array_equal(subsets(6, 0, "a"), subsets(6, 1, "a"))
    assert not np.array_equal(subsets(6, 0, "a"), subsets(6, 0, "b"))
    # pinned: another machine or version must draw the same
    assert "".join("01"[int(unit)] for unit in subsets(4, 0, "a")[:3].ravel()) == SUBSETS_OF_A
