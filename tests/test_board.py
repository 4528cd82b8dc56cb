"""The rows that are committed: whole, small, and without texts of others."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

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
