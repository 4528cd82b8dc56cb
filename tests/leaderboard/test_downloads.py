"""Tables as files: what is on the page is in them, in full, and nothing in a name is taken for a command."""

import csv
import io
import json
import re
from pathlib import Path

import pytest

from whybench.bench.schema import GateOutcome
from whybench.bench.store import ResultStore
from whybench.leaderboard.boards import boards
from whybench.leaderboard.downloads import board_files, skill_files
from whybench.leaderboard.latex import escaped
from whybench.leaderboard.site import build_site
from whybench.leaderboard.skills import skills
from whybench.leaderboard.tables import table
from whybench.tests.leaderboard.factory import Made, make
from whybench.tests.leaderboard.page import parse
from whybench.tests.leaderboard.test_skills import two_tasks

FAILED = GateOutcome(status="failed", value=0.4, limit=1e-4, reason="another batch, another map")
HOSTILE = "=1+1\\input{/etc/passwd} $x_1$ 50% & #1 ~^ {a} --- \u202egnp\n\"<b>'"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ResultStore:
    made = two_tasks(tmp_path_factory.mktemp("results"))
    make(made, Made(method="spoiled", gates={"batch_invariance": FAILED}))
    make(made, Made(method="half", failed={2: "1 of 20 scores is not finite"}))
    make(made, Made(method="lime", error="the residual misses the tolerance"))
    return made


@pytest.fixture(scope="module")
def view(store: ResultStore):
    (board,) = [b for b in boards(store.read_all(), store.read_failures()) if b.spec.task.name == "xor_cues"]
    return table(board)


