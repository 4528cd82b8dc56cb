"""Rank correlation of metrics with recovery, beside SciPy's in a loop over resamples."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau

from whybench.bench.errors import ComparisonError
from whybench.bench.statistics import RESAMPLES
from whybench.bench.truth import Trial, agreement, agreements, trust


def trial(seed=0, *, examples=40, methods=5, metric="metric", **changes):
    """Methods of rising recovery; the metric sees it through noise."""
    random = np.random.default_rng(seed)
    quality = np.linspace(0.3, 0.6, methods)
    recovery = np.clip(quality + 0.25 * random.normal(size=(examples, methods)), 0, 1)
    values = quality + 0.6 * random.normal(size=(examples, methods))
    given = {"values": values, "recovery": recovery, "higher_is_better": True} | changes
    return Trial(metric, **given)


def tau_of(values, recovery):
    """SciPy's τ-b of means; 0 where it has none, one side being constant."""
    # equal means may differ in their last bits
    first, second = np.round(values.mean(axis=0), 10), np.round(recovery.mean(axis=0), 10)
    if len(set(first)) == 1 or len(set(second)) == 1:
        return 0.0
    return float(kendalltau(first, second, variant="b").statistic)


def plain(one, seed):
    """τ-b on the examples, then in every resample, one at a time."""
    n = len(one.values)
    generator = np.random.default_rng(seed)
    draws = [np.arange(n), *(generator.integers(n, size=n) for _ in range(RESAMPLES))]
    sign = 1 if one.higher_is_better else -1
    return np.array([tau_of(sign * one.values[drawn], one.recovery[drawn]) for drawn in draws])


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    """SciPy's τ takes half a millisecond."""
    for module in ("whybench.bench.truth", __name__):
        monkeypatch.setattr(f"{module}.RESAMPLES", 500)


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_agrees_with_scipy_in_a_loop_over_resamples(higher_is_better):
    one = trial(1, higher_is_better=higher_is_better)
    found, expected = agreement(one, seed=3), plain(one, 3)
    assert found.tau == pytest.approx(expected[0])
    np.testing.assert_allclose(found.resampled, expected[1:], atol=1e-12)
    np.testing.assert_allclose(found.interval, np.percentile(expected[1:], [2.5, 97.5]))
    assert (found.methods, found.examples, found.left_out, found.undefined) == (5, 40, 0, "")


def test_agrees_with_scipy_where_methods_are_tied():
    random = np.random.default_rng(2)
    # coarse figures of few examples: many resamples tie some methods, and some tie all of them
    values = random.integers(0, 2, size=(5, 4)).astype(float)
    recovery = random.integers(0, 3, size=(5, 4)) / 3
    one = trial(values=values, recovery=recovery)
    found, expected = agreement(one, seed=7), plain(one, 7)
    np.testing.assert_allclose([found.tau, *found.resampled], expected, atol=1e-12)
    assert len(set(np.round(expected, 6))) > 8


def test_by_hand():
    recovery = np.array([[0.1, 0.5, 0.9]])

    def tau(*values, higher_is_better=True):
        return agreement(Trial("m", np.array([values]), recovery, higher_is_better)).tau

    assert tau(1, 2, 3) == 1
    assert tau(3, 2, 1) == -1
    assert tau(3, 2, 1, higher_is_better=False) == 1
    # of three pairs one is turned round
    assert tau(2, 1, 3) == pytest.approx(1 / 3)
    # two pairs of three are untied, and agree: 2 / √(2 · 3)
    assert tau(1, 3, 3) == pytest.approx(2 / 6**0.5)
    assert tau(2, 2, 2) == 0


def test_rounding_breaks_no_tie():
    """The same figures in another order have another sum in floating point."""
    random = np.random.default_rng(3)
    column = random.random(50)
    values = np.column_stack([random.permutation(column) for _ in range(6)])
    assert len(set(values.mean(axis=0))) > 1
    assert agreement(trial(methods=6, examples=50, values=values)).tau == 0
    assert agreement(trial(methods=6, examples=50, recovery=values)).tau == 0


def test_metric_and_recovery_are_resampled_together():
    """A metric that is recovery is right in every resample, however uncertain the order of the methods is."""
    one = trial(4)
    itself = agreement(trial(4, values=one.recovery))
    assert (itself.tau, itself.interval) == (1, (1, 1))
    turned = agreement(trial(4, values=one.recovery, higher_is_better=False))
    assert (turned.tau, turned.interval) == (-1, (-1, -1))
    again = agreement(trial(5, values=one.values, recovery=one.recovery))
    low, high = again.interval or (0, 0)
    assert high - low > 0.3


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 7), st.integers(1, 20), st.floats(0.1, 10), st.floats(-5, 5))
def test_properties(seed, methods, examples, scale, shift):
    one = trial(seed, methods=methods, examples=examples)
    found = agreement(one)
    assert found.tau is not None
    assert found.interval is not None
    assert -1 <= found.interval[0] <= found.interval[1] <= 1
    assert (np.abs(found.resampled) <= 1).all()
    # neither the unit of the metric nor the order of the methods matters
    order = np.random.default_rng(seed).permutation(methods)
    same = trial(values=scale * one.values[:, order] + shift, recovery=one.recovery[:, order])
    np.testing.assert_allclose(agreement(same).resampled, found.resampled, atol=1e-12)
    # and a metric that is turned round has the opposite τ
    turned = agreement(trial(values=one.values, recovery=one.recovery, higher_is_better=False))
    np.testing.assert_allclose(turned.resampled, -found.resampled, atol=1e-12)
    # τ is the same whichever of the two is called the truth
    swapped = agreement(trial(values=one.recovery, recovery=one.values))
    np.testing.assert_allclose(swapped.resampled, found.resampled, atol=1e-12)


