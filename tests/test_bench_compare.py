"""``make bench-compare``: planted slowdowns are caught, and two checkouts of the same code do not differ."""

import importlib.util
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"

pytestmark = pytest.mark.skipif(not SCRIPTS.is_dir(), reason="scripts/ is not part of the wheel")

SUITE = """
import os, time, whybench, pytest

def burn(milliseconds):
    end = time.process_time() + milliseconds / 1000
    while time.process_time() < end:
        pass

@pytest.mark.parametrize("name", ["same", "alike"])
def test_unchanged(benchmark, name):
    benchmark(burn, 4)

@pytest.mark.benchmark(group="planted")
def test_planted(benchmark):
    assert benchmark.pedantic(burn, args=(4 * whybench.FACTOR,), rounds=3) is None

def test_broken(benchmark):
    benchmark(burn, 1)
    assert whybench.FACTOR == 1

def test_of_nothing():
    pass
"""


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("bench_compare", SCRIPTS / "bench_compare.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_compare"] = module
    spec.loader.exec_module(module)
    return module


def checkout(root, factor):
    (root / "whybench").mkdir(parents=True)
    (root / "whybench" / "__init__.py").write_text(f"FACTOR = {factor}\n")
    (root / "test_b.py").write_text(SUITE)
    return root


def test_a_planted_slowdown_is_caught_and_nothing_else(script, tmp_path):
    """1.3 times the processor time, beside two that take the same."""
    base, new = checkout(tmp_path / "base", 1), checkout(tmp_path / "new", 1.3)
    timings, left_out = script.compare(base, new, ["test_b.py"], 12, 2)
    assert [one.name for one in timings if one.slower(1.2, len(timings))] == ["test_planted"]
    assert {one.name for one in timings} == {"test_planted", "test_unchanged[same]", "test_unchanged[alike]"}
    (planted,) = [one for one in timings if one.name == "test_planted"]
    assert planted.ratio == pytest.approx(1.3, abs=0.1)
    assert [len(turns) for turns in planted.starts] == [6, 6]
    assert left_out.keys() == {"test_broken"}
    assert left_out["test_broken"].startswith("fails on the working tree: ")
    text = script.report(timings, left_out, 1.2)
    assert text.startswith("| benchmark")
    assert "1 of 3 benchmarks are slower" in text


def timing(script, ratios, starts=3):
    return script.Timing("x", 1.0, 1.0, tuple(map(tuple, np.array_split(np.array(ratios), starts))))


def test_a_process_of_its_own_luck_is_no_slowdown(script):
    """Two of three pairs of processes are 1.4 times as slow, the third is not."""
    ratios = [1.4] * 12 + [1.0] * 6
    assert not timing(script, ratios).slower(1.2, 1)
    assert timing(script, [1.4] * 18).slower(1.2, 1)
    assert timing(script, [0.7] * 18).faster(1.2, 1)
    # large and no more than noise
    assert not timing(script, [0.5, 1.5, 1.5] * 6).slower(1.2, 10)


def test_unchanged_code_raises_no_alarm(script):
    """Twenty comparisons of 50 benchmarks, whose turns stray by a third and whose processes by a tenth."""
    noise = np.random.default_rng(0)
    largest = 0.0
    for _ in range(20):
        ratios = np.exp(noise.normal(0, 0.3, (50, 3, 6)) + noise.normal(0, 0.1, (50, 3, 1)))
        timings = [script.Timing(str(i), 1.0, 1.0, tuple(map(tuple, one))) for i, one in enumerate(ratios)]
        assert not [one for one in timings if one.slower(1.2, 50)]
        largest = max(largest, *(one.ratio for one in timings))
    assert largest > 1.2, "the noise is too small to try anything"


def test_the_interval_of_a_median(script):
    """Against its definition: how often the median of a fair draw lies between the ends."""
    values = list(range(1, 19))
    low, high = script.median_interval(values, 0.05)
    k = int(low)
    assert high == 19 - k
    outside = 2 * sum(math.comb(18, i) for i in range(k)) / 2**18
    assert outside <= 0.05 < outside + 2 * math.comb(18, k) / 2**18
    assert script.median_interval([1.0, 2.0, 3.0], 0.05) == (0.0, math.inf)
    for tests in (1, 8, 50, 500):
        turns = script.least_turns(tests)
        assert script.median_interval(range(turns), 0.05 / tests)[1] < math.inf


def git(root, *arguments):
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True, text=True).stdout


def test_the_base_is_a_worktree_that_is_removed(script, tmp_path):
    repository = checkout(tmp_path / "repository", 1)
    git(repository, "init", "--quiet")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "one")
    (repository / "test_b.py").write_text("# newer\n")
    with script.checkout("HEAD", repository) as base:
        assert (base / "test_b.py").read_text() == SUITE
        script.share_suite(repository, base, ["test_b.py", "not_there.py"])
        assert (base / "test_b.py").read_text() == "# newer\n"
    assert not base.exists()
    assert git(repository, "worktree", "list").count("\n") == 1
    with pytest.raises(script.CompareError, match="no such revision"), script.checkout("--nope", repository):
        pass


def test_a_side_that_imports_other_code_is_an_error(script, tmp_path):
    root = checkout(tmp_path / "a", 1)
    elsewhere = checkout(tmp_path / "b", 1)
    (root / "whybench" / "__init__.py").write_text(f"__file__ = {str(elsewhere / 'whybench' / '__init__.py')!r}\n")
    with pytest.raises(script.CompareError, match="the base imports"):
        script.compare(root, elsewhere, ["test_b.py"], 2, 1)
    (root / "whybench" / "__init__.py").write_text("")
    (root / "test_b.py").write_text("import nowhere_to_be_found\n")
    with pytest.raises(script.CompareError, match="nowhere_to_be_found"):
        script.compare(root, elsewhere, ["test_b.py"], 2, 1)


def test_exit_codes(script, monkeypatch, capsys, tmp_path):
    assert script.main(["no-such-revision"]) == 2
    assert "no such revision" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        script.main(["HEAD", "--factor", "1"])
    assert stopped.value.code == 2
    repository = checkout(tmp_path / "repository", 1)
    git(repository, "init", "--quiet")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "one")
    monkeypatch.setattr(script, "REPOSITORY", repository)
    take = script.checkout
    monkeypatch.setattr(script, "checkout", lambda revision: take(revision, repository))
    for ratios, left_out, code in (
        ([1.4] * 18, {}, 1),
        ([1.0] * 18, {}, 0),
        ([1.0] * 18, {"y": "fails on the working tree: x"}, 1),
        ([1.0] * 18, {"y": "does not run on the base: x"}, 0),
        (None, {}, 3),
    ):
        found = [] if ratios is None else [timing(script, ratios)]
        monkeypatch.setattr(script, "compare", lambda *_, found=found, left_out=left_out: (found, left_out))
        assert script.main(["HEAD", "--markdown", str(tmp_path / "x.md")]) == code
    assert capsys.readouterr().out.endswith((tmp_path / "x.md").read_text())
