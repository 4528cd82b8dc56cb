"""Shapley values, KernelSHAP, LIME and RISE against their definitions, Captum, scikit-learn and plain loops."""

import functools
import itertools
import math

import captum.attr
import numpy as np
import pytest
import torch
from captum._utils.models.linear_model import SkLearnRidge
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics.pairwise import cosine_distances

from whybench.bench.errors import MethodError, ParameterError
from whybench.bench.registry import load_method
from whybench.bench.tiny_models import TEXTS, tiny_classifier
from whybench.methods._coalitions import all_coalitions, of_sizes, target_probabilities
from whybench.methods.kernel_shap import kernel, kernel_values
from whybench.methods.lime import proximity, ridge_values
from whybench.methods.rise import mask_values
from whybench.methods.shapley import shapley_values
from whybench.methods.shapley_sampling import on_the_way, order_values

SHORT = ("the cast was great but the film bad", "bad", "an unbelievably slow joke")
SAMPLED = ("kernel_shap", "lime", "shapley_sampling", "rise")


def games(most=6):
    return st.integers(1, most).flatmap(
        lambda n: st.lists(st.floats(-1, 1, allow_subnormal=False), min_size=2**n, max_size=2**n).map(np.array)
    )


def as_function(values):
    """The worth of a set of units."""
    units = len(values).bit_length() - 1
    table = {frozenset(np.flatnonzero(row)): v for row, v in zip(all_coalitions(units), values, strict=True)}
    return table.__getitem__


def by_permutations(values):
    """What each unit adds when it joins, in the mean over all n! orders."""
    worth, units = as_function(values), len(values).bit_length() - 1
    total = np.zeros(units)
    for order in itertools.permutations(range(units)):
        for place, unit in enumerate(order):
            total[unit] += worth(frozenset(order[: place + 1])) - worth(frozenset(order[:place]))
    return total / math.factorial(units)


def in_binary(classifier, text, target):
    """The target's probability as a function of which units are left, by transformers, a row at a time."""
    batch = classifier.encode([text])
    ids, units = batch.input_ids[0], batch.units[0]

    @functools.cache
    def probability(row):
        gone = torch.tensor([unit >= 0 and not row[unit] for unit in units.tolist()])
        with torch.no_grad():
            logits = classifier.model(ids.masked_fill(gone, classifier.tokenizer.mask_token_id)[None]).logits
        return float(logits.double().softmax(-1)[0, target])

    def forward(left):
        return torch.tensor([probability(tuple(row)) for row in left.bool().tolist()], dtype=torch.float64)

    return forward, int(units.max()) + 1


@pytest.fixture(scope="module")
def short():
    """A classifier, its first short text as a batch, its probability in binary, and the number of units."""
    classifier = tiny_classifier("bert")
    batch = classifier.encode(SHORT[:1])
    target = int(classifier.probabilities(batch).argmax())
    return classifier, batch, *in_binary(classifier, SHORT[0], target)


# ---- exact Shapley values -------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(games())
def test_shapley_values_are_the_mean_over_all_orders(values):
    np.testing.assert_allclose(shapley_values(values), by_permutations(values), atol=1e-12)


@settings(deadline=None, max_examples=40)
@given(games(9), st.randoms(use_true_random=False))
def test_the_axioms(values, chance):
    units = len(values).bit_length() - 1
    member = all_coalitions(units)
    scores = shapley_values(values)
    # efficiency: the whole text is the first coalition, nothing of it the last
    assert scores.sum() == pytest.approx(values[0] - values[-1], abs=1e-12)
    # linearity
    other = np.array([chance.uniform(-1, 1) for _ in values])
    np.testing.assert_allclose(
        shapley_values(2 * values - 3 * other), 2 * scores - 3 * shapley_values(other), atol=1e-12
    )
    # dummy: without a say, and with one of its own
    unit = chance.randrange(units)
    without = values[
        [int(np.flatnonzero((member == np.where(np.arange(units) == unit, False, row)).all(1))[0]) for row in member]
    ]
    assert shapley_values(without)[unit] == pytest.approx(0, abs=1e-12)
    assert shapley_values(without + 0.7 * member[:, unit])[unit] == pytest.approx(0.7, abs=1e-12)
    # symmetry: a game in which two units can change places
    first, second = unit, chance.randrange(units)
    places = np.arange(units)
    places[[first, second]] = second, first
    swapped = values[[int(np.flatnonzero((member == row[places]).all(1))[0]) for row in member]]
    equal = shapley_values(values + swapped)
    assert equal[first] == pytest.approx(equal[second], abs=1e-12)