def test_examples_without_a_figure_are_left_out_of_both_and_counted():
    one = trial(6)
    values, recovery = one.values.copy(), one.recovery.copy()
    values[3, 1] = recovery[8] = np.nan
    found = agreement(trial(values=values, recovery=recovery))
    kept = np.delete(np.arange(40), [3, 8])
    expected = agreement(trial(values=one.values[kept], recovery=one.recovery[kept]))
    assert (found.examples, found.left_out) == (38, 2)
    np.testing.assert_array_equal(found.resampled, expected.resampled)


@pytest.mark.parametrize("methods", [1, 2])
def test_fewer_than_three_methods_have_no_tau(methods):
    found = agreement(trial(methods=methods))
    assert found.tau is found.interval is None
    assert found.undefined == f"{methods} method{'s' * (methods > 1)}: an order needs at least 3"
    assert (found.methods, found.examples, len(found.resampled)) == (methods, 40, 0)


def test_several_trials_at_once_are_what_they_are_one_by_one():
    with_gap = trial(2).values.copy()
    with_gap[0, 0] = np.nan
    trials = [
        trial(1),
        trial(2, values=with_gap),
        trial(3, methods=2),
        trial(4, methods=7, higher_is_better=False),
        trial(5, examples=12),
    ]
    for one, found in zip(trials, agreements(trials, seed=[5, 1]), strict=True):
        alone = agreement(one, seed=[5, 1])
        assert (found.tau, found.methods, found.examples) == (alone.tau, alone.methods, alone.examples)
        np.testing.assert_array_equal(found.resampled, alone.resampled)
    assert agreements([]) == []


def test_over_tasks_it_is_the_mean_of_independent_resamples():
    tasks = {"one": [trial(1), trial(2, metric="other")], "two": [trial(3, examples=25, methods=4)]}
    found = trust(tasks, seed=4)
    assert list(found) == ["metric", "other"]
    expected = (plain(tasks["one"][0], [4, 0]) + plain(tasks["two"][0], [4, 1])) / 2
    assert found["metric"].tau == pytest.approx(expected[0])
    np.testing.assert_allclose(found["metric"].interval, np.percentile(expected[1:], [2.5, 97.5]))
    assert found["metric"].tasks == ("one", "two")
    assert found["other"].tau == found["other"].by_task["one"].tau
    assert found["other"].interval == found["other"].by_task["one"].interval
    # the same task under two names: were its resamples the same, its spread would be no smaller
    spread = {}
    for names in (["a"], ["a", "b"]):
        by_task = trust({name: [trial(1)] for name in names})["metric"].by_task
        spread[len(names)] = np.std(np.mean([one.resampled for one in by_task.values()], axis=0))
    assert spread[2] / spread[1] == pytest.approx(0.5**0.5, abs=0.06)


def test_a_task_with_too_few_methods_is_left_out_of_the_mean():
    found = trust({"good": [trial(1)], "bad": [trial(2, methods=2)]})["metric"]
    assert found.tasks == ("good",)
    assert found.tau == found.by_task["good"].tau
    assert found.by_task["bad"].undefined.startswith("2 methods")
    none = trust({"bad": [trial(2, methods=2)]})["metric"]
    assert none.tau is none.interval is None
    assert none.tasks == ()
    assert trust({}) == {}


def test_noise_orders_nothing_on_average():
    """Over many tasks the τ of a metric that knows nothing has mean 0, and that of one that knows something has not."""
    random = np.random.default_rng(9)
    taus = {True: [], False: []}
    for seed, knows in itertools.product(range(200), (True, False)):
        one = trial(seed)
        blind = one if knows else trial(seed, values=random.normal(size=one.values.shape))
        taus[knows].append(tau_of(blind.values, blind.recovery))
        assert agreement(blind).tau == pytest.approx(taus[knows][-1])
    assert abs(np.mean(taus[False])) < 0.1
    assert np.mean(taus[True]) > 0.5


def test_what_does_not_fit_together_is_an_error():
    with pytest.raises(ComparisonError, match=r"metric: figures of shape \[40, 5\] and recovery of shape \[40, 4\]"):
        agreement(trial(recovery=np.zeros((40, 4))))
    with pytest.raises(ComparisonError, match=r"shape \[40, 0\]"):
        agreement(trial(values=np.zeros((40, 0)), recovery=np.zeros((40, 0))))
    with pytest.raises(ComparisonError, match="infinite"):
        agreement(trial(values=np.full((40, 5), np.inf)))
    with pytest.raises(ComparisonError, match="no example of 40 has metric and recovery of all 5 methods"):
        agreement(trial(recovery=np.full((40, 5), np.nan)))
    with pytest.raises(ComparisonError, match="no example of 0"):
        agreement(trial(examples=0))
    with pytest.raises(ComparisonError, match="a has two trials of metric"):
        trust({"a": [trial(), trial()]})
