"""axe-core on every kind of page, light and dark: no serious issue."""

from pathlib import Path
from typing import Any

import pytest

from whybench.bench.schema import GateOutcome
from whybench.bench.store import ResultStore
from whybench.leaderboard.site import build_site
from whybench.tests.leaderboard.causal_factory import causal_suite
from whybench.tests.leaderboard.factory import METHODS, Made, make
from whybench.tests.leaderboard.test_skills import references

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed (extra: test)")

FAILED = GateOutcome(status="failed", value=0.4, limit=1e-4, reason="another batch, another map")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ResultStore:
    made = ResultStore(tmp_path_factory.mktemp("results"))
    for task in ("xor_cues", "majority"):
        for method in METHODS[:4]:
            make(made, Made(**{**method, "task": task, "examples": 6, "roles": True}))
        references(made, task=task, examples=6)
    make(made, Made(method="spoiled", gates={"batch_invariance": FAILED}, failed={1: "no number"}, examples=6))
    for source, quality in (("first", 0.1), ("second", 3.0)):
        make(made, Made(method="versions", source=source, quality=quality, examples=6))
    make(made, Made(method="lime", error="the residual misses the tolerance", examples=6))
    causal_suite(made, examples=6)
    return made


@pytest.fixture(scope="module")
def pages(store: ResultStore, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One page of each kind; the overview and a board also as they are where there are many results."""
    results, failures = store.read_all(), store.read_failures()
    site = build_site(results, failures, tmp_path_factory.mktemp("built") / "site").parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("whybench.leaderboard.overview.MOST_CELLS", 10)
        patch.setattr("whybench.leaderboard.history_page.MOST_TRACKS", 1)
        short = build_site(results, failures, tmp_path_factory.mktemp("short") / "site").parent
    assert (site / "history.html").is_file()
    folders = [folder for folder in sorted(site.iterdir()) if list(folder.glob("*.html"))]
    return [
        *sorted(site.glob("*.html")),
        *(sorted(folder.glob("*.html"))[0] for folder in folders),
        site / "methods" / "spoiled.html",
        sorted((site / "examples").rglob("*.html"))[0],
        short / "index.html",
        next((short / "boards").iterdir()),
        short / "history.html",
        next((short / "history").iterdir()),
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_issue(browser: Any, pages: list[Path], scheme: str) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    found = []
    for path in pages:
        page.goto(path.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        for violation in axe.Axe().run(page).response["violations"]:
            if violation["impact"] in ("serious", "critical"):
                where = [node["html"][:160] for node in violation["nodes"][:3]]
                found.append(f"{path.parent.name}/{path.name}: {violation['id']} {where}")
    context.close()
    assert not found, "\n".join(found)


def test_axe_finds_what_is_wrong(browser: Any) -> None:
    page = browser.new_page()
    page.set_content("<html lang=en><title>x</title><main><h1>x</h1><input><p style='color:#aaa'>faint</p></main>")
    found = {violation["id"] for violation in axe.Axe().run(page).response["violations"]}
    page.close()
    assert {"label", "color-contrast"} <= found