def test_shapley_is_captums(short):
    classifier, batch, forward, units = short
    exact = batch.unit_scores(load_method("shapley").attribute(classifier, batch))[0]

    answers = target_probabilities(classifier, batch, None, [all_coalitions(units)])[0]

    # 720 orders of six units: the others stay
    def six(left):
        return forward(torch.cat((left, torch.ones(len(left), units - 6)), dim=1))

    stay = all_coalitions(units)[:, 6:].all(axis=1)
    captums = captum.attr.ShapleyValues(six).attribute(torch.ones(1, 6), baselines=torch.zeros(1, 6))
    # Captum adds its orders up in float32
    np.testing.assert_allclose(shapley_values(answers[stay]), captums[0], atol=5e-6)
    assert float(exact.sum()) == pytest.approx(answers[0] - answers[-1], abs=1e-12)
    np.testing.assert_allclose(exact, shapley_values(answers), atol=1e-12)


def test_too_many_units_have_no_exact_answer():
    classifier = tiny_classifier("bert")
    batch = classifier.encode(TEXTS)
    attribution = load_method("shapley", most=6).explain(classifier, batch)
    counts = batch.unit_counts().tolist()
    assert (
        sorted(attribution.failed) == [i for i, n in enumerate(counts) if n > 6] == [0, 2, 3][: len(attribution.failed)]
    )
    assert f"it has {counts[0]} units" in attribution.failed[0]
    assert attribution.scores[0].isnan().any()
    assert torch.isfinite(attribution.scores[1]).all()
    with pytest.raises(MethodError, match="most=6"):
        load_method("shapley", most=6).attribute(classifier, batch)


# ---- KernelSHAP -----------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(games(8))
def test_kernel_values_of_all_coalitions_are_shapley_values(values):
    units = len(values).bit_length() - 1
    inside = all_coalitions(units)[1:-1]
    weights = kernel(units)[inside.sum(axis=1)]
    scores = kernel_values(inside, values[1:-1], values[0], values[-1], weights)
    np.testing.assert_allclose(scores, shapley_values(values), atol=1e-10)


def equality_constrained(coalitions, answers, whole, empty, weights):
    """The same optimum, by the stationarity of the Lagrangian."""
    rows = coalitions.astype(float)
    units = rows.shape[1]
    system = np.ones((units + 1, units + 1))
    system[:units, :units] = 2 * rows.T @ (rows * weights[:, None])
    system[units, units] = 0
    right = np.append(2 * rows.T @ (weights * (answers - empty)), whole - empty)
    return np.linalg.solve(system, right)[:units]


@pytest.mark.parametrize("units", [2, 5, 11, 30])
def test_kernel_values_against_other_solvers(units):
    chance = np.random.default_rng(units)
    coalitions = of_sizes(chance.integers(1, units, size=200), units, chance)
    answers, weights, (whole, empty) = chance.random(200), chance.random(200) + 0.1, chance.random(2)
    scores = kernel_values(coalitions, answers, whole, empty, weights)
    assert scores.sum() == pytest.approx(whole - empty, abs=1e-12)
    expected = equality_constrained(coalitions, answers, whole, empty, weights)
    np.testing.assert_allclose(scores, expected, atol=1e-9)
    # with the last unit written as what the others leave
    others = coalitions[:, :-1].astype(float) - coalitions[:, -1:]
    left = answers - empty - coalitions[:, -1] * (whole - empty)
    fitted = LinearRegression(fit_intercept=False).fit(others, left, sample_weight=weights).coef_
    np.testing.assert_allclose(scores[:-1], fitted, atol=1e-9)


