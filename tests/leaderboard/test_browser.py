"""The pages in a real Chromium, opened from files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from whybench.bench.recovery import RECOVERY
from whybench.bench.store import ResultStore
from whybench.leaderboard.site import build_site
from whybench.tests.leaderboard.factory import DEFAULT, Made, make, suite

HOSTILE = "<script>document.title='owned'</script>\u202egnp" + "x" * 10_000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    store = ResultStore(folder / "results")
    suite(store)
    suite(
        store, task="sst2", dataset="stanfordnlp/sst2", model="minilm", evidence=False, labels=("negative", "positive")
    )
    hostile = Made(
        task="hostile",
        label=HOSTILE,
        summary=HOSTILE,
        model=HOSTILE,
        labels=(HOSTILE, HOSTILE),
        texts=[HOSTILE, f"{HOSTILE} a b"],
        examples=4,
        parameters={HOSTILE: HOSTILE},
        device=HOSTILE,
    )
    make(store, hostile)
    make(store, Made(method="lime", error=HOSTILE))
    return build_site(store.read_all(), store.read_failures(), folder / "site").parent


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    troubles: list[str] = []

    def failed(request: Any) -> None:
        # the browser calls off what it is still loading, the icon say, when a page is left or closed
        if request.failure != "net::ERR_ABORTED":
            troubles.append(f"failed: {request.url} ({request.failure})")

    opened.on("console", lambda message: troubles.append(message.text))
    opened.on("pageerror", lambda error: troubles.append(str(error)))
    opened.on("request", lambda request: None if request.url.startswith("file:") else troubles.append(request.url))
    opened.on("requestfailed", failed)
    yield opened
    context.close()
    assert not troubles


def names(page: Any, section: str = "xor_cues") -> list[str]:
    rows = page.locator(f'section[data-task="{section}"] tbody[data-ranked] tr[data-row]:visible th bdi')
    return list(rows.all_inner_texts())


def head(page: Any, key: str) -> Any:
    return page.locator(f'section[data-task="xor_cues"] th[data-key="{key}"]')


def test_sorting_changes_the_order_and_the_address(page: Any, site: Path) -> None:
    page.goto((site / "index.html").as_uri())
    drawn = names(page)
    head(page, "p50_ms").get_by_role("button").click()
    fastest = ["raw_attention", "gradient", "gradient_x_input", "occlusion", "efficient_attention"]
    assert names(page)[:5] == fastest
    assert head(page, "p50_ms").get_attribute("aria-sort") == "ascending"
    assert page.url.endswith("#sort=p50_ms.asc")
    # the reference stays apart
    assert page.locator("tbody.references tr[data-row]:visible").count() == 2

    head(page, "p50_ms").get_by_role("button").press("Enter")
    assert names(page)[-5:] == fastest[::-1]
    assert page.url.endswith("#sort=p50_ms.desc")
    head(page, "p50_ms").get_by_role("button").press("Space")
    assert names(page) == drawn
    assert head(page, "p50_ms").get_attribute("aria-sort") is None
    assert "#" not in page.url


def test_every_column_sorts(page: Any, site: Path) -> None:
    page.goto((site / "index.html").as_uri())
    keys = page.locator('section[data-task="xor_cues"] th[data-key]').evaluate_all("all => all.map(h => h.dataset.key)")
    of_all_evidence = {name for name, metric in RECOVERY.items() if metric.role is None}
    assert {"method", "rank", *DEFAULT, *of_all_evidence, "p50_ms", "coverage"} <= set(keys)
    for index, key in enumerate(keys):
        head(page, key).get_by_role("button").click()
        cells = page.locator(f'section[data-task="xor_cues"] tbody[data-ranked] tr > :nth-child({index + 1})')
        if key == "method":
            assert names(page) == sorted(names(page))
        else:
            values = cells.evaluate_all("all => all.map(c => Number(c.dataset.v))")
            better = head(page, key).get_attribute("data-better")
            assert values == sorted(values, reverse=better == "higher" or key == "coverage"), key


def test_filters_hide_rows_and_can_be_shared(page: Any, site: Path) -> None:
    page.goto((site / "index.html").as_uri())
    page.get_by_label("Family").select_option("gradient")
    assert set(names(page)) == {"gradient", "gradient_x_input", "integrated_gradients(n_steps=20)"}
    page.get_by_label("Task").select_option("xor_cues")
    assert names(page, "sst2") == []
    page.get_by_label("Search").fill("x_input")
    assert names(page) == ["gradient_x_input"]
    assert page.locator("#count").inner_text() == "1 of 16 rows"
    head(page, "flops").get_by_role("button").click()

    shared = page.url
    page.goto("about:blank")
    page.goto(shared)
    assert names(page) == ["gradient_x_input"]
    assert head(page, "flops").get_attribute("aria-sort") == "ascending"
    assert page.get_by_label("Family").input_value() == "gradient"

    page.get_by_label("Search").fill("nothing is called this")
    page.get_by_role("button", name="Show all rows").click()
    assert len(names(page)) == 6
    assert len(names(page, "sst2")) == 6


def test_a_link_to_a_table_is_not_a_filter(page: Any, site: Path) -> None:
    page.goto((site / "tasks/xor-cues.html").as_uri())
    page.get_by_role("link", name="See the table").click()
    page.wait_for_load_state()
    assert len(names(page)) == 6
    assert "#xor-cues" in page.url


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_scrolls_sideways_and_all_text_can_be_read(browser: Any, site: Path, width: int, scheme: str) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    for path in sorted(site.rglob("*.html")):
        page.goto(path.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        sizes = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert sizes[0] <= sizes[1], path.name
        faint = page.evaluate(CONTRAST)
        assert not faint, f"{path.name}: {faint[:5]}"
        assert page.title() != "owned"
    context.close()


# contrast of every text with what lies behind it, by WCAG 2: 4.5 is its level AA for text of normal size
CONTRAST = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const own = (element) => getComputedStyle(element).backgroundColor;
  const layers = (element) => element ? [...layers(element.parentElement), own(element)] : [];
  const paint = (colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const seen = new Set();
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || seen.has(element)) continue;
    if (element.closest("svg, .sr, option, script")) continue;
    seen.add(element);
    const behind = layers(element);
    const a = light(paint(behind)), b = light(paint([...behind, getComputedStyle(element).color]));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) faint.push(`${ratio.toFixed(2)} ${element.outerHTML.slice(0, 80)}`);
  }
  return faint;
}"""


