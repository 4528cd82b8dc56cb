"""Sparsest attention: vertices by brute force and by HiGHS, a plain elimination, ties, attention of trained models."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pyarrow.parquet
import pytest
import torch
from scipy.optimize import linprog

from whybench.bench.errors import CertificateError
from whybench.bench.nullspace import column_basis
from whybench.methods import _sparsest
from whybench.methods._output_preserving import ROW_SUM_TOLERANCE, solve
from whybench.methods._sparsest import basic_points, independent_support
from whybench.tests.methods.test_output_preserving import (
    DEGENERATE,
    FAMILIES,
    SHARED,
    near_duplicates,
    normal,
    softmax_rows,
    trained_attention,
)

pytestmark = pytest.mark.usefixtures("one_thread")


def columns_of(values):
    """[V, 1] of one head, each column scaled: ``[keys, d_v + 1]``."""
    values = values.double()
    values = values / values.abs().amax(dim=0).clamp_min(1e-300)
    return torch.cat([values, torch.ones(len(values), 1, dtype=torch.float64)], dim=1).numpy()


def assert_basic(solution, weights, values):
    """A distribution with the same output, and independent rows of [V, 1] at its keys, found by NumPy's own rank."""
    solution.raise_if_uncertified()
    assert float(solution.matrix.min()) >= 0
    assert float((solution.matrix.sum(-1) - 1).abs().max()) <= ROW_SUM_TOLERANCE
    assert not solution.duality_gap.any()
    assert torch.equal(solution.support, (solution.matrix != 0).sum(-1))
    output, wanted = solution.matrix @ values.double(), weights.double() @ values.double()
    assert bool(((output - wanted).norm(dim=-1) <= 2e-6 * values.double().norm(dim=-1).max()).all())
    for head in range(weights.shape[0]):
        system = columns_of(values[head])
        most = np.linalg.matrix_rank(system)
        for row in solution.matrix[head]:
            kept = system[row.numpy() > 0]
            assert len(kept) <= most
            assert np.linalg.matrix_rank(kept, tol=1e-12) == len(kept)


def eliminated(row, values):
    """The plain way, with a null space from scratch in every step: the shortest move that takes a weight to 0."""
    system = columns_of(values)
    x = row.double().numpy().copy()
    x[x < 1e-12 * x.max()] = 0
    while True:
        kept = np.flatnonzero(x)
        _, singular, right = np.linalg.svd(system[kept].T)
        null = right[(singular > 1e-10).sum() :]
        if len(null) == 0:
            return x
        room = np.square(null).sum(axis=0)
        length = np.where(room > 1e-9, x[kept] / np.sqrt(np.maximum(room, 1e-300)), np.inf)
        leaving = int(length.argmin())
        x[kept] -= x[kept][leaving] / room[leaving] * (null.T @ null[:, leaving])
        x[kept[leaving]] = 0


CASES = FAMILIES | {name: case for name, case in DEGENERATE.items() if case[0].shape[1] < 96}


@pytest.mark.parametrize("name", CASES)
def test_rows_are_basic_and_have_the_same_output(name):
    weights, values = CASES[name]
    weights = weights.double() / weights.double().sum(dim=-1, keepdim=True)
    assert_basic(solve(weights, values, kind="sparsest"), weights, values)


@pytest.mark.parametrize("name", ["flat", "sharp", "sink", "one column", "low rank"])
def test_rows_are_those_of_the_plain_elimination(name):
    weights, values = FAMILIES[name]
    efficient, sparsest = (solve(weights[:, :4], values, kind=kind) for kind in ("efficient", "sparsest"))
    for head in range(2):
        for query in range(4):
            wanted = eliminated(efficient.matrix[head, query], values[head])
            np.testing.assert_allclose(sparsest.matrix[head, query].numpy(), wanted, atol=1e-9)
    removed = (sparsest.iterations - efficient.iterations).sum()
    assert removed == (efficient.support - sparsest.support).sum()


def test_norm_never_falls_on_the_way_and_no_weight_turns_negative():
    """What makes the shortest move safe: any other weight's 0 is at least as far."""
    weights, values = FAMILIES["sharp"]
    start = solve(weights[:1, :3], values[:1]).matrix
    sparsest = solve(weights[:1, :3], values[:1], kind="sparsest").matrix
    assert bool((sparsest.norm(dim=-1) > start.norm(dim=-1)).all())
    assert bool(((start == 0) <= (sparsest == 0)).all())