def test_kernel_shap_of_the_coalitions_that_captum_drew(short):
    _, _, forward, units = short
    drawn, answered = [], []

    def listening(left):
        drawn.append(left.bool().numpy().copy())
        answered.append(forward(left))
        return answered[-1]

    torch.manual_seed(0)
    captums = captum.attr.KernelShap(listening).attribute(
        torch.ones(1, units), baselines=torch.zeros(1, units), n_samples=60
    )
    # before its samples Captum asks once, to see what comes back
    coalitions, answers = np.concatenate(drawn)[-60:], torch.cat(answered).numpy()[-60:]
    assert (coalitions[:2].sum(axis=1) == [units, 0]).all()
    whole, empty = answers[:2]
    scores = kernel_values(coalitions[2:], answers[2:], whole, empty)
    np.testing.assert_allclose(
        scores, equality_constrained(coalitions[2:], answers[2:], whole, empty, np.ones(58)), atol=1e-9
    )
    np.testing.assert_allclose(scores, captums[0], atol=1e-3)
    assert np.abs(scores).max() > 0.01


def test_kernel_shap_is_exact_where_all_coalitions_are_taken():
    classifier = tiny_classifier("bert")
    batch = classifier.encode(SHORT)
    exact = load_method("shapley").attribute(classifier, batch)
    attribution = load_method("kernel_shap", samples=2**8 - 2).explain(classifier, batch)
    torch.testing.assert_close(attribution.scores, exact, rtol=0, atol=1e-10)
    assert attribution.report["undetermined"].tolist() == [0, 0, 0]
    sampled = load_method("kernel_shap", samples=120).attribute(classifier, batch)
    assert 1e-4 < (sampled[0] - exact[0]).abs().max() < 0.5 * exact[0].abs().max()


def test_kernel_shap_says_how_much_is_undetermined():
    classifier = tiny_classifier("bert")
    batch = classifier.encode(TEXTS)
    units = int(batch.unit_counts()[0])
    for paired, known in ((True, 4), (False, 8)):
        attribution = load_method("kernel_shap", samples=8, paired=paired).explain(classifier, batch)
        assert attribution.report["undetermined"].tolist()[:2] == [units - 1 - known, 0]
    enough = load_method("kernel_shap").explain(classifier, batch)
    assert enough.report["undetermined"].max() == 0


@pytest.mark.parametrize("paired", [True, False])
def test_kernel_shap_draws_from_the_kernel(paired):
    units, samples = 9, 500
    method = load_method("kernel_shap", samples=samples, paired=paired)
    drawn = [method._coalitions(units, str(example))[0] for example in range(40)]
    coalitions = np.concatenate(drawn)
    assert coalitions.shape == (20_000, units)
    if paired:
        assert (coalitions[::2] == ~coalitions[1::2]).all()
    shares = np.bincount(coalitions.sum(axis=1), minlength=units + 1) / len(coalitions)
    expected = np.array([0 if k in (0, units) else 1 / (k * (units - k)) for k in range(units + 1)])
    np.testing.assert_allclose(shares, expected / expected.sum(), atol=0.015)
    # all coalitions of a size alike: two of nine
    pairs = coalitions[coalitions.sum(axis=1) == 2]
    together = pairs.T.astype(int) @ pairs
    np.testing.assert_allclose(together[np.triu_indices(units, 1)] / len(pairs), 1 / 36, atol=0.015)


# ---- LIME -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("units", "samples", "ridge"), [(1, 5, 1.0), (6, 40, 1.0), (25, 300, 0.01), (40, 20, 3.0)])
def test_ridge_values_are_those_of_scikit_learn(units, samples, ridge):
    chance = np.random.default_rng(units)
    coalitions = np.vstack((np.ones((1, units), dtype=bool), chance.random((samples, units)) < 0.5))
    # cosines in hundredths, and the kernel's square root, are how the authors' package writes it
    distance = cosine_distances(coalitions.astype(float), np.ones((1, units)))[:, 0] * 100
    weights = proximity(coalitions, 0.25)
    np.testing.assert_allclose(weights, np.sqrt(np.exp(-(distance**2) / 25**2)), rtol=1e-12)
    answers = chance.random(samples + 1)
    expected = Ridge(alpha=ridge).fit(coalitions.astype(float), answers, sample_weight=weights).coef_
    np.testing.assert_allclose(ridge_values(coalitions, answers, weights, ridge), expected, atol=1e-10)


