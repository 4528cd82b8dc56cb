"""Moves inside and across the null space, each row against a plain decomposition of its own; the null space itself."""

import numpy as np
import pytest
import torch

from whybench.bench.causal.chance import generator
from whybench.bench.causal.identifiability import identify
from whybench.bench.causal.moves import REACH, moves
from whybench.tests.bench.causal.methods import random_rows, shared_of

D_V = 4


def values_of(heads, keys, seed=1):
    return torch.from_numpy(generator(seed, "values").standard_normal((heads, keys, D_V)))


def seen_by(values, keys):
    """Orthonormal columns of [V, 1] over some keys, by a plain singular value decomposition."""
    columns = np.column_stack([values[keys].numpy(), np.ones(len(keys))])
    left, singular, _ = np.linalg.svd(columns, full_matrices=False)
    return left[:, singular > 1e-12 * singular[0]]


def moving_keys(row, rank):
    """T of the row, by its definition."""
    positive = int((row > 0).sum())
    size = rank + -(-(positive - rank) // 2)
    smallest = sorted(row.tolist(), reverse=True)[size - 1]
    return [key for key, weight in enumerate(row.tolist()) if weight >= smallest]


@pytest.mark.parametrize("sharpness", [0.0, 1.0, 4.0, 12.0])
@pytest.mark.parametrize("causal", [False, True])
def test_every_moved_row(sharpness, causal):
    rows, allowed = random_rows(2, 20, 20, sharpness, causal=causal)
    # exact zeros, as efficient attention has them
    rows = torch.where(rows < 1e-3, 0.0, rows)
    rows = rows / rows.sum(dim=-1, keepdim=True)
    values = values_of(2, 20)
    found = moves(rows, values, allowed, generator(0, "a"))
    again = moves(rows, values, allowed, generator(0, "a"))
    assert torch.equal(found.inside, again.inside)
    assert torch.equal(found.across, again.across)
    assert not torch.equal(found.inside, moves(rows, values, allowed, generator(1, "a")).inside) or sharpness == 12
    for head in range(2):
        for query in range(20):
            row, inside, across = rows[head, query], found.inside[head, query], found.across[head, query]
            keys = allowed[0, query].nonzero()[:, 0].tolist()
            rank = seen_by(values[head], keys).shape[1]
            if (row > 0).sum() <= rank:
                assert not found.moved[head, query]
            if not found.moved[head, query]:
                assert torch.equal(row, inside)
                assert torch.equal(row, across)
                assert found.distance[head, query] == 0
                continue
            part = moving_keys(row, rank)
            span = seen_by(values[head], part)
            step = float(found.distance[head, query] * row.norm())
            others = [key for key in range(20) if key not in part]
            for moved in (inside, across):
                assert float(moved.min()) >= 0
                assert abs(float(moved.sum()) - 1) < 1e-12
                assert float((moved - row).norm()) == pytest.approx(step, rel=1e-9)
                assert torch.equal(moved[others], row[others])
                assert float(moved[part].min()) > 0
            # the head's output: the same inside, another one across
            assert float(((inside - row) @ values[head]).norm()) < 1e-12
            assert float(((across - row) @ values[head]).norm()) > 1e-6 * step
            left = (across - row)[part].numpy()
            assert np.linalg.norm(left - span @ (span.T @ left)) < 1e-9 * step
            # the shorter way goes nine tenths of what there is
            shrunk = min(float((inside / row)[part].min()), float((across / row)[part].min()))
            assert shrunk == pytest.approx(1 - REACH, abs=1e-9)
    assert bool(found.moved.any())


def test_moves_are_far_for_peaked_rows():
    """Isotropic directions, the best of as many, go 0.017 of ‖m‖ on these rows."""
    rows, allowed = random_rows(2, 30, 30, 3.0)
    found = moves(rows, values_of(2, 30), allowed, generator(0, "a"))
    assert bool(found.moved.all())
    assert float(found.distance.mean()) > 0.02


def test_no_room_no_move():
    rows, allowed = random_rows(2, 5, 5)
    found = moves(rows, values_of(2, 5), allowed, generator(0, "a"))
    assert not bool(found.moved.any())
    # constant values: every move is inside, there is none across
    rows, allowed = random_rows(1, 6, 6)
    assert not bool(moves(rows, torch.ones(1, 6, D_V).double(), allowed, generator(0, "a")).moved.any())


def test_values_that_are_the_same_on_the_moving_keys_are_left_alone():
    rows, allowed = random_rows(1, 12, 12)
    values = torch.ones(1, 12, D_V).double()
    smallest = rows[0].sum(dim=0).argsort()[:2]
    values[0, smallest] = torch.randn(2, D_V, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = moves(rows, values, allowed, generator(0, "a"))
    assert bool(found.inside.isfinite().all())
    assert bool(found.across.isfinite().all())
    assert not bool(found.moved.all())
    assert float(((found.inside - rows) @ values).norm()) < 1e-12


@pytest.mark.parametrize("family", ["bert", "gpt2", "modernbert"])
def test_the_null_space_of_every_row(family):
    shared = shared_of(family)
    record = shared.record(0)
    found = identify(record)
    dimensions, shares = np.zeros(found.share.shape), np.zeros(found.share.shape)
    for layer, (weights, values, allowed) in enumerate(zip(record.weights, record.values, record.allowed, strict=True)):
        mask = allowed[0].expand(weights.shape[1], -1, -1)
        for head in range(weights.shape[1]):
            for query in range(weights.shape[2]):
                keys = mask[head, query].nonzero()[:, 0].tolist()
                row, span = weights[0, head, query][keys].numpy(), seen_by(values[0, head], keys)
                dimensions[layer, head, query] = len(keys) - span.shape[1]
                unseen = row - span @ (span.T @ row)
                shares[layer, head, query] = unseen @ unseen / (row @ row) if len(keys) > span.shape[1] else 0
    np.testing.assert_array_equal(found.dimension.numpy(), dimensions)
    np.testing.assert_allclose(found.share.numpy(), shares, atol=1e-12)
    assert dimensions.max() > 0
    layer, head = found.widest_head()
    assert shares.mean(axis=-1)[layer, head] == shares.mean(axis=-1).max()


def test_the_widest_head_of_several_is_the_first():
    shared = shared_of("bert", ["bad"])
    assert identify(shared.record(0)).widest_head() == (0, 0)
