import numpy as np
import pytest

from whybench.bench.errors import ComparisonError
from whybench.bench.skill import Contest, overall, skill
from whybench.bench.statistics import RESAMPLES


def contest(seed=0, *, examples=80, methods=3, metric="comprehensiveness", higher_is_better=True, **changes):
    """A floor near 0.1, a ceiling near 0.6, the methods between them; turned around where lower is better."""
    random = np.random.default_rng(seed)
    sign = 1 if higher_is_better else -1
    shared = 0.1 * random.beta(2, 5, size=examples)
    parts = {
        "values": shared[:, None] + np.linspace(0.2, 0.5, methods) + 0.2 * random.random((examples, methods)) - 0.1,
        "floor": shared + 0.2 * random.random(examples),
        "ceiling": shared + 0.6 + 0.1 * random.random(examples),
    }
    return Contest(metric, higher_is_better=higher_is_better, **({k: sign * v for k, v in parts.items()} | changes))


def plain(one, seed):
    """Skill on the examples and in every resample, one at a time."""
    n = len(one.floor)
    generator = np.random.default_rng(seed)
    draws = [np.arange(n), *(generator.integers(n, size=n) for _ in range(RESAMPLES))]
    found = []
    for drawn in draws:
        low, high = one.floor[drawn].mean(), one.ceiling[drawn].mean()
        found.append([(method[drawn].mean() - low) / (high - low) for method in one.values.T])
    return np.array(found)


def test_agrees_with_the_plain_reference():
    one = contest(1)
    found, expected = skill([one], seed=3), plain(one, 3)
    np.testing.assert_allclose(found.means, expected[0])
    np.testing.assert_allclose(found.intervals, np.percentile(expected[1:], [2.5, 97.5], axis=0))
    assert (found.examples, found.left_out, found.undefined) == (80, 0, "")


def test_metrics_of_a_task_are_averaged_and_resampled_together():
    up, down = contest(1), contest(1, metric="sufficiency", higher_is_better=False)
    alone, both = skill([up]), skill([up, down])
    # the second is the first one turned around: the same skill, in every resample
    np.testing.assert_allclose(both.means, alone.means)
    np.testing.assert_allclose(both.intervals, alone.intervals)
    other = contest(2, metric="sufficiency", higher_is_better=False)
    mixed = skill([up, other])
    expected = (plain(up, 0) + plain(other, 0)) / 2
    np.testing.assert_allclose(mixed.means, expected[0])
    np.testing.assert_allclose(mixed.intervals, np.percentile(expected[1:], [2.5, 97.5], axis=0))


def test_floor_and_ceiling_have_skill_0_and_1_without_doubt():
    one = contest(4)
    values = np.column_stack((one.floor, one.ceiling))
    found = skill([contest(4, values=values)])
    np.testing.assert_allclose(found.means, [0, 1], atol=1e-12)
    np.testing.assert_allclose(found.intervals, [[0, 1], [0, 1]], atol=1e-12)


def test_skill_does_not_depend_on_the_unit():
    one = contest(5)
    scaled = contest(5, values=3 * one.values - 7, floor=3 * one.floor - 7, ceiling=3 * one.ceiling - 7)
    np.testing.assert_allclose(skill([scaled]).intervals, skill([one]).intervals, atol=1e-9)


def test_intervals_cover(monkeypatch):
    """Of 95 % intervals of skill, 93 to 97 % hold the truth: floor and ceiling are as uncertain as the method."""
    monkeypatch.setattr("whybench.bench.skill.RESAMPLES", 1000)
    random = np.random.default_rng(8)
    held = []
    for seed in range(500):
        shared = random.beta(2, 5, size=(120, 1))
        values = 0.3 * shared + 0.4 * random.random((120, 8))
        floor, ceiling = 0.1 * random.random(120), 0.3 * shared[:, 0] + 0.8 * random.beta(5, 2, size=120)
        low, high = skill([Contest("m", values, floor, ceiling, True)], seed=seed).intervals
        truth = (0.3 * 2 / 7 + 0.2 - 0.05) / (0.3 * 2 / 7 + 0.8 * 5 / 7 - 0.05)
        held.append(np.mean((low <= truth) & (truth <= high)))
    assert 0.93 <= np.mean(held) <= 0.97


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_no_skill_where_the_ceiling_is_not_better_than_the_floor(higher_is_better):
    one = contest(6, higher_is_better=higher_is_better)
    same = skill([contest(6, higher_is_better=higher_is_better, ceiling=one.floor)])
    assert same.means is same.intervals is None
    assert "comprehensiveness: the ceiling (" in same.undefined
    assert "is not better than the floor" in same.undefined
    swapped = skill([contest(6, higher_is_better=higher_is_better, ceiling=one.floor, floor=one.ceiling)])
    assert swapped.means is None


def test_no_skill_where_the_ceiling_is_better_by_chance():
    one = contest(6)
    noise = np.random.default_rng(1).normal(size=80)
    doubtful = skill([contest(6, ceiling=one.floor + noise - noise.mean() + 0.15)])
    assert doubtful.means is None
    assert "of 10,000 resamples" in doubtful.undefined
    # one doubtful metric leaves the task without skill
    assert skill([one, contest(6, metric="sufficiency", ceiling=one.floor)]).undefined.startswith("sufficiency")


