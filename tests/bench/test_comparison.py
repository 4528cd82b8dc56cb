import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from whybench.bench import comparison
from whybench.bench.comparison import ALPHA, compare, compare_pairs, holm, letter, letters, ranks_of
from whybench.bench.errors import ComparisonError
from whybench.bench.statistics import RESAMPLES


def named(methods):
    return [f"m{i}" for i in range(methods)]


def figures(examples, methods, *, apart=0.0, seed=0):
    """Bounded, skewed figures: what is hard about an example is shared by all methods."""
    random = np.random.default_rng(seed)
    shared = random.beta(2, 5, size=(examples, 1))
    return 0.5 * shared + 0.4 * random.beta(1, 3, size=(examples, methods)) + apart * np.arange(methods)


def plain(values, *, higher_is_better, seed=0):
    """The same, one resample and one pair at a time."""
    n, methods = values.shape
    generator = np.random.default_rng(seed)
    means, ranks = [], []
    for _ in range(comparison.RESAMPLES):
        drawn = [values[i] for i in generator.integers(n, size=n)]
        mean = [sum(float(row[j]) for row in drawn) / n for j in range(methods)]
        means.append(mean)
        ranks.append(stats.rankdata([-m if higher_is_better else m for m in np.round(mean, 12)]))
    means, ranks = np.array(means), np.array(ranks)
    p = np.ones((methods, methods))
    low, high = np.zeros((methods, methods)), np.zeros((methods, methods))
    for i, j in itertools.permutations(range(methods), 2):
        observed = values[:, i].mean() - values[:, j].mean()
        drawn = means[:, i] - means[:, j]
        p[i, j] = (1 + sum(abs(d - observed) >= abs(observed) - 1e-12 for d in drawn)) / (1 + len(drawn))
        low[i, j], high[i, j] = np.percentile(drawn, [2.5, 97.5])
    last = len(ranks) - 1
    ends = np.sort(ranks, axis=0)[[int(np.floor(0.025 * last)), int(np.ceil(0.975 * last))]]
    return p, np.array([low, high]), ends


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_agrees_with_the_plain_reference_and_is_much_faster(higher_is_better, monkeypatch):
    monkeypatch.setattr(comparison, "RESAMPLES", 1000)
    values = figures(40, 5, apart=0.02)
    values[:, 3] = values[:, 1]
    start = time.perf_counter()
    found = compare(values, named(5), higher_is_better=higher_is_better)
    middle = time.perf_counter()
    p, intervals, ranks = plain(values, higher_is_better=higher_is_better)
    slow = time.perf_counter() - middle
    np.testing.assert_allclose(found.p_values, p, atol=1e-12)
    np.testing.assert_allclose(found.difference_intervals, intervals, atol=1e-12)
    np.testing.assert_array_equal(found.rank_intervals, ranks)
    assert slow > 5 * (middle - start)


def test_agrees_with_scipy():
    values = figures(150, 2, apart=0.01)
    found = compare(values, named(2), higher_is_better=True)
    for own, sample in (
        (found.intervals[:, 0], values[:, 0]),
        (found.difference_intervals[:, 0, 1], values[:, 0] - values[:, 1]),
    ):
        other = stats.bootstrap((sample,), np.mean, n_resamples=10_000, method="percentile", rng=2).confidence_interval
        assert own == pytest.approx([other.low, other.high], abs=0.05 * (other.high - other.low))
    np.testing.assert_allclose(found.differences[0, 1], np.mean(values[:, 0] - values[:, 1]))


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.1, 0.15, 0.25])
def test_p_values_agree_with_the_paired_t_test_and_the_sign_flip_test(shift):
    random = np.random.default_rng(11)
    values = random.normal([0.0, shift], size=(200, 2))
    p = compare(values, named(2), higher_is_better=True).p_values[0, 1]
    t_test = stats.ttest_rel(*values.T).pvalue
    flipped = stats.permutation_test(
        (values[:, 0] - values[:, 1],), np.mean, permutation_type="samples", n_resamples=9999, rng=3
    ).pvalue
    for other in (t_test, flipped):
        assert p == pytest.approx(other, abs=0.01 + 0.1 * other)


