"""What must hold between a result's figures and its per-example table, and within each example.

These are identities of the definitions: a number that breaks one was changed, or computed wrongly.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from whybench.bench.curves import Curves, Floats
from whybench.bench.examples_table import UNITS, curves_of, lists
from whybench.bench.figures import FIGURES
from whybench.bench.identity_arrays import hold
from whybench.bench.schema import Published, Result

TOLERANCE = 1e-9


def broken(result: Result, examples: pa.Table) -> str | None:
    """The first identity that does not hold, with the example and both numbers; None where all hold.

    - There are as many rows as examples, and as many of them without an error as have a score.
    - Every metric of every example is finite and within its range; a figure is the mean of its column, over as many
      examples as it says.
    - ``probability`` is the curve's at k = 0. All units removed is what no unit kept is, and none removed what all kept
      is: ``p(x) - p(R(x, top(n)))``, the comprehensiveness at q = 1, is ``p(x) - p(nothing left)``.
    - The best unit removed alone is the curve's k = 1, where both were recorded.
    - Probabilities lie in [0, 1], sizes ascend from 0 to n, and there is one entry for each unit.
    - A unit has a segment, a start and an end, an example an id.
    - A published copy has texts and maps for as many examples as it says, and its mean curves have the same ends: the
      mean of ``probability`` with all units, and one number with none.
    """
    return next(_broken(result, examples), None)


def _broken(result: Result, examples: pa.Table) -> Iterator[str]:
    ids = examples.column("example_id").to_pylist()
    coverage = result.coverage
    if coverage is not None:
        if len(ids) != coverage.examples:
            yield f"it has {len(ids)} rows, the result has {coverage.examples} examples"
        scored = examples.column("error").null_count
        if scored != coverage.scored:
            yield f"{scored} rows have no error, the result has {coverage.scored} scored examples"
    if None in ids:
        yield f"row {ids.index(None)} has no example_id"
    for place in ("unit_starts", "unit_ends"):
        lengths = [pc.list_value_length(examples.column(name)).fill_null(-1) for name in ("unit_segments", place)]
        if not lengths[0].equals(lengths[1]):
            yield f"unit_segments and {place} are not of the same units"
    for name in result.figures:
        yield from _figure(result, name, examples.column(name), ids)
    if result.published is not None:
        yield from _published(result, result.published, examples, ids)
    if hold(examples, TOLERANCE):
        return
    probabilities = examples.column("probability").to_pylist()
    units = lists(examples, "unit_starts")
    try:
        recorded = curves_of(examples)
    except (KeyError, ValueError) as error:
        yield f"the curves cannot be read: {error}"
        return
    for name, probability, starts, curves in zip(ids, probabilities, units, recorded, strict=True):
        if curves is not None:
            for what in _example(probability, 0 if starts is None else len(starts), curves):
                yield f"example {name!r}: {what}"


def _figure(result: Result, name: str, column: pa.ChunkedArray, ids: list[str]) -> Iterator[str]:
    figure, (low, high) = result.figures[name], FIGURES[name].range
    there = column.is_valid().to_numpy()
    values: Floats = column.drop_null().to_numpy()
    outside = ~((values >= low - TOLERANCE) & (values <= high + TOLERANCE) & np.isfinite(values))
    if outside.any():
        place = int(np.flatnonzero(there)[outside.argmax()])
        yield f"example {ids[place]!r}: {name} is {values[outside.argmax()]}; its range is {low} to {high}"
    if len(values) != figure.examples:
        yield f"{name} has a number for {len(values)} examples, the result's figure for {figure.examples}"
    elif len(values) and not _same(mean := float(values.mean()), figure.mean):
        yield f"{name} has the mean {mean} over the examples, the result's figure {figure.mean}"


def _published(result: Result, published: Published, examples: pa.Table, ids: list[str]) -> Iterator[str]:
    counts, units = examples.column(UNITS).to_pylist(), lists(examples, "unit_starts")
    for name in (name for name in examples.column_names if pa.types.is_list(examples.schema.field(name).type)):
        there = np.flatnonzero(examples.column(name).is_valid().to_numpy())
        if len(there) and there[-1] >= published.maps:
            yield f"example {ids[there[-1]]!r} has {name}, the result says that {published.maps} examples have maps"
    texts = np.flatnonzero(examples.column("text").is_valid().to_numpy()).tolist()
    if texts != list(range(published.maps)):
        yield f"{len(texts)} examples have a text, the result says that the first {published.maps} have one"
    for name in ("text_pair", "continuation", "foil"):
        there = np.flatnonzero(examples.column(name).is_valid().to_numpy())
        if len(there) and there[-1] >= published.maps:
            yield f"example {ids[there[-1]]!r} has {name}, the result says that {published.maps} examples have texts"
    for name, count, starts in zip(ids, counts, units, strict=True):
        if starts is not None and len(starts) != count:
            yield f"example {name!r} has {len(starts)} of {count} units"
    if result.spec.measure == "faithfulness" and None in (published.deletion, published.insertion):
        yield "the result has no mean curves"
    known = examples.column("probability").drop_null().to_numpy()
    if published.deletion is None or published.insertion is None or not len(known):
        return
    removed, kept, whole = published.deletion.mean, published.insertion.mean, float(known.mean())
    for what, one, two in (
        ("with nothing removed", removed[0], whole),
        ("with all kept", kept[-1], whole),
        ("with all removed and none kept", removed[-1], kept[0]),
    ):
        if one is not None and two is not None and not _same(one, two):
            yield f"{what} the mean curves have p = {one} and {two}"


def _example(probability: float | None, units: int, curves: Curves) -> Iterator[str]:
    n = curves.units
    if n != units:
        yield f"it has {n} scores for {units} units"
    for name, k, p in (
        ("removed", curves.removed_k, curves.removed_p),
        ("kept", curves.kept_k, curves.kept_p),
    ):
        if len(k) != len(p) or (np.diff(k) <= 0).any() or (len(k) and not 0 <= k[0] <= k[-1] <= n):
            yield f"the curve {name!r} has {len(p)} probabilities at k = {k.tolist()}; k must ascend within 0 to {n}"
            return
    if len(curves.removed_flipped) != len(curves.removed_k):
        yield f"removed_flipped has {len(curves.removed_flipped)} entries for {len(curves.removed_k)} sizes"
        return
    for name, row in (
        ("removed_p", curves.removed_p),
        ("kept_p", curves.kept_p),
        ("single_p", curves.single_p),
        ("drawn_p", curves.drawn_p),
        ("soft_p", curves.soft_p.ravel()),
    ):
        wrong = ~((row >= 0) & (row <= 1))
        if wrong.any():
            yield f"{name} has {row[wrong.argmax()]} at place {int(wrong.argmax())}; a probability lies between 0 and 1"
    if not len(curves.removed_k) or curves.removed_k[0] != 0:
        yield "the curve 'removed' does not begin with nothing removed (k = 0)"
        return
    if probability is None or not _same(probability, curves.original):
        yield f"probability is {probability}, and with nothing removed (removed_p at k = 0) it is {curves.original}"
    removed = dict(zip(curves.removed_k.tolist(), curves.removed_p.tolist(), strict=True))
    kept = dict(zip(curves.kept_k.tolist(), curves.kept_p.tolist(), strict=True))
    for gone, left in ((n, 0), (0, n)):
        if gone in removed and left in kept and not _same(removed[gone], kept[left]):
            yield f"with {gone} of {n} units removed p is {removed[gone]}, with {left} of them kept {kept[left]}"
    if len(curves.single_p) not in (0, n):
        yield f"single_p has {len(curves.single_p)} entries for {n} units"
    elif len(curves.single_p) and 1 in removed:
        best = curves.single_p[curves.scores == curves.scores.max()]
        if not np.isclose(best, removed[1], rtol=0, atol=TOLERANCE).any():
            yield f"with the best unit removed p is {removed[1]} (k = 1), with it removed alone {best.tolist()}"


def _same(one: float, two: float) -> bool:
    return abs(one - two) <= TOLERANCE * max(1.0, abs(one), abs(two))