def test_examples_without_a_figure_are_left_out_and_counted():
    one = contest(7)
    values, floor = one.values.copy(), one.floor.copy()
    values[4, 1] = floor[9] = np.nan
    found = skill([contest(7, values=values), contest(7, metric="other", floor=floor)])
    kept = np.delete(np.arange(80), [4, 9])
    cut = contest(7, values=one.values[kept], floor=one.floor[kept], ceiling=one.ceiling[kept])
    assert (found.examples, found.left_out) == (78, 2)
    np.testing.assert_allclose(found.means, skill([cut]).means)


def test_overall_is_the_mean_over_tasks_with_resamples_of_their_own():
    tasks = {"one": [contest(1)], "two": [contest(2, examples=50)]}
    found = overall(tasks, seed=4)
    expected = (plain(tasks["one"][0], [4, 0]) + plain(tasks["two"][0], [4, 1])) / 2
    np.testing.assert_allclose(found.means, expected[0])
    np.testing.assert_allclose(found.intervals, np.percentile(expected[1:], [2.5, 97.5], axis=0))
    assert found.tasks == ("one", "two")
    # the same task twice: were its resamples the same, the interval would be no narrower
    twice, once = overall({"a": [contest(1)], "b": [contest(1)]}), skill([contest(1)])
    narrower = np.diff(twice.intervals, axis=0) / np.diff(once.intervals, axis=0)
    np.testing.assert_allclose(narrower, np.sqrt(0.5), atol=0.05)


def test_the_order_by_overall_skill_is_that_of_its_resamples():
    values = np.random.default_rng(3).normal([2.0, 0.0, 0.0, -2.0], size=(80, 4))
    values[:, 2] = values[:, 1]
    tasks = {"one": [contest(1, methods=4, values=values)], "two": [contest(2, methods=4)]}
    found = overall(tasks)
    drawn = (plain(tasks["one"][0], [0, 0]) + plain(tasks["two"][0], [0, 1])) / 2
    ranks = np.array(
        [[1 + sum(b > a for b in row) + 0.5 * (sum(b == a for b in row) - 1) for a in row] for row in drawn]
    )
    assert found.order.ranks.tolist() == ranks[0].tolist()
    for method in range(4):
        seen = np.sort(ranks[1:, method])
        ends = seen[int(0.025 * (len(seen) - 1))], seen[int(np.ceil(0.975 * (len(seen) - 1)))]
        assert tuple(found.order.rank_intervals[:, method]) == ends
        for other in range(method):
            apart, strays = drawn[0, method] - drawn[0, other], drawn[1:, method] - drawn[1:, other]
            p = (1 + (np.abs(strays - apart) >= np.abs(apart)).sum()) / (1 + len(strays))
            assert found.order.p_values[method, other] == pytest.approx(p)
    assert overall({"alone": [contest(methods=1)]}).order is None


def test_a_task_without_skill_is_left_out_of_the_mean_and_named():
    one = contest(1)
    found = overall({"good": [one], "bad": [contest(2, ceiling=contest(2).floor)]})
    np.testing.assert_allclose(found.means, skill([one]).means)
    assert found.tasks == ("good",)
    assert list(found.undefined) == ["bad"]
    none = overall({"bad": [contest(2, ceiling=contest(2).floor)]})
    assert none.means is none.intervals is None
    assert none.borda is not None


def test_borda_counts_the_methods_that_are_beaten():
    means = {"one": ([3, 2, 1, 1], [1, 2, 3, 4]), "two": ([1, 1, 1, 1], [0, 0, 5, 5])}
    tasks = {
        name: [
            contest(0, methods=4, metric="up", values=np.tile(np.array(up, dtype=float), (80, 1))),
            contest(
                0,
                methods=4,
                metric="down",
                values=np.tile(np.array(down, dtype=float), (80, 1)),
                higher_is_better=False,
            ),
        ]
        for name, (up, down) in means.items()
    }
    beaten = {
        ("one", "up"): [3, 2, 0.5, 0.5],
        ("one", "down"): [3, 2, 1, 0],
        ("two", "up"): [1.5] * 4,
        ("two", "down"): [2.5, 2.5, 0.5, 0.5],
    }
    np.testing.assert_allclose(overall(tasks).borda, np.mean(list(beaten.values()), axis=0) / 3)
    assert overall(tasks).borda.mean() == pytest.approx(0.5)
    assert overall({"alone": [contest(methods=1)]}).borda is None


def test_what_does_not_fit_together_is_an_error():
    with pytest.raises(ComparisonError, match="do not fit together"):
        skill([])
    with pytest.raises(ComparisonError, match="do not fit together"):
        skill([contest(), contest(methods=2)])
    with pytest.raises(ComparisonError, match=r"floor \[79\]"):
        skill([contest(floor=np.zeros(79))])
    with pytest.raises(ComparisonError, match="infinite"):
        skill([contest(floor=np.full(80, np.inf))])
    with pytest.raises(ComparisonError, match="no example of 80"):
        skill([contest(floor=np.full(80, np.nan))])
    with pytest.raises(ComparisonError, match="0 tasks"):
        overall({})
    with pytest.raises(ComparisonError, match=r"\[2, 3\] methods"):
        overall({"a": [contest()], "b": [contest(methods=2)]})
