"""Thousands of broken submissions and files of scores: each is a clear finding or error, none raises, none writes."""

import copy
import io
import json
import os
import pickle
import shutil
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from whybench.bench.attributions import parse
from whybench.bench.errors import AttributionsError
from whybench.bench.submission_checks import static_report
from whybench.tests.bench.submissions import contents, lay_out, packed, seal

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links and pipes")


def fuzz(examples):
    """The same examples every time, and as many as are worth their time."""
    return settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A valid submission in memory."""
    folder = packed(tmp_path_factory.mktemp("whole"))
    return {name: Content(content) for name, content in contents(folder).items() if content is not None}


class Content(bytes):
    """Bytes that do not fill the report of a failing test."""

    def __repr__(self):
        return f"<{len(self)} bytes>"


class Try:
    """A place to lay submissions out in, beside something that must stay as it is."""

    def __init__(self, home):
        self.home, self.count = home, 0
        (home / "outside").mkdir()
        (home / "outside" / "file").write_text("as it was")

    def report(self, files, disturb=lambda _: None):
        """Check these files; whatever they are, nothing is written and nothing is raised."""
        self.count += 1
        folder = self.home / f"s{self.count % 4}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        lay_out(folder, files)
        disturb(folder)
        before = contents(self.home)
        report = static_report(folder)
        assert contents(self.home) == before
        for finding in report.findings:
            # an exception that nobody has thought of
            assert "cannot be checked" not in finding.reason, finding.reason
            assert len(finding.told()) < 3000
            finding.told().encode("utf-8")
        return report


@pytest.fixture(scope="module")
def tried(tmp_path_factory):
    return Try(tmp_path_factory.mktemp("tried"))


def test_the_submission_itself_passes(whole, tried):
    assert tried.report(whole).passed
    again = dict(whole)
    seal(again)
    assert tried.report(again).passed


# ---- JSON ----

DEEP = json.loads("[" * 200 + "]" * 200)
STRANGE = [None, True, False, 0, -1, 0.5, 1e308, float("nan"), float("inf"), -float("inf"), 2**63, 10**400, "", [], {}]
STRANGE += [
    "../x",
    "/etc/passwd",
    "cells/../../x",
    "a\x00b",
    "\ud800",
    "\u202eevil",
    "x" * 100_000,
    "1",
    "null",
    "\u0663",
]
STRANGE += [DEEP, [DEEP], {"a": DEEP}, [[]] * 1000, {str(i): i for i in range(1000)}]
EVIL = st.one_of(
    st.sampled_from(STRANGE),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.none(), max_size=3),
)


def places(value, above=()):
    """All places in a JSON value."""
    yield above
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in below:
        yield from places(part, (*above, name))


@st.composite
def broken_json(draw, value):
    """JSON text with something wrong at one place."""
    value = copy.deepcopy(value)
    path = draw(st.sampled_from(list(places(value))))
    how = draw(st.sampled_from(["replace", "remove", "rename", "add", "twice", "wrap"]))
    if not path:
        return json.dumps(draw(EVIL)).encode()
    parent = value
    for name in path[:-1]:
        parent = parent[name]
    if how == "replace":
        parent[path[-1]] = draw(EVIL)
    elif how == "remove":
        del parent[path[-1]]
    elif how == "wrap":
        parent[path[-1]] = [parent[path[-1]]]
    elif isinstance(parent, dict) and how == "rename":
        parent[draw(st.text(max_size=10))] = parent.pop(path[-1])
    elif isinstance(parent, dict):
        parent[draw(st.sampled_from(["extra", "__class__", "../", "schema_version"]))] = draw(EVIL)
    text = json.dumps(value)
    if how == "twice" and isinstance(parent, dict):
        text = text[:-1] + ', "schema_version": 1, "schema_version": 1}'
    return text.encode("utf-8", "surrogatepass")


@st.composite
def broken_bytes(draw, content):
    """Bytes that are cut, changed, or something else altogether."""
    how = draw(st.sampled_from(["cut", "flip", "insert", "random", "pickle", "zip", "empty", "zeros"]))
    place = draw(st.integers(0, max(0, len(content) - 1)))
    if how == "cut":
        return content[:place]
    if how == "flip":
        changed = bytearray(content)
        for _ in range(draw(st.integers(1, 8))):
            changed[draw(st.integers(0, len(content) - 1))] ^= draw(st.integers(1, 255))
        return bytes(changed)
    if how == "insert":
        return content[:place] + draw(st.binary(min_size=1, max_size=20)) + content[place:]
    if how == "random":
        return draw(st.binary(max_size=200))
    if how == "pickle":
        return pickle.dumps({"a": np.zeros(3)})
    if how == "zip":
        bomb = io.BytesIO()
        with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x", bytes(10**6))
        return bomb.getvalue()
    return b"" if how == "empty" else bytes(1000)


def json_files(whole):
    return sorted(name for name in whole if name.endswith(".json"))


@fuzz(1000)
@given(data=st.data())
def test_broken_json(whole, tried, data):
    files = dict(whole)
    name = data.draw(st.sampled_from(json_files(whole)))
    files[name] = data.draw(broken_json(json.loads(whole[name])))
    if name.endswith("result.json") and data.draw(st.booleans()):
        seal(files)
    tried.report(files)


@fuzz(600)
@given(data=st.data())
def test_broken_results_whose_names_and_digests_are_right(whole, tried, data):
    """As one would make them who knows how a submission is built: what is left is what the figures say."""
    files = dict(whole)
    (name,) = (name for name in whole if name.endswith("result.json"))
    text = data.draw(broken_json(json.loads(whole[name])))
    assume(text != whole[name])
    files[name] = text
    seal(files)
    report = tried.report(files)
    first = next((finding.check for finding in report.findings if finding.status == "failed"), None)
    assert first in (None, "results", "tables", "figures")


@fuzz(1000)
@given(data=st.data())
def test_broken_bytes(whole, tried, data):
    files = dict(whole)
    name = data.draw(st.sampled_from(sorted(whole)))
    files[name] = data.draw(broken_bytes(whole[name]))
    assume(files[name] != whole[name])
    if name.endswith((".parquet", ".py")) and data.draw(st.booleans()):
        seal(files)
        report = tried.report(files)
        # a source is not read before it is run
        assert name.endswith(".py") or report.passed or report.findings
    else:
        report = tried.report(files)
        assert not report.passed or name == "submission.json"


# ---- the folder ----

KNOWN = ["x", ".hidden", "cells/x", "cells/x/y/z", "cells/a/evil.pkl", "method/a.py", "method/a.so", "checks/x.json"]
KNOWN += [
    "cells/..a/result.json",
    "cells/\n/result.json",
    "method/\u00e9.py",
    "submission.json.bak",
    "cells/a/result.json",
]
NAMES = st.one_of(
    st.sampled_from(KNOWN),
    st.from_regex(r"[a-zA-Z._-]{1,20}(/[a-zA-Z._-]{1,20})?", fullmatch=True).filter(
        lambda name: not {".", ".."} & set(name.split("/"))
    ),
)


@fuzz(400)
@given(data=st.data())
def test_strange_folders(whole, tried, data):
    files = dict(whole)
    how = data.draw(st.sampled_from(["extra", "missing", "link", "folder link", "pipe", "folder", "deep", "many"]))
    if how == "missing":
        del files[data.draw(st.sampled_from(sorted(files)))]

    def disturb(folder):
        target = folder / data.draw(st.sampled_from(sorted(whole)))
        outside = tried.home / "outside"
        if how == "extra":
            extra = folder / data.draw(NAMES)
            try:
                extra.parent.mkdir(parents=True, exist_ok=True)
                extra.write_bytes(b"x")
            except OSError:
                (folder / "x").write_bytes(b"x")
        elif how == "link":
            target.unlink()
            target.symlink_to(data.draw(st.sampled_from([outside / "file", "/etc/passwd", "nowhere", target])))
        elif how == "folder link":
            (folder / "checks").symlink_to(outside)
        elif how == "pipe":
            target.unlink()
            os.mkfifo(target)
        elif how == "folder":
            target.unlink()
            target.mkdir()
        elif how == "deep":
            (folder / "a/b/c/d/e/f").mkdir(parents=True)
        elif how == "many":
            for i in range(20):
                (folder / "cells" / f"c{i}").mkdir()
                (folder / "cells" / f"c{i}" / "result.json").write_bytes(b"{}")

    assert not tried.report(files, disturb).passed


# ---- tables ----

VALUES = {
    pa.string(): st.one_of(st.none(), st.text(max_size=5)),
    pa.int64(): st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.integers(-2, 5)),
    pa.float64(): st.one_of(st.none(), st.floats(), st.floats(0, 1)),
    pa.bool_(): st.one_of(st.none(), st.booleans()),
}


def values_of(kind):
    if pa.types.is_list(kind):
        return st.one_of(st.none(), st.lists(values_of(kind.value_type), max_size=4))
    return VALUES[kind]


@st.composite
def broken_table(draw, content):
    """A table with something wrong in it that its types allow, or with other types or columns."""
    table = pq.read_table(io.BytesIO(content))
    name = draw(st.sampled_from(table.column_names))
    place, kind = table.column_names.index(name), table.schema.field(name).type
    how = draw(st.sampled_from(["values", "one", "drop", "rename", "type", "rows", "swap", "none", "twice"]))
    values = table.column(name).to_pylist()
    if how == "values":
        new = draw(st.lists(values_of(kind), min_size=len(values), max_size=len(values)))
        table = table.set_column(place, name, pa.array(new, type=kind))
    elif how == "one":
        values[draw(st.integers(0, len(values) - 1))] = draw(values_of(kind))
        table = table.set_column(place, name, pa.array(values, type=kind))
    elif how == "drop":
        table = table.drop_columns([name])
    elif how == "rename":
        table = table.rename_columns(["x" if one == name else one for one in table.column_names])
    elif how == "type":
        new = pa.array(
            [draw(st.text(max_size=3)) for _ in values], type=draw(st.sampled_from([pa.binary(), pa.string()]))
        )
        table = table.set_column(place, name, new)
    elif how == "rows":
        chosen = draw(st.lists(st.integers(0, len(values) - 1), max_size=6))
        table = table.take(pa.array(chosen, type=pa.int64()))
    elif how == "swap":
        other = draw(st.sampled_from([c for c in table.column_names if table.schema.field(c).type == kind]))
        table = table.set_column(place, name, table.column(other))
    elif how == "none":
        table = table.set_column(place, name, pa.nulls(len(values), kind))
    elif how == "twice":
        table = table.append_column(name, table.column(name))
    written = io.BytesIO()
    pq.write_table(table, written)
    return written.getvalue()


@fuzz(500)
@given(data=st.data())
def test_broken_tables(whole, tried, data):
    files = dict(whole)
    (name,) = (name for name in whole if name.endswith(".parquet"))
    files[name] = data.draw(broken_table(whole[name]))
    seal(files)
    tried.report(files)


def test_a_table_that_says_it_is_huge_is_not_read(whole, tried):
    (name,) = (name for name in whole if name.endswith(".parquet"))
    many = pa.table({"example_id": ["a"] * 250_000, "label": np.zeros(250_000, dtype=np.int64)})
    written = io.BytesIO()
    pq.write_table(many, written, compression="zstd")
    assert len(written.getvalue()) < 200_000
    files = whole | {name: written.getvalue()}
    seal(files)
    report = tried.report(files)
    (finding,) = [one for one in report.findings if one.status == "failed"]
    assert (finding.check, "250,000 rows" in finding.reason) == ("tables", True)


def test_a_text_that_stands_in_a_million_places_is_not_unfolded(whole, tried):
    """Two hundred kilobytes that would be four gigabytes."""
    (name,) = (name for name in whole if name.endswith(".parquet"))
    table = pq.read_table(io.BytesIO(whole[name]))
    place = table.column_names.index("tokens")
    once = pa.DictionaryArray.from_arrays(pa.array(np.zeros(40_000, dtype=np.int32)), ["x" * 100_000])
    offsets = pa.array(np.linspace(0, 40_000, table.num_rows + 1).astype(np.int32))
    table = table.set_column(place, "tokens", pa.ListArray.from_arrays(offsets, once))
    plain = pa.list_(pa.string())
    written = io.BytesIO()
    with pq.ParquetWriter(written, table.schema, compression="zstd", store_schema=False) as writer:
        writer.write_table(table)
    assert len(written.getvalue()) < 300_000
    assert pq.read_schema(io.BytesIO(written.getvalue())).field("tokens").type == plain
    files = whole | {name: written.getvalue()}
    seal(files)
    report = tried.report(files)
    (finding,) = [one for one in report.findings if one.status == "failed"]
    assert (finding.check, "more than 1,073,741,824 bytes in it" in finding.reason) == ("tables", True)


# ---- files of scores ----

LINE = {"id": "1", "words": ["a", "b"], "scores": [0.5, -1.0]}
HEADER = {"family": "gradient", "signed": True, "summary": "x", "description": "y", "note": "z"}


@fuzz(2000)
@given(data=st.data())
def test_broken_files_of_scores(data):
    lines = [json.dumps(HEADER).encode(), json.dumps(LINE).encode(), json.dumps(LINE | {"id": "2"}).encode()]
    place = data.draw(st.integers(0, 2))
    if data.draw(st.booleans()):
        lines[place] = data.draw(broken_json([HEADER, LINE, LINE][place]))
        content = b"\n".join(lines)
    else:
        content = data.draw(broken_bytes(b"\n".join(lines)))
    try:
        header, found = parse(content, "x.jsonl")
    except AttributionsError as error:
        assert str(error).startswith("x.jsonl")
        assert len(str(error)) < 2000
        str(error).encode("utf-8")
        return
    for line in found.values():
        assert len(line.strings) == len(line.scores)
        assert np.isfinite(line.scores).all()
    assert header.family not in ("reference", "control")
