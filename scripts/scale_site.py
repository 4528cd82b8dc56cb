"""How long the site of many results takes to build, and how large its pages are.

    python scripts/scale_site.py [--methods 50] [--tasks 30] [--examples 500] [--folder FOLDER] [--processes 1]
        [--profile] [--open]

Results are made without a model. Every method is scored on one task in full; its cells of the other tasks hold the same
examples in another order and under other names, so that nothing is computed once for two tasks. Results that are in the
folder already are taken as they are. With --open the overview is opened in Chromium, which needs the extra "test".
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import re
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from whybench.bench.store import ResultStore
from whybench.leaderboard.site import build_site
from whybench.tests.leaderboard.factory import METHODS, Made, digest, make

# bytes of the overview with its scripts, styles and images
MOST_WEIGHT = 1_500_000
REFERENCES: tuple[dict[str, Any], ...] = (
    {"method": "chance", "family": "reference", "bound": "floor", "quality": 0.0, "parameters": {"seed": 0}},
    *(
        {
            "method": "best",
            "label": f"best(metric={metric})",
            "family": "reference",
            "bound": "ceiling",
            "quality": 9.0,
            "parameters": {"metric": metric},
        }
        for metric in ("comprehensiveness", "sufficiency")
    ),
)


def write(store: ResultStore, methods: int, tasks: int, examples: int) -> None:
    """Write results of this many methods, three references among them, on this many tasks."""
    for place in range(methods):
        if place < len(REFERENCES):
            fields = dict(REFERENCES[place])
        else:
            fields = dict(METHODS[place % (len(METHODS) - 1)])
            fields |= {"method": f"{fields['method']}_{place}", "label": None}
            fields["quality"] = 0.2 + 3.0 * place / methods
        first = make(store, Made(**{**fields, "task": "task_00", "model": "model_00", "examples": examples}))
        for number in range(1, tasks):
            name = f"task_{number:02d}"
            table = _renamed(first.examples, name, number)
            spec = first.result.spec
            task = spec.task.model_copy(update={"name": name, "revision": digest(name), "example_ids": digest(name)})
            model = spec.model.model_copy(update={"name": f"model_{number:02d}"})
            spec = spec.model_copy(update={"task": task, "model": model})
            store.write(first.result.model_copy(update={"spec": spec, "cell": spec.cell()}), table)


def _renamed(table: pa.Table, task: str, seed: int) -> pa.Table:
    order = np.random.default_rng(seed).permutation(table.num_rows)
    at = table.column_names.index("example_id")
    names = pa.array([f"{task}-{i:04d}" for i in range(table.num_rows)])
    return table.take(pa.array(order)).set_column(at, "example_id", names)


def opened(index: Path) -> tuple[float, ...]:
    """Seconds of the page's thread until the overview can be used, and for a choice of its form and for a sort."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        measures = page.context.new_cdp_session(page)
        measures.send("Performance.enable", {"timeDomain": "threadTicks"})
        known = [0.0]

        def spent() -> float:
            # what the page does after an act is drawn before the next act
            page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
            found = {one["name"]: one["value"] for one in measures.send("Performance.getMetrics")["metrics"]}
            known.append(found["TaskDuration"])
            return known[-1] - known[-2]

        page.goto(index.as_uri())
        page.locator("#count").get_by_text("rows").wait_for()
        took = [spent()]
        page.locator("#family").select_option(index=1)
        took.append(spent())
        page.locator("table.board th button").nth(2).click()
        took.append(spent())
        browser.close()
        return tuple(took)


def main() -> None:
    """Make the results, build the site, and print seconds and sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", type=int, default=50)
    parser.add_argument("--tasks", type=int, default=30)
    parser.add_argument("--examples", type=int, default=500)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--open", action="store_true")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="whybench-scale-"))
    store = ResultStore(folder / "results")
    if not store.cells.is_dir():
        began = time.perf_counter()
        write(store, given.methods, given.tasks, given.examples)
        print(f"results made in {time.perf_counter() - began:.1f} s: {store.root}")
    began, used = time.perf_counter(), sum(os.times()[:4])
    results = store.read_all()
    read = time.perf_counter() - began
    profile = cProfile.Profile()
    if given.profile:
        profile.enable()
    index = build_site(results, store.read_failures(), folder / "site", processes=given.processes)
    profile.disable()
    took, cpu = time.perf_counter() - began, sum(os.times()[:4]) - used
    print(f"{len(results):,} cells: read in {read:.1f} s, built in {took:.1f} s in all, {cpu:.1f} s of processor time")
    page = index.read_text(encoding="utf-8")
    loaded = set(re.findall(r'(?:src|rel="stylesheet" href)="([^"]+)"', page))
    weight = index.stat().st_size + sum((index.parent / path).stat().st_size for path in loaded)
    print(f"the overview weighs {weight / 1e6:.2f} MB with all that it loads, of at most {MOST_WEIGHT / 1e6:.2f} MB")
    sizes: dict[str, list[int]] = {}
    for path in sorted(index.parent.rglob("*")):
        if path.is_file():
            place = path.relative_to(index.parent)
            sizes.setdefault(place.as_posix() if path == index else place.parts[0], []).append(path.stat().st_size)
    for name, found in sizes.items():
        print(f"{name:20} {len(found):5,} files, {sum(found) / 1e6:8.2f} MB, largest {max(found) / 1e6:.2f} MB")
    if given.open:
        print("opened in {:.2f} s of processor time, filtered in {:.2f} s, sorted in {:.2f} s".format(*opened(index)))
    if given.profile:
        pstats.Stats(profile).sort_stats("cumulative").print_stats(60)


if __name__ == "__main__":
    main()
