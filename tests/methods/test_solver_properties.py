"""What holds for every kind of row, over drawn cases and in every architecture; the exact references are elsewhere."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from whybench.bench.tiny_models import FAMILIES, TEXTS, tiny_classifier
from whybench.methods._output_preserving import RESIDUAL_TOLERANCE, ROW_SUM_TOLERANCE, solve
from whybench.tests.methods.test_output_preserving import SHARED, normal, trained_attention

KINDS = ("effective", "row_sum", "efficient", "sparsest")
DISTRIBUTIONS = ("efficient", "sparsest")

drawn = settings(
    max_examples=20, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)

pytestmark = pytest.mark.usefixtures("one_thread")


def near_twins(values, distance):
    values = values.clone()
    half = values.shape[1] // 2
    values[:, half : 2 * half] = values[:, :half] + distance * normal(*values[:, :half].shape, seed=9)
    return values


VALUES = {
    "plain": lambda values: values,
    "offset": lambda values: values + 30,
    "low rank": lambda values: values[..., :1] @ normal(1, 1, values.shape[-1], seed=5),
    "near twins": lambda values: near_twins(values, 1e-3),
    "zero column": lambda values: torch.cat([values, torch.zeros_like(values[..., :1])], dim=-1),
}
# Here no basic row can be told from another by the output: several keys have one value.
TIED = {
    "twins": lambda values: near_twins(values, 0.0),
    "equal": lambda values: torch.ones_like(values),
    "zero": torch.zeros_like,
}


@st.composite
def cases(draw, values=tuple(VALUES), sharpness=(0.5, 2.0, 6.0), masks=("none", "padding", "causal"), least=1):
    """Weights ``[2, keys, keys]`` in float64 with row sums 1, values ``[2, keys, width]``, and the mask or None."""
    seed, keys = draw(st.integers(0, 10**6)), draw(st.integers(least, 20))
    vectors = (VALUES | TIED)[draw(st.sampled_from(values))](normal(2, keys, draw(st.integers(1, 6)), seed=seed))
    scores = draw(st.sampled_from(sharpness)) * normal(2, keys, keys, seed=seed + 1)
    allowed = torch.ones(keys, keys, dtype=torch.bool)
    match draw(st.sampled_from(masks)):
        case "none":
            return torch.softmax(scores, -1), vectors, None
        case "padding":
            allowed[:, draw(st.integers(1, keys)) :] = False
        case "causal":
            allowed = allowed.tril()
    return torch.softmax(scores.masked_fill(~allowed, -torch.inf), -1), vectors, allowed


def close(left, right):
    torch.testing.assert_close(left, right, rtol=0, atol=1e-6)


def size(values):
    return values.norm(dim=-1).amax(dim=-1)[:, None]


@pytest.mark.parametrize("kind", KINDS)
@drawn
@given(case=cases(values=(*VALUES, *TIED), sharpness=(0.0, 0.5, 2.0, 6.0, 20.0)))
def test_same_output_and_what_each_kind_promises(kind, case):
    weights, values, allowed = case
    solution = solve(weights, values, allowed, kind)
    solution.raise_if_uncertified()
    error = (solution.matrix @ values - weights @ values).norm(dim=-1)
    assert bool((error <= RESIDUAL_TOLERANCE * (weights @ values).norm(dim=-1) + 1e-12 * size(values)).all())
    assert torch.equal(solution.support, (solution.matrix != 0).sum(-1))
    if kind != "sparsest":
        assert bool((solution.matrix.norm(dim=-1) <= weights.norm(dim=-1) * (1 + 1e-9)).all())
    if kind != "effective":
        assert float((solution.matrix.sum(-1) - 1).abs().max()) <= ROW_SUM_TOLERANCE
    if kind in DISTRIBUTIONS:
        assert float(solution.matrix.min()) >= 0
    if allowed is not None:
        assert not solution.matrix[:, ~allowed].any()
    keys = torch.tensor(weights.shape[-1]) if allowed is None else allowed.sum(-1)
    rank = keys - solution.null_dimension
    assert bool((rank <= values.shape[-1] + (kind != "effective")).all())
    assert bool((solution.support <= rank)[solution.basic].all())
    if kind == "sparsest":
        assert bool(solution.basic.all())
    trivial = solution.null_dimension == 0
    torch.testing.assert_close(solution.matrix[trivial], weights[trivial], rtol=0, atol=1e-15)


@pytest.mark.parametrize("kind", KINDS)
@drawn
@given(case=cases(masks=("none",), least=4), seed=st.integers(0, 100))
def test_any_attention_with_the_same_output_gives_the_same_row(kind, case, seed):
    """The start is moved inside the null space of [V, 1], at random and as far as no weight turns negative."""
    weights, values, _ = case
    system = torch.cat([values / values.abs().max(), torch.ones_like(values[..., :1])], dim=-1)
    left, singular, _ = torch.linalg.svd(system, full_matrices=True)
    moved = weights.clone()
    for head in range(2):
        null = left[head][:, int((singular[head] > 1e-9).sum()) :]
        move = normal(weights.shape[1], null.shape[1], seed=seed) @ null.T
        length = torch.where(move < 0, -weights[head] / move, torch.inf).amin(-1, keepdim=True)
        moved[head] += 0.99 * torch.where(length.isfinite(), length, 0.0) * move
    moved = moved.clamp_min(0)
    close(solve(moved, values, kind=kind).matrix, solve(weights, values, kind=kind).matrix)


@pytest.mark.parametrize("kind", KINDS)
@drawn
@given(case=cases(), seed=st.integers(0, 100))
def test_order_of_keys_and_basis_of_values_make_no_difference(kind, case, seed):
    weights, values, allowed = case
    matrix = solve(weights, values, allowed, kind).matrix
    order = torch.randperm(weights.shape[-1], generator=torch.Generator().manual_seed(seed))
    masks = None if allowed is None else allowed[:, order]
    close(solve(weights[..., order], values[:, order], masks, kind).matrix, matrix[..., order])
    width = values.shape[-1]
    turned, _ = torch.linalg.qr(normal(width, width, seed=seed))
    scales = torch.linspace(0.3, 3, width, dtype=torch.float64)
    close(solve(weights, values @ (turned * scales), allowed, kind).matrix, matrix)


@pytest.mark.parametrize("kind", KINDS)
@drawn
@given(case=cases(), padding=st.integers(1, 5), seed=st.integers(0, 100))
def test_padding_and_other_examples_make_no_difference(kind, case, padding, seed):
    weights, values, allowed = case
    heads, keys, width = values.shape
    alone = solve(weights, values, allowed, kind)
    longer = keys + padding
    batched = torch.softmax(normal(2, heads, longer, longer, seed=seed), -1)
    vectors = normal(2, heads, longer, width, seed=seed + 1)
    masks = torch.ones(2, 1, longer, longer, dtype=torch.bool)
    masks[1, :, :keys] = False
    masks[1, :, :keys, :keys] = True if allowed is None else allowed
    batched[1, :, :keys] = 0
    batched[1, :, :keys, :keys], vectors[1, :, :keys] = weights, values
    together = solve(batched, vectors, masks, kind)
    close(together.matrix[1, :, :keys, :keys], alone.matrix)
    assert not together.matrix[1, :, :keys, keys:].any()
    assert torch.equal(together.null_dimension[1, :, :keys], alone.null_dimension)
    assert torch.equal(together.certified[1, :, :keys], alone.certified)


@pytest.mark.parametrize("kind", KINDS)
def test_one_token_and_one_attendable_key(kind):
    one = solve(torch.ones(2, 1, 1), normal(2, 1, 8), kind=kind)
    assert bool(one.certified.all())
    assert bool((one.matrix == 1).all())
    allowed = torch.eye(6, dtype=torch.bool)
    own = solve(torch.eye(6).repeat(2, 1, 1), normal(2, 6, 3), allowed, kind)
    assert bool(own.certified.all())
    assert torch.equal(own.matrix, torch.eye(6, dtype=torch.float64).repeat(2, 1, 1))
    assert not own.null_dimension.any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_logits_stay_when_every_head_runs_with_it(family, kind):
    """In float32, all layers at once: what is by construction for one head is so for the model."""
    classifier = tiny_classifier(family)
    batch = classifier.encode(TEXTS)
    with torch.no_grad():
        record = classifier.attention(batch)
        layers = [solve(*layer, kind=kind) for layer in zip(record.weights, record.values, record.allowed, strict=True)]
        for layer in layers:
            layer.raise_if_uncertified()
        replaced = classifier.replace_attention(batch, [layer.matrix.float() for layer in layers])
        logits = classifier.logits(batch)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(replaced, logits, rtol=0, atol=1e-4)
    # The first text has more tokens than d_v + 1, and its rows did change.
    assert max(int(layer.null_dimension[0].max()) for layer in layers) > 0
    changed = [(new.matrix[0] - old[0]).abs().max() for new, old in zip(layers, record.weights, strict=True)]
    assert float(max(changed)) > 1e-2


@pytest.mark.parametrize(("checkpoint", "tokens"), [("minilm-imdb", 256), ("stories260K", 256)])
def test_projections_of_trained_attention(checkpoint, tokens):
    """Effective and row-sum rows of real text against the pseudo-inverse, which is NumPy's."""
    if not (SHARED / "models" / checkpoint).is_dir():
        pytest.skip(f"no checkpoint {checkpoint} under {SHARED}/models: set WHYBENCH_SHARED")
    table = pyarrow.parquet.read_table(SHARED / "data" / "imdb" / "test.parquet", columns=["text"])
    ((weights, values),) = trained_attention(checkpoint, [max(table["text"].to_pylist()[:50], key=len)], tokens)
    queries = torch.tensor([0, 5, 100, tokens - 1])
    weights = weights[:, ::4, queries]
    values = values[:, ::4]
    masks = torch.ones(tokens, tokens, dtype=torch.bool)
    masks = (masks.tril() if checkpoint.startswith("stories") else masks)[queries]
    for kind in ("effective", "row_sum"):
        solution = solve(weights, values, masks, kind)
        solution.raise_if_uncertified()
        for layer, head, query in np.ndindex(weights.shape[:3]):
            allowed = masks[query]
            row, system = (part.double().numpy() for part in (weights[layer, head, query], values[layer, head]))
            row, system = row[allowed], system[allowed]
            if kind == "row_sum":
                row, system = row / row.sum(), np.column_stack([system, np.ones(len(row))])
            system = system / np.linalg.norm(system, axis=0)
            got = solution.matrix[layer, head, query][allowed].numpy()
            np.testing.assert_allclose(got, row @ system @ np.linalg.pinv(system, rcond=1e-12), atol=1e-8)