def test_lime_is_captums_of_the_same_samples(short):
    classifier, batch, forward, units = short
    method = load_method("lime", samples=70)
    coalitions = method._coalitions(units, batch.ids[0])

    def in_turn(_, **__):
        yield from torch.from_numpy(coalitions)[:, None].long()

    captums = captum.attr.Lime(
        forward,
        SkLearnRidge(alpha=1.0),
        lambda _, __, left, **___: float(proximity(left.bool().numpy(), 0.25)[0]),
        in_turn,
    ).attribute(torch.ones(1, units), baselines=torch.zeros(1, units), n_samples=len(coalitions))
    scores = batch.unit_scores(method.attribute(classifier, batch))[0]
    np.testing.assert_allclose(scores, captums[0], atol=2e-6)
    # in float64 the same coalitions and answers leave no difference
    answers = forward(torch.from_numpy(coalitions)).numpy()
    expected = Ridge(alpha=1.0).fit(coalitions, answers, sample_weight=proximity(coalitions, 0.25)).coef_
    np.testing.assert_allclose(
        ridge_values(coalitions, answers, proximity(coalitions, 0.25), 1.0), expected, atol=1e-12
    )


def test_lime_draws_the_number_of_units_removed_uniformly():
    method = load_method("lime", samples=1000)
    coalitions = np.concatenate([method._coalitions(5, str(example))[1:] for example in range(20)])
    shares = np.bincount(coalitions.sum(axis=1), minlength=6) / len(coalitions)
    np.testing.assert_allclose(shares, [0.2] * 5 + [0], atol=0.015)
    np.testing.assert_allclose(coalitions.mean(axis=0), 0.4, atol=0.015)


# ---- sampled orders and masks ---------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(games(6), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_order_values_are_those_of_a_plain_loop(values, count, seed):
    worth, units = as_function(values), len(values).bit_length() - 1
    orders = np.random.default_rng(seed).permuted(np.tile(np.arange(units), (count, 1)), axis=1)
    expected = np.zeros(units)
    for order in orders.tolist():
        for place, unit in enumerate(order):
            expected[unit] += (worth(frozenset(order[: place + 1])) - worth(frozenset(order[:place]))) / count
    answers = np.array([worth(frozenset(np.flatnonzero(row))) for row in on_the_way(orders)])
    np.testing.assert_allclose(order_values(orders, answers, values[0], values[-1]), expected, atol=1e-12)


def test_shapley_sampling_is_captums_of_the_same_orders(short):
    classifier, batch, forward, units = short
    torch.manual_seed(3)
    captums = captum.attr.ShapleyValueSampling(forward).attribute(
        torch.ones(1, units), baselines=torch.zeros(1, units), n_samples=7
    )
    torch.manual_seed(3)
    orders = np.array([torch.randperm(units).tolist() for _ in range(7)])
    sets = np.vstack((np.ones((1, units), dtype=bool), np.zeros((1, units), dtype=bool), on_the_way(orders)))
    (answers,) = target_probabilities(classifier, batch, None, [sets])
    np.testing.assert_allclose(order_values(orders, answers[2:], *answers[:2]), captums[0], atol=1e-6)


def test_sampled_shapley_values_come_near_the_exact_ones(short):
    classifier, batch, *_ = short
    exact = load_method("shapley").attribute(classifier, batch)
    for name, few, many in (
        ("shapley_sampling", {"orders": 2}, {"orders": 500}),
        ("kernel_shap", {"samples": 20}, {"samples": 250}),
    ):
        far, near = ((load_method(name, **one).attribute(classifier, batch) - exact).abs().max() for one in (few, many))
        assert near < far / 2
        assert near < 0.2 * exact.abs().max()


def test_rise_is_a_plain_loop(short):
    classifier, batch, forward, units = short
    chance = np.random.default_rng(0)
    masks, answers = chance.random((50, units)) < 0.3, chance.random(50)
    expected = np.zeros(units)
    for mask, answer in zip(masks, answers, strict=True):
        expected += answer * mask / (0.3 * 50)
    np.testing.assert_allclose(mask_values(masks, answers, 0.3), expected, atol=1e-12)
    # the mean over all masks, which has a closed form, is what many of them come near to
    everything = all_coalitions(units)
    answers = forward(torch.from_numpy(everything)).numpy()
    expected = [answers[everything[:, unit]].mean() for unit in range(units)]
    scores = batch.unit_scores(load_method("rise", samples=5000).attribute(classifier, batch))[0]
    np.testing.assert_allclose(scores, expected, atol=0.05)


