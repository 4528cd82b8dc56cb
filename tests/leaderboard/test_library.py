"""The script of the tables is the installed package's, in the one form that a page opened from a file can load."""

import re
from importlib.metadata import distribution
from pathlib import Path

import pytest

from whybench.bench.errors import SiteError
from whybench.bench.store import ResultStore
from whybench.leaderboard import library
from whybench.leaderboard.library import BUNDLE, PACKAGE, datatables, script
from whybench.leaderboard.site import build_site
from whybench.tests.leaderboard.factory import Made, make


def test_the_package_has_one_module_and_its_notices_are_kept() -> None:
    module = Path(str(distribution(PACKAGE).locate_file(BUNDLE))).read_text(encoding="utf-8")
    text = datatables().decode()
    assert not re.search(r"\bexport\s*\{", text)
    assert text.count("window.DataTable=") == 1
    notices = module[module.index("/*! Bundled license information") :]
    assert "DataTables" in notices
    assert notices in text


@pytest.mark.parametrize(
    ("module", "made"),
    [
        ("var a=1;export{a as default};", "var a=1;window.DataTable=a;"),
        ("var $a=1;export{b as c,$a as default, d as e};/*! X */", "var $a=1;window.DataTable=$a;/*! X */"),
        ("var a=1;export {a as default}\n// last", "var a=1;window.DataTable=a;\n// last"),
    ],
)
def test_the_default_export_becomes_a_name_of_the_page(module: str, made: str) -> None:
    assert script(module).decode() == f'(function(){{"use strict";{made}\n}})();\n'


@pytest.mark.parametrize(
    "module",
    [
        "",
        "var a=1;",
        "export{a as other};",
        "export{a as default};export{b as default};",
        'import{x}from"jquery";export{a as default};',
        "export default a;",
    ],
)
def test_another_form_is_an_error(module: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one of each"):
        script(module)
    (tmp_path / "bundle.js").write_text(module, encoding="utf-8")
    monkeypatch.setattr(library, "BUNDLE", str(tmp_path / "bundle.js"))
    with pytest.raises(SiteError, match="cannot be taken from the installed package itables"):
        datatables()


def test_without_the_package_nothing_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "PACKAGE", "no-such-package-of-tables")
    store = ResultStore(tmp_path / "results")
    make(store, Made())
    with pytest.raises(SiteError, match="no-such-package-of-tables"):
        build_site(store.read_all(), [], tmp_path / "site")
    assert not (tmp_path / "site").exists()