def test_holm_agrees_with_statsmodels():
    p = np.array([0.0004, 0.0313, 0.0121, 0.2, 0.0121, 1.0, 0.0001, 0.04, 0.0062, 0.55])
    # statsmodels 0.15.0: multipletests(p, method="holm")[1]
    expected = [0.0036, 0.1565, 0.0847, 0.6, 0.0847, 1.0, 0.001, 0.16, 0.0496, 1.0]
    np.testing.assert_allclose(holm(p), expected, atol=1e-10)
    assert holm(np.zeros(0)).shape == (0,)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_rejects_what_the_step_down_procedure_rejects(p):
    p = np.array(p)
    rejected = np.zeros(len(p), dtype=bool)
    for step, i in enumerate(np.argsort(p, kind="stable")):
        if p[i] * (len(p) - step) > ALPHA:
            break
        rejected[i] = True
    np.testing.assert_array_equal(holm(p) <= ALPHA, rejected)


@given(st.integers(1, 9).flatmap(lambda m: st.tuples(st.just(m), st.lists(st.booleans(), min_size=36, max_size=36))))
def test_two_methods_share_a_letter_exactly_where_they_do_not_differ(drawn):
    methods, flags = drawn
    tied = np.eye(methods, dtype=bool)
    for (i, j), flag in zip(itertools.combinations(range(methods), 2), flags, strict=False):
        tied[i, j] = tied[j, i] = flag
    ranks = np.roll(np.arange(1.0, methods + 1), 2)
    groups = letters(tied, ranks)
    assert all(groups)
    assert 0 in groups[int(ranks.argmin())]
    for i, j in itertools.combinations(range(methods), 2):
        assert bool(set(groups[i]) & set(groups[j])) == tied[i, j]
    assert {g for own in groups for g in own} == set(range(1 + max(g for own in groups for g in own)))


def test_letters_of_a_chain_are_stretches_of_the_ranked_list():
    """Each ties with the next two; a b c d e, ranked in that order."""
    place = np.arange(5)
    tied = np.abs(place[:, None] - place) <= 2
    assert letters(tied, place + 1.0) == ((0,), (0, 1), (0, 1, 2), (1, 2), (2,))
    assert letters(np.eye(3, dtype=bool), np.array([3.0, 1.0, 2.0])) == ((2,), (0,), (1,))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 7), st.integers(1, 60), st.floats(0, 0.2), st.integers(0, 99), st.booleans())
def test_the_parts_of_an_answer_fit_together(methods, examples, apart, seed, higher_is_better):
    # rounded, so that ties occur
    values = np.round(figures(examples, methods, apart=apart, seed=seed), 1)
    found = compare(values, named(methods), higher_is_better=higher_is_better)
    for array in vars(found).values():
        assert not isinstance(array, np.ndarray) or np.isfinite(array).all()
    for i, j in itertools.combinations(range(methods), 2):
        assert bool(set(found.letters[i]) & set(found.letters[j])) == (not found.significant[i, j])
    assert found.ranks.sum() == methods * (methods + 1) / 2
    np.testing.assert_array_equal(found.p_values, found.p_values.T)
    assert (found.corrected >= found.p_values).all()
    assert (found.rank_intervals[0] <= found.rank_intervals[1]).all()
    assert 1 <= found.rank_intervals.min() <= found.rank_intervals.max() <= methods
    turned = compare(-values, named(methods), higher_is_better=not higher_is_better)
    np.testing.assert_array_equal(turned.ranks, found.ranks)
    np.testing.assert_array_equal(turned.rank_intervals, found.rank_intervals)
    assert turned.letters == found.letters