def rows_of(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def test_csv_and_json_have_every_number_in_full(view) -> None:
    files = board_files(view, "xor")
    data = json.loads(files["json"])
    assert (data["task"], data["ranked_by"]) == ("xor_cues", "comprehensiveness")
    for row, from_json, from_csv in zip(view.rows, data["rows"], rows_of(files["csv"]), strict=True):
        result = row.result
        assert from_json["method"] == from_csv["method"] == row.name
        assert from_json["cell"] == from_csv["cell"] == result.cell
        for name, figure in result.figures.items():
            assert from_json["figures"][name] == figure.model_dump()
            parts = (from_csv[name], from_csv[f"{name}_low"], from_csv[f"{name}_high"], from_csv[f"{name}_examples"])
            assert tuple(map(float, parts)) == (figure.mean, figure.low, figure.high, figure.examples)
        assert float(from_csv["p50_ms"]) == from_json["cost"]["p50_ms"] == result.cost.p50_ms
        assert int(from_csv["examples"]) == 30
        assert int(from_csv["scored"]) == result.coverage.scored
        if row.standing:
            assert float(from_csv["rank"]) == from_json["rank"] == row.standing.rank
            assert from_csv["rank_interval"] == row.standing.interval.replace("–", "-")
            assert from_csv["tie_groups"] == row.standing.letters.replace("–", "-")
        else:
            assert from_json["rank"] is None
            assert from_csv["rank"] == ""


def test_what_is_not_ranked_says_why(view) -> None:
    files = board_files(view, "xor")
    by_name = {row["method"]: row for row in json.loads(files["json"])["rows"]}
    assert by_name["spoiled"]["not_ranked"] == "fails batch invariance: another batch, another map"
    assert by_name["spoiled"]["failed_gates"]["batch_invariance"]["value"] == 0.4
    assert by_name["half"]["not_ranked"] == "1 of 30 examples failed"
    assert by_name["half"]["without_score"][0]["reason"] == "1 of 20 scores is not finite"
    assert by_name["random"]["reference"] is True
    assert by_name["occlusion"]["not_ranked"] == ""
    in_csv = {row["method"]: row for row in rows_of(files["csv"])}
    assert in_csv["spoiled"]["failed_gates"] == "batch_invariance"
    assert in_csv["half"]["without_score"] == "xor_cues-0002"
    failed = json.loads(files["json"])["without_figures"]
    assert [(one["method"], one["reason"]) for one in failed] == [("lime", "the residual misses the tolerance")]
    tex = files["tex"].decode()
    for said in (
        "fails batch invariance: another batch, another map",
        "1 of 30 examples failed",
        "lime failed: the res",
    ):
        assert said in tex


def test_latex_has_one_cell_for_every_column(view) -> None:
    tex = board_files(view, "xor")["tex"].decode()
    columns = re.search(r"\\begin\{tabular\}\{([lr]+)\}", tex)[1]
    lines = [line for line in tex.splitlines() if r" \\" in line]
    assert len(lines) == 1 + len(view.rows)
    for line in lines:
        assert len(re.findall(r"(?<!\\)&", line)) == len(columns) - 1
    assert re.findall(r"\\(\w+rule)", tex) == ["toprule", "midrule", "midrule", "bottomrule"]
    best = view.methods[0]
    assert rf"\textbf{{{best.cells[0].text}}} {{\scriptsize [" in tex
    for row in view.rows:
        assert f"% {row.result.cell}" in tex


def test_skill_is_in_all_three(store: ResultStore) -> None:
    found = skills([table(board) for board in boards(store.read_all(), [])])
    files = skill_files(found, {board.key: f"b{i}" for i, board in enumerate(found.boards)})
    data, sheet = json.loads(files["json"]), rows_of(files["csv"])
    for one, from_json, from_csv in zip(found.rows, data["rows"], sheet, strict=False):
        assert from_json["method"] == from_csv["method"] == one.name
        if one.overall.value is None:
            assert from_csv["all_tasks"] == ""
            assert from_json["not_ranked"] == one.why != ""
        else:
            assert float(from_csv["all_tasks"]) == from_json["figures"]["all_tasks"]["mean"] == one.overall.value
            assert float(from_csv["all_tasks_low"]) == one.overall.low
            assert from_json["rank"] == one.standing.rank
        for board, cell in zip(found.boards, one.cells, strict=True):
            assert from_json["figures"].get(board.spec.task.name, {}).get("mean") == cell.value
    assert [row["method"] for row in sheet[len(found.rows) :]] == [one.name for one in found.yardsticks]
    tex = files["tex"].decode()
    columns = re.search(r"\\begin\{tabular\}\{([lr]+)\}", tex)[1]
    for line in (line for line in tex.splitlines() if r" \\" in line):
        assert len(re.findall(r"(?<!\\)&", line)) == len(columns) - 1


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")
    make(store, Made(label=HOSTILE, model=HOSTILE, parameters={"label": HOSTILE}))
    make(store, Made(method="lime", model=HOSTILE, error=HOSTILE))
    (board,) = boards(store.read_all(), store.read_failures())
    files = board_files(table(board), "board")
    assert json.loads(files["json"])["rows"][0]["method"] == HOSTILE
    (row,) = rows_of(files["csv"])
    assert row["method"].startswith("'=1+1")
    assert "⟨U+202E⟩" in row["method"]
    tex = files["tex"].decode()
    assert r"\input" not in tex
    assert r"=1+1\textbackslash{}input\{/etc/passwd\} \$x\_1\$ 50\% \& \#1" in tex
    # braces that are not escaped are in pairs: nothing ends early
    open_ones = re.sub(r"\\[{}]", "", re.sub(r"(?<!\\)%.*", "", tex))
    assert open_ones.count("{") == open_ones.count("}")


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("a_b", r"a\_b"),
        ("---", "-{}-{}-"),
        ("[x]*", "{[}x{]}{*}"),
        ("\\", r"\textbackslash{}"),
        ("−0.5 – 1·10⁻³", r"$-$0.5 -- 1$\cdot$10\textsuperscript{$-$}\textsuperscript{3}"),
        ("a\nb", r"a$\langle$U+000A$\rangle$b"),
    ],
)
def test_signs_of_latex(text: str, latex: str) -> None:
    assert escaped(text) == latex


def test_the_pages_lead_to_the_files(store: ResultStore, tmp_path: Path) -> None:
    index = build_site(store.read_all(), store.read_failures(), tmp_path / "site")
    found = [a.attributes["href"] for a in parse(index).all("a", download=None)]
    assert len(found) == 9
    assert all((index.parent / href).is_file() for href in found)