@pytest.mark.parametrize("seed", range(3))
def test_answer_is_one_of_the_vertices_that_all_supports_give(seed):
    keys, width = 8, 2
    values = normal(1, keys, width, seed=seed)
    weights = softmax_rows(1, 3, keys, 2.0, seed=seed + 10).double()
    weights = weights / weights.sum(-1, keepdim=True)
    solution = solve(weights, values, kind="sparsest")
    solution.raise_if_uncertified()
    system = columns_of(values[0])
    for query in range(3):
        target = weights[0, query].numpy() @ system
        vertices = []
        for support in combinations(range(keys), width + 1):
            inside = np.linalg.solve(system[list(support)].T, target)
            if (inside >= 0).all():
                vertices.append(np.zeros(keys))
                vertices[-1][list(support)] = inside
        assert len(vertices) > 1
        answer = solution.matrix[0, query].numpy()
        assert min(np.abs(answer - vertex).max() for vertex in vertices) < 1e-10
        # No output of a random row has fewer keys: the support is the least there is.
        for size in range(1, width + 1):
            for support in combinations(range(keys), size):
                _, left, *_ = np.linalg.lstsq(system[list(support)].T, target, rcond=None)
                assert left.size == 0 or left[0] > 1e-12
        assert int(solution.support[0, query]) == width + 1


@pytest.mark.parametrize("name", ["flat", "sharp", "sink", "wide values"])
def test_vertices_of_highs_have_as_many_weights(name):
    """HiGHS finds a vertex of the same polytope for any costs: the simplex ends in one."""
    weights, values = FAMILIES[name]
    solution = solve(weights[:1, :4], values[:1], kind="sparsest")
    rank = int(96 - solution.null_dimension[0, 0])
    system, costs = columns_of(values[0]), np.random.default_rng(0)
    for query in range(4):
        row = weights[0, query].double().numpy()
        target = row / row.sum() @ system
        found = linprog(costs.random(96), A_eq=system.T, b_eq=target, bounds=(0, None), method="highs-ds")
        assert found.status == 0
        assert int(solution.support[0, query]) == rank
        # HiGHS meets the equations to 1e-7, and a weight of that size may be its 0
        assert rank - 2 <= (found.x > 1e-12).sum() <= rank


def test_trivial_null_space_gives_the_models_row_to_the_last_bit():
    weights, values = softmax_rows(2, 12, 12, 2.0).double(), normal(2, 12, 16)
    weights = weights / weights.sum(dim=-1, keepdim=True)
    solution = solve(weights, values, kind="sparsest")
    assert torch.equal(solution.matrix, weights / weights.sum(dim=-1, keepdim=True))
    assert bool(solution.basic.all())
    assert not solution.iterations.any()
    assert bool((solution.support == 12).all())


def test_of_keys_that_no_output_can_tell_apart_the_first_stays():
    keys = 24
    equal = solve(softmax_rows(2, 3, keys, 2.0), torch.full((2, keys, 4), 3.0), kind="sparsest")
    assert bool((equal.matrix[..., 0] == 1).all())
    assert bool((equal.support == 1).all())
    values = normal(2, 12, 3, seed=3).repeat(1, 2, 1)  # each key has a twin twelve keys on
    twins = solve(softmax_rows(2, 6, keys, 2.0), values, kind="sparsest")
    assert_basic(twins, softmax_rows(2, 6, keys, 2.0), values)
    assert not twins.matrix[..., 12:].any()


def test_one_hot_rows_between_the_others_stay_as_they_are():
    weights, values = DEGENERATE["one-hot, few columns"]
    solution = solve(weights, values, kind="sparsest")
    solution.raise_if_uncertified()
    # The outermost keys are no mixture of others; an inner one is, and has at most rank many weights.
    corner = values[0, :, 0].argmax()
    assert float(solution.matrix[0, corner, corner]) == pytest.approx(1)
    assert int(solution.support[0, corner]) == 1
    assert int(solution.support.max()) <= 3


@pytest.mark.parametrize("name", ["flat", "sharp", "sink", "one column"])
def test_row_by_row_way_agrees_with_the_batched_one(name):
    weights, values = FAMILIES[name]
    allowed = torch.ones(2, 96, dtype=torch.bool)
    basis, _ = column_basis(values.double(), allowed, with_ones=True)
    start = solve(weights[:, :3], values).matrix
    batched, removed = basic_points(basis, start, start @ basis)
    for head in range(2):
        for query in range(3):
            begun = torch.where(start[head, query] > 1e-12, start[head, query], 0.0)
            one, steps = _sparsest._eliminate_one(basis[head], begun, begun @ basis[head])
            torch.testing.assert_close(one, batched[head, query], rtol=0, atol=1e-8)
            assert steps <= int((begun > 0).sum())
    assert torch.equal(removed, (start > 0).sum(-1) - (batched > 0).sum(-1))