def test_the_best_is_the_first_in_either_direction():
    values = figures(100, 4, apart=0.2)
    np.testing.assert_array_equal(compare(values, named(4), higher_is_better=True).ranks, [4, 3, 2, 1])
    lower = compare(values, named(4), higher_is_better=False)
    np.testing.assert_array_equal(lower.ranks, [1, 2, 3, 4])
    np.testing.assert_array_equal(lower.rank_intervals, [[1, 2, 3, 4]] * 2)
    assert lower.letters == ((0,), (1,), (2,), (3,))
    assert lower.significant[np.triu_indices(4, 1)].all()
    assert not np.diag(lower.significant).any()


@pytest.mark.parametrize("methods", [2, 29, 31])
def test_identical_methods_share_their_rank_and_group(methods):
    """Whatever block of a matrix product the two columns fall into."""
    values = figures(101, methods, apart=0.001, seed=4)
    values[:, -1] = values[:, 0]
    found = compare(values, named(methods), higher_is_better=True)
    assert found.p_values[0, -1] == found.corrected[0, -1] == 1
    assert found.ranks[0] == found.ranks[-1]
    np.testing.assert_array_equal(found.rank_intervals[:, 0], found.rank_intervals[:, -1])
    assert set(found.letters[0]) & set(found.letters[-1])


def test_a_constant_lead_is_as_significant_as_it_can_be():
    values = figures(100, 1)
    found = compare(np.column_stack((values, values + 0.01)), named(2), higher_is_better=True)
    assert found.p_values[0, 1] == 1 / (RESAMPLES + 1)
    np.testing.assert_allclose(found.difference_intervals[:, 0, 1], -0.01)


@pytest.mark.parametrize(("differing", "least"), [(1, 1.0), (2, 0.5), (5, 1 / 16), (10, 1 / 512)])
def test_a_handful_of_examples_proves_nothing(differing, least):
    """A bootstrap alone would call a difference on one example, of one, certain."""
    values = np.zeros((differing, 2))
    values[:, 1] = 0.5 + 0.001 * np.arange(differing)
    assert compare(values, named(2), higher_is_better=True).p_values[0, 1] == least
    # examples on which the two are the same add nothing
    values = np.vstack((values, np.full((80, 2), 0.3)))
    assert compare(values, named(2), higher_is_better=True).p_values[0, 1] >= least


def test_examples_that_one_method_lacks_are_left_out_for_all_and_counted():
    values = figures(60, 3)
    holed = values.copy()
    holed[[3, 7], 0] = np.nan
    holed[7, 2] = np.nan
    found = compare(holed, named(3), higher_is_better=True)
    whole = compare(np.delete(values, [3, 7], axis=0), named(3), higher_is_better=True)
    assert (found.examples, found.left_out) == (58, 2)
    assert (whole.examples, whole.left_out) == (58, 0)
    np.testing.assert_array_equal(found.p_values, whole.p_values)
    np.testing.assert_array_equal(found.means, whole.means)


