"""The rows that are committed: whole, small, and without texts of others."""

import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from whybench.bench.choices import CONTROL, UNRANKED
from whybench.bench.listing import entries
from whybench.bench.publication import is_generated
from whybench.bench.store import ResultStore
from whybench.bench.verification import BOARD

FOLDER = Path(__file__).resolve().parent.parent / "leaderboard" / "results" / BOARD

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="there are no committed rows here")


def test_every_committed_row_can_be_read_and_is_small():
    store = ResultStore(FOLDER)
    cells = store.read_all()
    assert cells
    store.read_failures()
    for stored in cells:
        published = stored.result.published
        assert published is not None, stored.result.cell
        # reading checks the digests and the identities
        assert len(stored.examples) == stored.result.spec.task.examples
        _ = stored.gates
        vars(stored).pop("examples")
        size = sum(path.stat().st_size for path in stored.folder.iterdir())
        assert size <= max(100_000, 300 * stored.result.spec.task.examples), stored.result.cell
        if not is_generated(stored.result.spec.task):
            assert (published.texts, published.maps) == (False, 0), stored.result.cell
            columns = {column.name for column in pq.read_schema(stored.folder / "examples.parquet")}
            assert not columns & {"text", "text_pair", "continuation", "foil", "tokens", "unit_starts", "evidence"}


def test_the_built_in_suite_is_there_in_full():
    cells = [stored.result for stored in (*ResultStore(FOLDER).read_all(), *ResultStore(FOLDER).read_failures())]
    methods = {entry.name for entry in entries("method") if entry.fact("family") not in (*UNRANKED, CONTROL)}
    # exact Shapley values are for texts of a few words, and these have more
    methods -= {"shapley"}
    for task in (entry for entry in entries("task") if entry.fact("suite") == "mini"):
        rows = [result for result in cells if result.spec.task.name == task.name]
        assert methods <= {result.spec.method.name for result in rows}, task.name
        assert {result.spec.task.examples for result in rows} == {200}


def test_the_readme_has_these_rows():
    text = (FOLDER.parents[2] / "README.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"^```text\n(sst2 .*?)^```$", text, re.MULTILINE | re.DOTALL)
    found = {
        stored.result.label: stored.result
        for stored in ResultStore(FOLDER).read_all()
        if stored.result.spec.task.name == "sst2" and stored.result.spec.measure == "faithfulness"
    }
    lines = dict(re.findall(r"^ (\w+) +\S+ [a-z–]+ +(\d\.\d{3}) ", table, re.MULTILINE))
    assert len(lines) > 20
    for label, value in lines.items():
        assert float(value) == pytest.approx(found[label].figures["comprehensiveness"].mean, abs=5.1e-4), label
