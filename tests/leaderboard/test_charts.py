"""Specs of charts are valid Vega-Lite and hold no data; what pages hold for them is small and safe."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from whybench.bench.errors import SiteError
from whybench.bench.store import ResultStore
from whybench.leaderboard.chart_kinds import KINDS
from whybench.leaderboard.charts import LIBRARY, SPECS, rounded, scripts
from whybench.leaderboard.site import build_site
from whybench.tests.leaderboard.causal_factory import causal_suite
from whybench.tests.leaderboard.factory import suite
from whybench.tests.leaderboard.page import charts, parse

vl_convert = pytest.importorskip("vl_convert")


# kinds whose data a script of the page has
BY_SCRIPT = {
    "versus": {
        "data": {"examples": [{"id": ["a", "b"], "first": [0.1, 0.4], "second": [-0.2, 0.5]}]},
        "given": {"first": "→ one", "second": "→ other", "names": ["one", "other"], "ends": [-0.2, 0.5]},
    }
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("charts")
    store = ResultStore(folder / "results")
    suite(store, examples=6)
    causal_suite(store, examples=6)
    before = ResultStore(folder / "before")
    suite(before, examples=6, created="2026-01-01T00:00:00+00:00")
    results, earlier = store.read_all(), [before.read_all()]
    return build_site(results, store.read_failures(), folder / "site", earlier=earlier).parent


def filled(part: Any, given: dict[str, Any]) -> Any:
    """What ``charts.js`` does with the strings that a page puts in."""
    if isinstance(part, str):
        return given[part[1:]] if part.startswith("@") else part
    if isinstance(part, list):
        return [filled(one, given) for one in part]
    return {name: filled(one, given) for name, one in part.items()} if isinstance(part, dict) else part


def rows(group: dict[str, Any]) -> list[dict[str, Any]]:
    length = max(len(column) for column in group.values() if isinstance(column, list))
    return [
        {name: column[i] if isinstance(column, list) else column for name, column in group.items()}
        for i in range(length)
    ]


def test_every_kind_is_valid_with_the_data_of_a_page(site: Path) -> None:
    by_kind = BY_SCRIPT | {kind: content for path in site.rglob("*.html") for kind, content in charts(parse(path))}
    assert set(by_kind) == set(KINDS)
    for kind, content in by_kind.items():
        spec = filled(KINDS[kind](), content["given"])
        spec["datasets"] = {
            name: [row for group in groups for row in rows(group)] for name, groups in content["data"].items()
        }
        spec["width"] = 400
        svg = vl_convert.vegalite_to_svg(spec)
        assert "NaN" not in svg, kind


def test_specs_hold_no_data_and_no_address() -> None:
    text = scripts()[SPECS].decode()
    specs = json.loads(text.removeprefix("window.chartSpecs = ").removesuffix(";"))
    assert set(specs) == set(KINDS)
    assert "://" not in text
    for kind, spec in specs.items():
        assert spec["width"] == "container", kind
        assert "datasets" not in spec, kind


def test_scripts_are_made_once_and_are_the_same_again() -> None:
    first = scripts()
    assert scripts() is first
    scripts.cache_clear()
    assert scripts() == first
    assert 500_000 < len(first[LIBRARY]) < 1_000_000


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    made = scripts()
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    scripts.cache_clear()
    with pytest.raises(SiteError, match="the package vl_convert, which brings the scripts of the charts"):
        scripts()
    monkeypatch.undo()
    assert scripts() == made


def test_only_pages_with_charts_load_the_scripts(site: Path) -> None:
    for path in site.rglob("*.html"):
        page = parse(path)
        loads = any(LIBRARY in script.attributes.get("src", "") for script in page.all("script"))
        assert loads == bool(page.all("figure", data_chart=None)), path.name


def test_numbers_are_rounded_to_what_can_be_seen() -> None:
    assert rounded(np.array([0.123456, -1234.56, 0.0, 2.34567e-13, np.nan, np.inf])) == [
        0.1235,
        -1235.0,
        0.0,
        2.346e-13,
        None,
        None,
    ]
