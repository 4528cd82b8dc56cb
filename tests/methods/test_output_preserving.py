"""The solver against an exact QP solver, its invariances, the degenerate cases, and attention of trained models."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import quadprog
import torch
from torch import Tensor

from whybench.bench.errors import CertificateError, ParameterError
from whybench.methods._least_norm import FIRST_NEWTON_STEPS, INTERIOR_STEPS, LAST_NEWTON_STEPS
from whybench.methods._output_preserving import (
    GAP_TOLERANCE,
    RESIDUAL_TOLERANCE,
    ROW_SUM_TOLERANCE,
    Solution,
    solve,
)

SHARED = Path(os.environ.get("WHYBENCH_SHARED", "../shared"))

pytestmark = pytest.mark.usefixtures("one_thread")


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def softmax_rows(heads: int, queries: int, keys: int, sharpness: float, seed: int = 1) -> Tensor:
    """Rows of a softmax in float32, as a model gives them."""
    return torch.softmax(sharpness * normal(heads, queries, keys, seed=seed).float(), dim=-1)


def sink(mass: float, queries: int = 24, keys: int = 96) -> Tensor:
    """Rows that put all but ``mass`` on the first key."""
    rows = mass * softmax_rows(2, queries, keys, 2.0).double()
    rows[..., 0] += 1 - mass
    return rows


def near_duplicates(distance: float, width: int = 8) -> Tensor:
    """Values ``[2, 96, width]`` in which every key has a twin at ``distance``."""
    values = normal(2, 96, width, seed=3)
    values[:, 48:] = values[:, :48] + distance * normal(2, 48, width, seed=4)
    return values


def exact(row: Tensor, values: Tensor) -> np.ndarray:
    """The efficient row ``[keys]`` of one attention row by quadprog, which wants independent constraints."""
    row, values = row.double() / row.double().sum(), values.double()
    columns = torch.cat([torch.ones_like(values[:, :1]), values - values.mean(dim=0)], dim=1).numpy()
    norms = np.linalg.norm(columns, axis=0)
    left, singular, _ = np.linalg.svd(columns / np.where(norms > 0, norms, 1), full_matrices=False)
    basis = left[:, singular > 1e-12]
    keys = len(row)
    constraints = np.ascontiguousarray(np.hstack([basis, np.eye(keys)]))
    bounds = np.concatenate([basis.T @ row.numpy(), np.zeros(keys)])
    return quadprog.solve_qp(np.eye(keys), np.zeros(keys), constraints, bounds, meq=basis.shape[1])[0]


def assert_certified(solution: Solution, weights: Tensor, values: Tensor) -> None:
    """Check the certificate, and what it says against the matrix itself."""
    solution.raise_if_uncertified()
    assert solution.certified.shape == weights.shape[:-1]
    output, wanted = solution.matrix @ values.double(), weights.double() @ values.double()
    magnitude = wanted.norm(dim=-1) + 1e-15 * values.double().norm(dim=-1).amax(dim=-1, keepdim=True)
    assert bool(((output - wanted).norm(dim=-1) <= RESIDUAL_TOLERANCE * magnitude).all())
    assert float(solution.matrix.min()) >= 0
    assert float((solution.matrix.sum(dim=-1) - 1).abs().max()) <= ROW_SUM_TOLERANCE
    given = weights.double() / weights.double().sum(dim=-1, keepdim=True)
    assert bool((solution.matrix.norm(dim=-1) <= given.norm(dim=-1) * (1 + 1e-9)).all())


def assert_exact(solution: Solution, weights: Tensor, values: Tensor, every: int) -> None:
    """Compare rows of ``[heads, queries, keys]`` with quadprog."""
    for head in range(weights.shape[0]):
        for query in range(0, weights.shape[1], every):
            wanted = exact(weights[head, query], values[head])
            got = solution.matrix[head, query].numpy()
            assert got @ got == pytest.approx(wanted @ wanted, rel=GAP_TOLERANCE)
            # The objective is quadratic around its minimum: the point is known to the root of that.
            assert np.abs(got - wanted).max() <= 1e-5 * np.linalg.norm(wanted)


FAMILIES = {
    "flat": (softmax_rows(2, 24, 96, 1.0), normal(2, 96, 16)),
    "sharp": (softmax_rows(2, 24, 96, 5.0), normal(2, 96, 16)),
    "peaked": (softmax_rows(2, 24, 96, 20.0), normal(2, 96, 16)),
    "sink": (sink(1e-2), normal(2, 96, 16)),
    "extreme sink": (sink(1e-6), normal(2, 96, 16)),
    "wide values": (softmax_rows(2, 24, 96, 5.0), normal(2, 96, 64)),
    "offset values": (softmax_rows(2, 24, 96, 5.0), normal(2, 96, 16) + 100),
    "columns of many scales": (softmax_rows(2, 24, 96, 5.0), normal(2, 96, 8) * torch.logspace(-6, 6, 8).double()),
    "one column": (softmax_rows(2, 24, 96, 5.0), normal(2, 96, 1)),
    "twins": (softmax_rows(2, 24, 96, 5.0), near_duplicates(0.0)),
    "near twins": (softmax_rows(2, 24, 96, 5.0), near_duplicates(1e-5)),
    "low rank": (softmax_rows(2, 24, 96, 5.0), normal(2, 96, 3) @ normal(2, 3, 16, seed=5)),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_efficient_agrees_with_the_exact_solver(name):
    weights, values = FAMILIES[name]
    solution = solve(weights, values)
    assert solution.matrix.dtype == torch.float64
    assert_certified(solution, weights, values)
    assert_exact(solution, weights, values, every=6)


def test_near_twins_under_peaked_rows_reach_the_last_resort():
    weights, values = softmax_rows(2, 24, 96, 20.0), near_duplicates(1e-4, width=16)
    solution = solve(weights, values)
    assert_certified(solution, weights, values)
    head, query = divmod(int(solution.iterations.argmax()), 24)
    assert int(solution.iterations[head, query]) > FIRST_NEWTON_STEPS + INTERIOR_STEPS + LAST_NEWTON_STEPS
    wanted, got = exact(weights[head, query], values[head]), solution.matrix[head, query].numpy()
    assert got @ got == pytest.approx(wanted @ wanted, rel=GAP_TOLERANCE)


def test_rows_are_the_models_own_where_the_null_space_is_trivial():
    weights, values = softmax_rows(2, 12, 12, 2.0).double(), normal(2, 12, 16)
    weights = weights / weights.sum(dim=-1, keepdim=True)
    for kind in ("effective", "row_sum", "efficient", "sparsest"):
        solution = solve(weights, values, kind=kind)
        # to the last bit or two: one bit was seen to differ with another number of threads
        torch.testing.assert_close(solution.matrix, weights, rtol=0, atol=3e-16)
        assert not solution.null_dimension.any()
        assert not solution.iterations.any()


def test_effective_is_the_projection_on_the_columns_of_the_values():
    weights, values = softmax_rows(2, 24, 96, 5.0), normal(2, 96, 16)
    solution = solve(weights, values, kind="effective")
    solution.raise_if_uncertified()
    torch.testing.assert_close(solution.matrix, weights.double() @ values @ torch.linalg.pinv(values))
    assert bool((solution.null_dimension == 96 - 16).all())
    assert float(solution.row_sum_error.max()) > 0.01


def test_each_condition_costs_norm_and_buys_a_distribution():
    weights, values = softmax_rows(2, 24, 96, 5.0), normal(2, 96, 16)
    effective, row_sum, efficient = (
        solve(weights, values, kind=kind) for kind in ("effective", "row_sum", "efficient")
    )
    given = weights.double() / weights.double().sum(dim=-1, keepdim=True)
    norms = torch.stack([m.norm(dim=-1) for m in (effective.matrix, row_sum.matrix, efficient.matrix, given)])
    assert bool((norms.diff(dim=0) >= -1e-7).all())
    row_sum.raise_if_uncertified()
    assert bool((row_sum.null_dimension == 96 - 17).all())
    assert float(row_sum.smallest.min()) < 0
    ones = torch.cat([torch.ones(2, 96, 1), values], dim=-1)
    torch.testing.assert_close(row_sum.matrix, given @ ones @ torch.linalg.pinv(ones))


@pytest.mark.parametrize("name", ["sharp", "peaked", "extreme sink"])
def test_any_row_with_the_same_output_leads_to_the_same_answer(name):
    weights, values = FAMILIES[name]
    first = solve(weights, values).matrix
    given = weights.double() / weights.double().sum(dim=-1, keepdim=True)
    for start in (first, (first + given) / 2):
        torch.testing.assert_close(solve(start, values).matrix, first, rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", ["flat", "peaked", "sink", "wide values"])
def test_order_of_keys_and_basis_of_values_make_no_difference(name):
    weights, values = FAMILIES[name]
    matrix = solve(weights, values).matrix
    order = torch.randperm(weights.shape[-1], generator=torch.Generator().manual_seed(6))
    permuted = solve(weights[..., order], values[:, order]).matrix
    torch.testing.assert_close(permuted, matrix[..., order], rtol=0, atol=1e-7)
    mapped = solve(
        weights, values @ (normal(values.shape[-1], values.shape[-1], seed=7) + 3 * torch.eye(values.shape[-1]))
    )
    torch.testing.assert_close(mapped.matrix, matrix, rtol=0, atol=1e-7)


@pytest.mark.parametrize("kind", ["effective", "row_sum", "efficient", "sparsest"])
def test_padding_and_the_rest_of_the_batch_make_no_difference(kind):
    lengths, longest = (90, 40, 10, 1), 96
    weights, values = torch.zeros(4, 2, longest, longest), torch.full((4, 2, longest, 16), torch.nan)
    allowed = torch.zeros(4, 1, 1, longest, dtype=torch.bool)
    alone = []
    for index, length in enumerate(lengths):
        rows, vectors = softmax_rows(2, length, length, 8.0, seed=index), normal(2, length, 16, seed=index).float()
        alone.append(solve(rows, vectors, kind=kind))
        weights[index, :, :length, :length], values[index, :, :length] = rows, vectors
        weights[index, :, length:, :length] = 1 / length  # what a padding query attends to is some distribution too
        allowed[index, ..., :length] = True
    together = solve(weights, values, allowed, kind=kind)
    together.raise_if_uncertified()
    for index, length in enumerate(lengths):
        own = together.matrix[index, :, :length]
        torch.testing.assert_close(own[..., :length], alone[index].matrix, rtol=0, atol=1e-7)
        assert not own[..., length:].any()
        assert torch.equal(together.null_dimension[index, :, :length], alone[index].null_dimension)


def test_causal_rows_use_their_own_prefix():
    keys = 48
    allowed = torch.ones(keys, keys, dtype=torch.bool).tril()
    scores = 6 * normal(2, keys, keys, seed=8).float()
    weights, values = torch.softmax(scores.masked_fill(~allowed, -torch.inf), dim=-1), normal(2, keys, 8)
    solution = solve(weights, values, allowed)
    assert_certified(solution, weights, values)
    for length in range(1, keys + 1):
        prefix = solve(weights[:, length - 1 : length, :length], values[:, :length])
        torch.testing.assert_close(solution.matrix[:, length - 1, :length], prefix.matrix[:, 0], rtol=0, atol=1e-7)
        assert solution.null_dimension[:, length - 1].tolist() == [max(0, length - 9)] * 2
    assert not solution.matrix[:, ~allowed].any()


def test_rows_without_a_key_are_zero_and_certified():
    weights, values = softmax_rows(2, 3, 12, 1.0), normal(2, 12, 4)
    allowed = torch.ones(3, 12, dtype=torch.bool)
    allowed[1] = False
    solution = solve(weights, values, allowed)
    solution.raise_if_uncertified()
    assert not solution.matrix[:, 1].any()
    torch.testing.assert_close(solution.matrix[:, [0, 2]], solve(weights[:, [0, 2]], values).matrix)
    nothing = solve(weights, values, torch.zeros(12, dtype=torch.bool))
    assert not nothing.matrix.any()
    nothing.raise_if_uncertified()


ONE_HOT = torch.eye(96).repeat(2, 1, 1)
DEGENERATE = {
    "one token": (torch.ones(2, 1, 1), normal(2, 1, 8)),
    "two tokens": (softmax_rows(2, 2, 2, 1.0), normal(2, 2, 8)),
    "one-hot": (ONE_HOT, normal(2, 96, 8)),
    "one-hot, few columns": (ONE_HOT, normal(2, 96, 2)),
    "one-hot, wide": (ONE_HOT, normal(2, 96, 64)),
    "one-hot, twins": (ONE_HOT, near_duplicates(0.0)),
    "one-hot, near twins": (ONE_HOT[:, ::8], near_duplicates(1e-6)),
    "nearly one-hot": (sink(1e-12), normal(2, 96, 8)),
    "mostly zeros": (torch.where(softmax_rows(2, 24, 96, 20.0) > 1e-3, 0.25, 0.0), normal(2, 96, 8)),
    "equal values": (softmax_rows(2, 24, 96, 5.0), torch.full((2, 96, 8), 3.0)),
    "zero values": (softmax_rows(2, 24, 96, 5.0), torch.zeros(2, 96, 8)),
    "tiny values": (softmax_rows(2, 24, 96, 5.0), normal(2, 96, 8) * 1e-30),
    "huge values": (softmax_rows(2, 24, 96, 5.0), normal(2, 96, 8) * 1e30),
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_cases(name):
    weights, values = DEGENERATE[name]
    weights = weights.double() / weights.double().sum(dim=-1, keepdim=True)
    assert_certified(solve(weights, values), weights, values)


def test_what_degenerate_cases_give():
    keys = 96
    equal = solve(softmax_rows(2, 24, keys, 5.0), torch.full((2, keys, 8), 3.0))
    torch.testing.assert_close(equal.matrix, torch.full_like(equal.matrix, 1 / keys))
    assert bool((equal.null_dimension == keys - 1).all())
    twins = solve(ONE_HOT, near_duplicates(0.0)).matrix
    torch.testing.assert_close(twins[..., :48], twins[..., 48:], rtol=0, atol=1e-9)


def test_half_precision_attention_is_not_certified():
    weights, values = softmax_rows(2, 24, 96, 5.0).bfloat16(), normal(2, 96, 16)
    solution = solve(weights, values)
    assert not solution.certified.all()
    with pytest.raises(CertificateError, match=r"of 48 rows of efficient attention miss .* run the model in float32"):
        solution.raise_if_uncertified()


GOOD, VALUES = softmax_rows(2, 4, 6, 1.0), normal(2, 6, 3)
MISTAKES = {
    "kind": ((GOOD, VALUES, None, "efficent"), "kind must be one of effective, row_sum, efficient, sparsest"),
    "two dimensions": ((GOOD[0], VALUES[0]), "weights must be"),
    "empty": ((GOOD[:, :0], VALUES), "no empty dimension"),
    "keys": ((GOOD, VALUES[:, :5]), r"values must be \[2, 6, 'd_v'\]"),
    "batch": ((GOOD[None], VALUES), "values must be"),
    "integers": ((GOOD.long(), VALUES), "floating point"),
    "negative": ((GOOD - 1, VALUES), "not negative"),
    "nan": ((GOOD * torch.nan, VALUES), "finite"),
    "infinite value": ((GOOD, VALUES / 0), "values must be finite"),
    "all zero": ((GOOD * 0, VALUES), "all-zero row"),
    "mask dtype": ((GOOD, VALUES, torch.ones(6)), "allowed must be boolean"),
    "mask shape": ((GOOD, VALUES, torch.ones(5, dtype=torch.bool)), "does not broadcast"),
    "other mask": ((GOOD, VALUES, torch.arange(6) < 5), "allowed is False"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_named(name):
    arguments, message = MISTAKES[name]
    with pytest.raises(ParameterError, match=message):
        solve(*arguments)


def trained_attention(checkpoint: str, texts: list[str], tokens: int) -> list[tuple[Tensor, Tensor]]:
    """Attention ``[layers, heads, tokens, tokens]`` and values ``[layers, heads, tokens, d_v]`` for each text."""
    import transformers

    folder = SHARED / "models" / checkpoint
    causal = checkpoint.startswith("stories")
    kind = transformers.AutoModelForCausalLM if causal else transformers.AutoModelForSequenceClassification
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = kind.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    heads = model.config.num_attention_heads
    values: list[Tensor] = []
    for name, module in model.named_modules():
        if name.endswith(("self.value", "v_proj")):
            module.register_forward_hook(lambda _module, _inputs, output: values.append(output[0]))
    records = []
    for text in texts:
        values.clear()
        ids = tokenizer(text, return_tensors="pt", truncation=True, max_length=tokens)["input_ids"]
        with torch.no_grad():
            attention = model(input_ids=ids, output_attentions=True).attentions
        width = model.config.hidden_size // heads
        vectors = torch.stack([layer.unflatten(-1, (-1, width)).transpose(0, 1) for layer in values])
        vectors = vectors.repeat_interleave(heads // vectors.shape[1], dim=1)  # key/value heads shared by several heads
        records.append((torch.cat(attention), vectors))
    return records


@pytest.mark.parametrize(
    ("checkpoint", "data", "tokens"),
    [("minilm-imdb", "imdb", 256), ("minilm-sst2", "sst2", 64), ("stories260K", "imdb", 256)],
)
def test_trained_attention_on_real_text(checkpoint, data, tokens):
    if not (SHARED / "models" / checkpoint).is_dir():
        pytest.skip(f"no checkpoint {checkpoint} under {SHARED}/models: set WHYBENCH_SHARED")
    table = pyarrow.parquet.read_table(SHARED / "data" / data / "test.parquet", columns=["text"])
    longest = sorted(table["text"].to_pylist()[:50], key=len)[-1:]
    for weights, values in trained_attention(checkpoint, longest, tokens):
        keys = weights.shape[-1]
        allowed = torch.ones(keys, keys, dtype=torch.bool)
        if checkpoint.startswith("stories"):
            allowed = allowed.tril()
        queries = torch.arange(0, keys, 8)  # the first is the readout row of an encoder
        rows, masks = weights[:, :, queries], allowed[queries]
        solution = solve(rows, values, masks)
        assert_certified(solution, rows, values)
        assert bool((solution.iterations > 0).any())
        # The rows that took the most work are the peaked ones.
        for index in solution.iterations.flatten().argsort(descending=True)[:: len(queries) * 3].tolist()[:16]:
            layer, head, query = (int(i) for i in np.unravel_index(index, solution.iterations.shape))
            attendable = masks[query]
            wanted = exact(rows[layer, head, query][attendable], values[layer, head][attendable])
            got = solution.matrix[layer, head, query][attendable].numpy()
            assert got @ got == pytest.approx(wanted @ wanted, rel=GAP_TOLERANCE)