# ---- what they share ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLED)
def test_chance_is_the_examples_own(name):
    classifier = tiny_classifier("bert")
    batch = classifier.encode(TEXTS)
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    scores = load_method(name).attribute(classifier, batch)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002
    renamed = classifier.encode(TEXTS, ids=["a", "b", "c", "d"])
    for other in (
        load_method(name, seed=1).attribute(classifier, batch),
        load_method(name).attribute(classifier, renamed),
    ):
        assert (other[0] - scores[0]).abs().max() > 1e-4


@pytest.mark.parametrize("name", ["occlusion", "shapley", *SAMPLED])
def test_units_share_their_score_among_tokens(name):
    classifier = tiny_classifier("bert")
    batch = classifier.encode(SHORT)
    scores = load_method(name).attribute(classifier, batch)
    for row, units in zip(scores, batch.units, strict=True):
        assert (row[units < 0] == 0).all()
        for unit in range(int(units.max()) + 1):
            assert row[units == unit].unique().numel() == 1
    # as one token each they are scored apart
    tokens = load_method(name).attribute(classifier, batch.with_units("token"))
    several = batch.units[2] == 1
    assert several.sum() > 1
    assert tokens[2][several].unique().numel() > 1


@pytest.mark.parametrize(
    ("family", "operator"), [("bert", "mask"), ("bert", "pad"), ("bert", "delete"), ("gpt2", None)]
)
def test_probabilities_of_coalitions(family, operator):
    classifier = tiny_classifier(family)
    batch = classifier.encode(SHORT).with_target(torch.tensor([2, 0, 1]))
    sets = [all_coalitions(n)[[0, -1, -2]] for n in batch.unit_counts().tolist()]
    values = target_probabilities(classifier, batch, operator, sets)
    whole = classifier.probabilities(batch)
    for row, own, target in zip(whole, values, (2, 0, 1), strict=True):
        assert own[0] == pytest.approx(float(row[target]), abs=1e-6)
    # one unit left is the text of that unit alone, where the others are taken out
    if operator in ("delete", None):
        alone = classifier.encode([SHORT[0].split()[0]])
        assert values[0][2] == pytest.approx(float(classifier.probabilities(alone)[0, 2]), abs=1e-6)
    else:
        assert values[0][1] != pytest.approx(values[0][0], abs=1e-4)


def test_no_set_is_no_question():
    classifier = tiny_classifier("bert")
    batch = classifier.encode(SHORT)
    counts = batch.unit_counts().tolist()
    sets = [
        np.empty((0, counts[0]), dtype=bool),
        np.ones((1, counts[1]), dtype=bool),
        np.empty((0, counts[2]), dtype=bool),
    ]
    values = target_probabilities(classifier, batch, None, sets)
    assert [len(own) for own in values] == [0, 1, 0]
    assert values[1][0] == pytest.approx(float(classifier.probabilities(batch)[1].max()), abs=1e-6)


def test_all_coalitions_are_each_once():
    sets = all_coalitions(5)
    assert len({tuple(row) for row in sets.tolist()}) == 32
    assert sets[0].all()
    assert not sets[-1].any()


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("shapley", {"most": 17}, "most is 17; it must be from 1 to 16"),
        ("shapley", {"most": 0}, "most is 0"),
        ("kernel_shap", {"samples": 0}, "samples is 0; it must be at least 1"),
        ("lime", {"samples": -1}, "samples is -1"),
        ("lime", {"width": 0}, "width is 0"),
        ("lime", {"ridge": "inf"}, "ridge is inf"),
        ("shapley_sampling", {"orders": 0}, "orders is 0"),
        ("rise", {"samples": 0}, "samples is 0"),
        ("rise", {"keep": 1}, "keep is 1"),
    ],
)
def test_wrong_values(name, parameters, message):
    with pytest.raises(ParameterError, match=message):
        load_method(name, **parameters)