def test_tables_scroll_in_their_own_box_with_the_name_in_view(page: Any, site: Path) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto((site / "index.html").as_uri())
    box = page.locator('section[data-task="xor_cues"] .scroll').first
    assert box.evaluate("b => { b.scrollLeft = 400; return b.scrollLeft }") == 400
    place = box.locator("tbody th[scope=row]").first.bounding_box()
    assert place["x"] < 40


def test_scores_are_printed_on_demand_and_with_the_keyboard(page: Any, site: Path) -> None:
    page.goto((site / "tasks/xor-cues.html").as_uri())
    word = page.locator(".heat [data-i]").first
    assert word.evaluate("w => getComputedStyle(w, '::after').content") == "none"
    page.get_by_label("Print the scores").check()
    score = word.get_attribute("title")
    assert word.evaluate("w => getComputedStyle(w, '::after').content") == f'"{score}"'

    page.locator(".heat").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    focused = page.evaluate("[document.activeElement.dataset.i, document.activeElement.title]")
    assert focused[0] == "1"
    assert focused[1] in page.locator("#tip").inner_text()
    # the same word is marked under all seven methods
    assert page.locator("[data-same]").count() == 7


def test_the_table_is_there_without_javascript(browser: Any, site: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((site / "index.html").as_uri())
    assert len(names(page)) == 6
    assert page.get_by_label("Search").count() == 0 or not page.get_by_label("Search").is_visible()
    context.close()


def test_filters_by_model_scores_and_gates_go_together(page: Any, site: Path) -> None:
    page.goto((site / "index.html").as_uri())
    page.get_by_label("Scores").select_option("unsigned")
    assert set(names(page)) == {"efficient_attention", "raw_attention", "gradient"}
    page.get_by_label("Model").select_option("minilm")
    assert names(page) == []
    assert len(names(page, "sst2")) == 3
    page.get_by_label("Gates").select_option("failed or incomplete")
    assert names(page, "sst2") == []
    page.get_by_label("Model").select_option("all")
    page.get_by_label("Scores").select_option("all")
    # the cell without figures is what is left
    assert page.locator("[data-row]:visible").count() == 1
    assert "lime" in page.locator(".failures:visible").inner_text()


def test_going_back_undoes_a_choice(page: Any, site: Path) -> None:
    page.goto((site / "index.html").as_uri())
    page.get_by_label("Family").select_option("gradient")
    head(page, "p50_ms").get_by_role("button").click()
    page.go_back()
    assert len(names(page)) == 3
    assert head(page, "p50_ms").get_attribute("aria-sort") is None
    page.go_back()
    assert len(names(page)) == 6
    assert page.get_by_label("Family").input_value() == ""
    page.go_forward()
    page.go_forward()
    assert head(page, "p50_ms").get_attribute("aria-sort") == "ascending"


def test_columns_are_chosen_with_the_keyboard_and_can_be_shared(page: Any, site: Path) -> None:
    page.goto((site / "index.html").as_uri())
    section = page.locator('section[data-task="xor_cues"]')
    groups = section.locator("tr.groups th:visible").all_inner_texts()
    page.locator("#chooser summary").press("Enter")
    for title in ("Comprehensiveness", "Rank", "GFLOPs"):
        box = page.locator("#columns label").filter(has_text=title).first.locator("input")
        box.press("Space")
        assert not box.is_checked()
    page.keyboard.press("Escape")
    assert page.evaluate("[document.querySelector('#chooser').open, document.activeElement.tagName]") == [
        False,
        "SUMMARY",
    ]
    assert not head(page, "comprehensiveness").is_visible()
    assert not section.locator("td.rank").first.is_visible()
    assert section.locator("tr.groups th:visible").all_inner_texts() == groups
    # what stands beneath a heading is still its own
    wide = section.locator("tr.groups > :visible").evaluate_all("all => all.reduce((sum, c) => sum + c.colSpan, 0)")
    assert wide == section.locator("thead th[data-key]:visible").count()

    shared = page.url
    assert "hide=" in shared
    page.goto("about:blank")
    page.goto(shared)
    assert not head(page, "flops").is_visible()
    assert head(page, "sufficiency").is_visible()
    page.get_by_role("button", name="Reset").click()
    assert head(page, "flops").is_visible()


def test_the_link_is_copied(page: Any, site: Path) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto((site / "index.html").as_uri())
    page.get_by_label("Search").fill("occlusion")
    page.get_by_role("button", name="Copy link").click()
    page.locator("#said").get_by_text("Link copied.").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == page.url
    assert page.url.endswith("#q=occlusion")


def test_an_address_of_nonsense_does_no_harm(page: Any, site: Path) -> None:
    page.goto((site / "index.html").as_uri() + "#family=<img>&sort=__proto__.asc&hide=method,constructor,%00&q=%ff")
    assert page.get_by_label("Family").input_value() == ""
    page.get_by_role("button", name="Reset").click()
    assert len(names(page)) == 6
