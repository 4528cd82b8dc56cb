"""Tables run by DataTables in a real Chromium, opened from files: order, what is missing, files of what is shown."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from whybench.bench.schema import GateOutcome
from whybench.bench.store import ResultStore
from whybench.leaderboard.site import build_site
from whybench.tests.leaderboard.causal_factory import causal_suite
from whybench.tests.leaderboard.factory import Made, make
from whybench.tests.leaderboard.test_browser import CONTRAST, page
from whybench.tests.leaderboard.test_skills import two_tasks

__all__ = ["page"]

FAILED = GateOutcome(status="failed", value=0.4, limit=1e-4, reason="another batch, another map")
HOSTILE = "=cmd()\"';,<b>\u202e\\input{x}%"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ResultStore:
    made = two_tasks(tmp_path_factory.mktemp("results"), examples=8)
    make(made, Made(method="spoiled", gates={"batch_invariance": FAILED}, examples=8))
    make(made, Made(method="hostile", label=HOSTILE, examples=8, evidence=False))
    causal_suite(made, examples=8)
    return made


@pytest.fixture(scope="module")
def site(store: ResultStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_site(store.read_all(), [], tmp_path_factory.mktemp("built") / "site").parent


@pytest.fixture(scope="module")
def short(store: ResultStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("whybench.leaderboard.overview.MOST_CELLS", 10)
        yield build_site(store.read_all(), [], tmp_path_factory.mktemp("short") / "site").parent


def test_the_way_past_the_navigation_leaves_the_view_in_the_address(page: Any, site: Path) -> None:
    page.goto((site / "index.html").as_uri())
    page.locator("#family").select_option("attention")
    address, shown = page.url, page.locator("#count").inner_text()
    assert "family=attention" in address
    page.locator("a.skip").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    assert (page.url, page.locator("#count").inner_text()) == (address, shown)
    # and the next stop is within the content
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")


@pytest.mark.parametrize("width", [390, 1280])
def test_names_of_metrics_do_not_reach_into_their_figures(browser: Any, site: Path, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 844})
    opened = context.new_page()
    opened.goto((site / "truth.html").as_uri())
    wide = opened.locator("#trust tbody th").evaluate_all("all => all.map(c => [c.scrollWidth, c.clientWidth])")
    assert len(wide) > 2
    assert [text for text, room in wide if text > room] == []
    context.close()


def section(page: Any, task: str = "xor_cues") -> Any:
    return page.locator(f'section[data-task="{task}"]:not([id*="causal"])').first


def values(table: Any, column: int, body: int = 0) -> list[str | None]:
    return list(
        table.locator("tbody").nth(body).locator(f"tr[data-row] > :nth-child({column + 1})").evaluate_all(
            "all => all.map(cell => cell.dataset.v ?? null)"
        )
    )  # fmt: skip


def test_a_row_without_the_figure_is_last_in_both_directions(page: Any, site: Path) -> None:
    page.goto((site / "index.html").as_uri())
    table = section(page).locator("table.board")
    keys = table.locator("thead th[data-key]").evaluate_all("all => all.map(head => head.dataset.key)")
    at = keys.index("average_precision")
    button = table.locator('th[data-key="average_precision"]').get_by_role("button")
    for reverse in (True, False):
        button.click()
        found = values(table, at)
        assert found[-1] is None
        known = [float(value) for value in found[:-1] if value is not None]
        assert len(known) == len(found) - 1
        assert known == sorted(known, reverse=reverse)
        # references are sorted among themselves, beneath
        below = [float(value) for value in values(table, at, 1) if value is not None]
        assert len(below) > 1
        assert below == sorted(below, reverse=reverse)
        assert table.locator("tbody").nth(1).locator("tr").first.inner_text().startswith("References")
    # every board has the same order, and the skill table, which has no such column, its own
    assert page.locator('section[data-task="majority"] th[aria-sort="ascending"]').count() == 1
    assert page.locator("#skill th[aria-sort]").count() == 0


def test_the_order_is_that_of_datatables_and_nothing_else_of_it_is_in_sight(page: Any, site: Path) -> None:
    page.goto((site / "index.html").as_uri())
    assert page.evaluate("DataTable.tables().length") == page.locator("table.dataTable").count() > 2
    assert page.locator(".dt-paging, .dt-search, .dt-info, .dt-length, .dt-column-order").count() == 0


@pytest.mark.parametrize(
    ("path", "table", "column"),
    [
        ("truth.html", "#trust", 1),
        ("tradeoff.html", "table.costs >> nth=0", 2),
        ("index.html", "details.provenance table >> nth=0", 0),
        ("attention.html", "table.figures >> nth=0", 1),
    ],
)
def test_tables_of_other_pages_are_sorted_too(page: Any, site: Path, path: str, table: str, column: int) -> None:
    page.goto((site / path).as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    found = page.locator(table)
    found.scroll_into_view_if_needed()
    page.locator(f"{table} >> css=button").first.wait_for()
    head = found.locator("thead tr").last.locator("th").nth(column)

    def shown() -> list[str]:
        cells = found.locator("tbody tr:not(.sub)").locator(f"> :nth-child({column + 1})")
        return list(cells.evaluate_all("all => all.map(c => c.dataset.v ?? c.textContent)"))

    before = shown()
    head.get_by_role("button").press("Enter")
    first = head.get_attribute("aria-sort")
    one = shown()
    head.get_by_role("button").press("Space")
    assert {first, head.get_attribute("aria-sort")} == {"ascending", "descending"}
    two = shown()
    assert sorted(one) == sorted(two) == sorted(before)
    assert one != two
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") is None
    assert shown() == before


def test_groups_of_rows_stay_together(page: Any, site: Path) -> None:
    page.goto((site / "attention.html").as_uri())
    table = page.locator("table.figures").first
    table.scroll_into_view_if_needed()
    table.locator("th button").first.wait_for()
    bodies = "all => all.map(body => [...body.rows].map(row => row.cells[0].textContent))"
    before = table.locator("tbody").evaluate_all(bodies)
    assert len(before) > 1
    table.locator("thead tr").last.get_by_role("button").nth(1).click()
    after = table.locator("tbody").evaluate_all(bodies)
    assert [names[0] for names in after] == [names[0] for names in before]
    assert [sorted(names) for names in after] == [sorted(names) for names in before]


def saved(page: Any, place: Any, kind: str) -> bytes:
    with page.expect_download() as waiting:
        place.get_by_role("button", name=f"{kind} of the rows and columns").click()
    download = waiting.value
    assert download.suggested_filename.endswith("-shown." + {"LaTeX": "tex"}.get(kind, kind.lower()))
    return Path(download.path()).read_bytes()


@pytest.mark.parametrize("name", ["xor_cues", "skill"])
def test_what_is_shown_unfiltered_is_the_file(page: Any, site: Path, name: str) -> None:
    page.goto((site / "index.html").as_uri())
    place = page.locator("#skill") if name == "skill" else section(page)
    stem = place.locator(".downloads").get_attribute("data-name")
    assert saved(page, place, "CSV") == (site / f"data/{stem}.csv").read_bytes()
    assert saved(page, place, "LaTeX") == (site / f"data/{stem}.tex").read_bytes()
    assert json.loads(saved(page, place, "JSON")) == json.loads((site / f"data/{stem}.json").read_bytes())


def test_what_is_shown_is_filtered_sorted_and_without_hidden_columns(page: Any, site: Path) -> None:
    page.goto(
        (site / "index.html").as_uri() + "#family=gradient&sort=p50_ms.desc&hide=rank,passes,deletion_auc,coverage"
    )
    place = section(page)
    names = place.locator("tr[data-row] th bdi").all_inner_texts()
    assert len(names) == 3
    stem = place.locator(".downloads").get_attribute("data-name")
    whole = list(csv.DictReader(io.StringIO((site / f"data/{stem}.csv").read_text("utf-8-sig"), newline="")))
    text = saved(page, place, "CSV").decode("utf-8-sig")
    found = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["method"] for row in found] == names
    times = [float(row["p50_ms"]) for row in found]
    assert times == sorted(times, reverse=True)
    gone = {"rank", "rank_interval", "tie_groups", "forward_passes", "backward_passes", "deletion_auc",
            "deletion_auc_low", "deletion_auc_high", "deletion_auc_examples",
            "examples", "scored", "truncated", "without_score"}  # fmt: skip
    assert set(whole[0]) - set(found[0]) == gone
    by_name = {row["method"]: row for row in whole}
    assert all(by_name[row["method"]][field] == value for row in found for field, value in row.items())

    data = json.loads(saved(page, place, "JSON"))
    assert [row["method"] for row in data["rows"]] == names
    assert "deletion_auc" not in {column["key"] for column in data["columns"]}
    assert not gone & {name for row in data["rows"] for name in (*row, *row["figures"], *row["cost"])} - {"examples"}
    tex = saved(page, place, "LaTeX").decode()
    assert "Rank & " not in tex
    lines = [line for line in tex.splitlines() if r" \\" in line]
    assert [line.split(" & ")[0].replace(r"\_", "_") for line in lines[1:]] == names
    assert len({line.count(" & ") for line in lines}) == 1


def test_hostile_names_are_text_in_what_is_shown(page: Any, site: Path) -> None:
    page.goto((site / "index.html").as_uri() + "#q=%3Dcmd")
    place = section(page)
    assert place.locator("tr[data-row]").count() == 1
    (row,) = csv.DictReader(io.StringIO(saved(page, place, "CSV").decode("utf-8-sig"), newline=""))
    assert row["method"] == "'" + HOSTILE.replace("\u202e", "⟨U+202E⟩")
    tex = saved(page, place, "LaTeX").decode()
    assert r"\textbackslash{}input\{x\}\%" in tex
    assert r"\input" not in tex


def test_many_results_have_lines_that_filter_and_sort(page: Any, short: Path) -> None:
    page.goto((short / "index.html").as_uri())
    lines = page.locator("tr[data-line]")
    total = lines.count()
    assert total > 2
    page.locator("#task").select_option("majority")
    assert set(lines.evaluate_all("all => all.map(line => line.dataset.task)")) == {"majority"}
    # the skill table is left with the column of this task
    assert page.locator("#skill th[data-task]").evaluate_all("all => all.map(h => h.dataset.task)") == ["majority"]
    page.locator("#task").select_option("all")
    page.get_by_label("Family").select_option("gradient")
    assert lines.count() == total
    assert page.locator("#skill tr[data-row]").count() == 3
    page.locator("#boards th[data-key=methods]").get_by_role("button").click()
    assert page.url.endswith("sort=methods.asc")
    counts = [int(text) for text in page.locator("#boards tr[data-line] td:nth-child(6)").all_inner_texts()]
    assert counts == sorted(counts)
    page.locator("tr[data-line][data-task=majority] a").first.click()
    page.wait_for_load_state()
    assert "/boards/" in page.url
    stem = page.locator(".downloads").get_attribute("data-name")
    assert saved(page, page.locator("main"), "CSV") == (short / f"data/{stem}.csv").read_bytes()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_pages_of_many_results_fit_the_screen_and_can_be_read(
    browser: Any, short: Path, width: int, scheme: str
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    opened = context.new_page()
    for path in (short / "index.html", *(short / "boards").iterdir()):
        opened.goto(path.as_uri())
        opened.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        # what is said of an opened part comes a moment later
        opened.wait_for_timeout(50)
        assert opened.evaluate("document.documentElement.scrollWidth") <= width
        assert not opened.evaluate(CONTRAST)
    context.close()


def test_many_results_can_be_read_without_javascript(browser: Any, short: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    opened = context.new_page()
    opened.goto((short / "index.html").as_uri())
    assert opened.locator("#skill tr[data-row]:visible").count() > 8
    opened.locator("tr[data-line] a").first.click()
    opened.wait_for_load_state()
    assert opened.locator("tr[data-row]:visible").count() > 8
    assert not opened.locator("#controls").is_visible()
    context.close()


def test_a_row_leads_to_its_file_by_keyboard(page: Any, site: Path) -> None:
    page.goto((site / "index.html").as_uri())
    section(page).locator("tr[data-row] a.source").first.press("Enter")
    page.wait_for_load_state()
    cell = page.url.rsplit("#", 1)[1]
    link = page.locator(f"section[id='{cell}'] .from a")
    assert link.get_attribute("href") == f"../cells/{cell}.json"
    assert link.is_visible()