def test_rows_that_the_batched_way_spoils_are_done_one_by_one(monkeypatch):
    weights, values = FAMILIES["sharp"]
    weights = weights[:, :3]
    wanted = solve(weights, values, kind="sparsest").matrix
    spoil = _sparsest._eliminate

    def half_done(basis, point, target):
        vertex, removed = spoil(basis, point, target)
        vertex[0] = point[0]  # too many weights
        vertex[1, 0] = vertex[1, 1]  # another output
        return vertex, removed

    monkeypatch.setattr(_sparsest, "_eliminate", half_done)
    repaired = solve(weights, values, kind="sparsest")
    assert_basic(repaired, weights, values)
    torch.testing.assert_close(repaired.matrix, wanted, rtol=0, atol=1e-8)


def test_rows_that_are_not_basic_are_not_certified(monkeypatch):
    from whybench.methods import _output_preserving

    weights, values = FAMILIES["flat"]
    unchanged = lambda basis, point, target: (point, torch.zeros_like(point[..., 0], dtype=torch.int64))  # noqa: E731
    monkeypatch.setattr(_output_preserving, "basic_points", unchanged)
    solution = solve(weights, values, kind="sparsest")
    assert float(solution.residual.max()) < 1e-6
    assert not solution.certified.any()
    with pytest.raises(CertificateError, match=r"sparsest attention miss .*, 48 not basic"):
        solution.raise_if_uncertified()


def test_independent_support_is_numpys_rank():
    basis = torch.linalg.qr(torch.cat([torch.ones(1, 12, 1), normal(1, 12, 3).float()], -1).double())[0]
    basis[0, 5] = basis[0, 4]
    generator = torch.Generator().manual_seed(0)
    point = (torch.rand(1, 200, 12, generator=generator) < 0.25).double()
    wanted = [np.linalg.matrix_rank(basis[0][row > 0].numpy()) == int(row.sum()) for row in point[0]]
    assert independent_support(basis, point)[0].tolist() == wanted
    assert 0 < sum(wanted) < 200


def test_near_twins_under_peaked_rows_are_basic():
    weights, values = softmax_rows(2, 24, 96, 20.0), near_duplicates(1e-4, width=16)
    assert_basic(solve(weights, values, kind="sparsest"), weights, values)


@pytest.mark.parametrize(
    ("checkpoint", "data", "tokens"),
    [("minilm-imdb", "imdb", 256), ("minilm-agnews", "ag_news", 96), ("stories260K", "imdb", 256)],
)
def test_trained_attention_on_real_text(checkpoint, data, tokens):
    if not (SHARED / "models" / checkpoint).is_dir():
        pytest.skip(f"no checkpoint {checkpoint} under {SHARED}/models: set WHYBENCH_SHARED")
    table = pyarrow.parquet.read_table(SHARED / "data" / data / "test.parquet", columns=["text"])
    longest = sorted(table["text"].to_pylist()[:50], key=len)[-1:]
    ((weights, values),) = trained_attention(checkpoint, longest, tokens)
    # every third head of every layer, or it takes long
    weights, values = weights[:, ::3], values[:, ::3]
    keys = weights.shape[-1]
    allowed = torch.ones(keys, keys, dtype=torch.bool)
    if checkpoint.startswith("stories"):
        allowed = allowed.tril()
    queries = torch.arange(0, keys, 32)
    rows, masks = weights[:, :, queries], allowed[queries]
    solution = solve(rows, values, masks, kind="sparsest")
    efficient = solve(rows, values, masks)
    solution.raise_if_uncertified()
    rank = masks.sum(-1) - solution.null_dimension
    assert bool((solution.support <= rank).all())
    assert bool((solution.support <= efficient.support).all())
    # From another row with the same output.
    given = rows.double() / rows.double().sum(-1, keepdim=True)
    other = solve(((given + solution.matrix) / 2)[-1], values[-1], masks, kind="sparsest")
    torch.testing.assert_close(other.matrix, solution.matrix[-1], rtol=0, atol=1e-7)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(given, solution.matrix, rtol=0, atol=1e-2)
    # Some rows against HiGHS and NumPy.
    for index in efficient.support.flatten().argsort(descending=True)[:: len(queries) * 3].tolist():
        layer, head, query = (int(i) for i in np.unravel_index(index, solution.support.shape))
        attendable = masks[query]
        system = columns_of(values[layer, head][attendable])
        row = given[layer, head, query][attendable].numpy()
        got = solution.matrix[layer, head, query][attendable].numpy()
        np.testing.assert_allclose(got @ system, row @ system, atol=1e-7)
        assert np.linalg.matrix_rank(system[got > 0], tol=1e-12) == (got > 0).sum()
        found = linprog(np.arange(len(row)) % 7, A_eq=system.T, b_eq=row @ system, bounds=(0, None), method="highs-ds")
        assert found.status == 0
        assert (found.x > 0).sum() <= int(rank[layer, head, query])
        assert int(solution.support[layer, head, query]) <= int(rank[layer, head, query])