def test_a_pair_alone_is_compared_as_two_methods_are_whatever_the_others_lack():
    """Each pair's numbers are those of `compare` for the two of them; scipy's paired tests agree."""
    values = figures(200, 5, apart=0.003, seed=2)
    values[:, 3] = values[:, 1]
    values[:50, 2] = np.nan
    values[50:, 4] = np.nan
    first, second = map(list, zip(*itertools.permutations(range(5), 2), strict=True))
    found = compare_pairs(values, first, second)
    for pair, (i, j) in enumerate(zip(first, second, strict=True)):
        both = values[:, [i, j]][~np.isnan(values[:, [i, j]]).any(axis=1)]
        assert found.examples[pair] == len(both)
        if not len(both):
            assert np.isnan(found.p_values[pair])
            assert np.isnan([*found.means[:, pair], *found.difference_intervals[:, pair]]).all()
            continue
        two = compare(both, named(2), higher_is_better=True)
        np.testing.assert_allclose(found.means[:, pair], two.means, atol=1e-12)
        np.testing.assert_allclose(found.difference_intervals[:, pair], two.difference_intervals[:, 0, 1], atol=1e-12)
        assert found.p_values[pair] == two.p_values[0, 1]
        if {i, j} == {1, 3}:
            assert found.p_values[pair] == 1
            np.testing.assert_allclose(found.difference_intervals[:, pair], 0, atol=1e-12)
        else:
            other = stats.ttest_rel(*both.T).pvalue
            assert found.p_values[pair] == pytest.approx(other, abs=0.02 + 0.1 * other)
    assert {(2, 4), (4, 2)} == {(first[k], second[k]) for k in np.flatnonzero(found.examples == 0)}
    with pytest.raises(ComparisonError, match="a figure is infinite"):
        compare_pairs(np.array([[0.0, np.inf]]), [0], [1])


def test_what_cannot_be_compared_is_an_error():
    values = figures(4, 2)
    values[:2, 0] = values[2:, 1] = np.nan
    with pytest.raises(ComparisonError, match=r"no example of 4 .*m0 2, m1 2"):
        compare(values, named(2), higher_is_better=True)
    with pytest.raises(ComparisonError, match=r"shape \[4, 2\]"):
        compare(values, named(3), higher_is_better=True)
    with pytest.raises(ComparisonError, match="0 methods"):
        compare(np.zeros((4, 0)), [], higher_is_better=True)
    with pytest.raises(ComparisonError, match="'m1' has an infinite figure"):
        compare(np.array([[0.0, np.inf]]), named(2), higher_is_better=True)


def test_many_methods_get_as_many_resamples_as_their_correction_needs():
    """A constant lead stays significant among 561 pairs; with 10,000 resamples nothing could be."""
    values = figures(20, 1) + 0.01 * np.arange(34)
    found = compare(values, named(34), higher_is_better=True)
    assert found.resamples == 11_220
    assert found.significant[np.triu_indices(34, 1)].all()


def test_the_same_seed_gives_the_same_answer():
    values = figures(50, 3)
    first, again, other = (compare(values, named(3), higher_is_better=True, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.p_values, again.p_values)
    assert (first.p_values != other.p_values).any()


def test_ranks_and_letters_have_names():
    np.testing.assert_array_equal(ranks_of(np.array([0.2, 0.5, 0.2, 0.1]), 1e-9), [2.5, 1, 2.5, 4])
    assert [letter(i) for i in (0, 25, 26, 27, 702)] == ["a", "z", "aa", "ab", "aaa"]


def test_rates_of_error(monkeypatch):
    """Of methods that do not differ, 5 % of single tests say that they do, and 5 % of families after correction."""
    monkeypatch.setattr(comparison, "RESAMPLES", 1000)
    single, family = [], []
    for seed in range(300):
        found = compare(figures(100, 4, seed=seed), named(4), higher_is_better=True, seed=seed)
        single.append((found.p_values[np.triu_indices(4, 1)] <= ALPHA).mean())
        family.append(found.significant.any())
    # the standard errors are 0.9 and 1.3 points; 1,000 resamples cannot say "differs" more often than 10,000
    assert 0.03 <= np.mean(single) <= 0.07
    assert np.mean(family) <= 0.085


def test_an_interval_of_a_difference_is_the_same_whatever_other_methods_there_are():
    values = np.random.default_rng(5).normal(size=(20, 34))
    many = compare(values, [f"m{i}" for i in range(34)], higher_is_better=True)
    two = compare(values[:, [3, 30]], ["m3", "m30"], higher_is_better=True)
    assert many.resamples > two.resamples == 10_000
    np.testing.assert_allclose(many.difference_intervals[:, 3, 30], two.difference_intervals[:, 0, 1], atol=1e-12)
