"""Numbers of any size, and what charts draw, and the geometry of the heat maps."""

import re

import numpy as np
import pytest

from whybench.bench.schema import Figure
from whybench.leaderboard import formatting
from whybench.leaderboard.axis import logarithmic
from whybench.leaderboard.dot_plot import ROW, dot_plot
from whybench.leaderboard.matrix_map import CLASSES, MOST_TOKENS, MOST_WRITTEN, matrix_maps, thinned
from whybench.leaderboard.scatter import scatter


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (2.1e-13, "2.1·10⁻¹³"),
        (-9.96e-5, "−1.0·10⁻⁴"),
        (0.001, "0.001"),
        (0.4567, "0.457"),
        (-0.5, "−0.500"),
        (17.875, "17.875"),
        (1234.5, "1,234"),
    ],
)
def test_numbers_of_any_size(value: float, text: str) -> None:
    assert formatting.measured(value) == text


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (1.9e-13, 2.3e-13, "(1.9\u2009–\u20092.3)·10⁻¹³"),
        (9e-14, 1.1e-13, "9.0·10⁻¹⁴\u2009–\u20091.1·10⁻¹³"),
        (0.0, 0.25, "0\u2009–\u20090.250"),
        (0.1, 0.2, "0.100\u2009–\u20090.200"),
    ],
)
def test_intervals_of_any_size(low: float, high: float, text: str) -> None:
    assert formatting.measured_interval(low, high) == text


def test_a_logarithmic_axis_keeps_ratios_and_puts_zero_apart() -> None:
    made = logarithmic([3e-13, 0.2])
    assert made.place(1e-6) - made.place(1e-8) == pytest.approx(made.place(1e-2) - made.place(1e-4))
    assert made.ticks[0] == ("1", 1.0)
    assert (made.place(made.low), made.place(made.high)) == (0, 1)
    assert not any(text == "0" for text, _ in made.ticks)
    with_zero = logarithmic([0.0, 3e-13, 0.2])
    assert with_zero.place(0.0) == 0 < with_zero.place(3e-13)
    assert ("0", 0) in with_zero.ticks
    assert logarithmic([0.0, 0.0]).place(0.0) == 0


def test_names_are_thinned_by_importance() -> None:
    assert thinned([(5.0, 5), (4.0, 4), (15.0, 15), (9.0, 9), (0.0, 0)], 5) == [0, 5, 15]


def test_marks_lie_where_their_figures_are() -> None:
    figures = [Figure(mean=0.2, low=0.1, high=0.4, examples=3), Figure(mean=0.9, low=0.8, high=1.0, examples=3)]
    lines = [("a", figures), ("nothing", [None, None]), ("b", [None, figures[0]])]
    drawn = dot_plot("Figures", "Method", lines, ("x", "y"), (0.0, 1.5))
    assert drawn is not None
    (marks,) = drawn.chart.data["marks"]
    assert marks == {
        "at": [0, 0, 1],
        "series": ["x", "y", "y"],
        "mean": [0.2, 0.9, 0.2],
        "low": [0.1, 0.8, 0.1],
        "high": [0.4, 1.0, 0.4],
        "said": ["0.200 (0.100 to 0.400)", "0.900 (0.800 to 1.000)", "0.200 (0.100 to 0.400)"],
    }
    assert drawn.chart.given == {
        "of": "Method",
        "names": ["a", "b"],
        "series": ["x", "y"],
        "height": 2 * ROW,
        "ends": [0.0, 1.5],
    }
    said = "a: x 0.200 (0.100 to 0.400), y 0.900 (0.800 to 1.000); b: y 0.200 (0.100 to 0.400)"
    assert drawn.chart.description == f"Figures. {said}"
    assert dot_plot("Figures", "Method", [("a", [None])], ("x",)) is None


def test_rows_of_the_same_name_stay_apart() -> None:
    figures = [Figure(mean=mean, low=0.0, high=1.0, examples=3) for mean in (0.25, 0.75)]
    drawn = dot_plot("Figures", "Task", [("a", figures[:1]), ("a", figures[1:])], ("x",))
    assert drawn is not None
    assert drawn.chart.given["names"] == ["a", "a"]
    assert drawn.chart.data["marks"][0]["at"] == [0, 1]
    assert drawn.chart.description == "Figures. a: x 0.250 (0 to 1.000); a: x 0.750 (0 to 1.000)"


def test_marks_on_a_logarithmic_axis_lie_on_it() -> None:
    figures = [Figure(mean=0.09, low=0.0, high=0.4, examples=3), Figure(mean=0.0, low=0.0, high=0.0, examples=3)]
    drawn = dot_plot("Figures", "Method", [("a", figures)], ("x", "y"), scale="log")
    assert drawn is not None
    (marks,), given = drawn.chart.data["marks"], drawn.chart.given
    made = logarithmic([0.09, 0.4, 0.0, 0.0])
    assert marks["mean"] == pytest.approx([made.place(0.09), made.place(0.0)], rel=1e-3)
    assert marks["high"][0] == pytest.approx(made.place(0.4), rel=1e-3)
    # what is below its first power of ten is cut, and 0 has a place of its own
    assert marks["low"] == [0, 0]
    assert list(zip(given["labels"], given["ticks"], strict=True)) == made.ticks
    assert "0" in given["labels"]


def test_a_dot_for_every_example_that_has_both() -> None:
    lengths = np.array([4.0, 8.0, np.nan, 30.0, 20.0])
    values = np.array([0.0, 0.123456, 0.2, 0.4, np.nan])
    drawn = scatter("Values", lengths, values, 17)
    assert drawn is not None
    assert (drawn.count, drawn.marked) == (3, 17)
    assert drawn.chart.data == {
        "examples": [{"length": [4, 8, 30], "value": [0.0, 0.1235, 0.4]}],
        "marked": [{"length": [17], "said": "dᵥ + 1 = 17"}],
    }
    assert drawn.numbers == (
        ("4", "1", "0", "0", "0"),
        ("8", "1", "0.123", "0.123", "0.123"),
        ("30", "1", "0.400", "0.400", "0.400"),
    )
    without = scatter("Values", lengths, values, None)
    assert without is not None
    assert without.chart.data["marked"] == []
    assert scatter("Values", lengths, np.full(5, np.nan), 17) is None


def entries(paths: list[tuple[str, str]], size: int) -> np.ndarray:
    """Classes of the cells that a map's paths go over; no cell twice."""
    found = np.zeros((size, size), dtype=int)
    for name, path in paths:
        for x, y, width in re.findall(r"M(\d+) (\d+)h(\d+)", path):
            stretch = found[int(y), int(x) : int(x) + int(width)]
            assert len(stretch) == int(width)
            assert not stretch.any()
            stretch[:] = int(name[1:]) * (1 if name[0] == "p" else -1)
    return found


@pytest.mark.parametrize("size", [1, 7, 50])
def test_every_entry_is_drawn_in_its_class(size: int) -> None:
    generator = np.random.default_rng(size)
    signs = generator.choice([-1, 1], (size, size))
    matrix = 10 ** generator.uniform(-5, 0.2, (size, size)) * signs
    matrix.flat[: min(size, len(CLASSES))] = CLASSES[: min(size, len(CLASSES))]
    (drawn,) = matrix_maps({"a": matrix}, [f"t{i}" for i in range(size)]).maps
    expected = np.zeros((size, size), dtype=int)
    for y in range(size):
        for x in range(size):
            reached = sum(abs(matrix[y, x]) >= low for low in CLASSES)
            expected[y, x] = reached if matrix[y, x] > 0 else -reached
    assert (entries(list(drawn.paths), size) == expected).all()
    struck = {(int(y) - 1, int(x)) for x, y in re.findall(r"M(\d+) (\d+)l1-1", drawn.strokes)}
    assert struck == set(zip(*np.nonzero(expected < 0), strict=True))
    assert drawn.below == len(struck)
    assert len(drawn.rows) == (size if size <= MOST_WRITTEN else 0)
    for text in (formatting.measured(matrix.max()), formatting.measured(matrix.min())):
        assert text in drawn.summary


def test_the_numbers_hold_the_ends_of_every_matrix() -> None:
    generator = np.random.default_rng(0)
    matrices = {name: generator.normal(size=(30, 30)) for name in ("a", "b")}
    found = {(row[0], row[1]): row[2] for row in matrix_maps(matrices, list("abcdefghijklmnopqrstuvwxyzABCD")).pairs}
    for i, matrix in enumerate(matrices.values()):
        for at in (matrix.argmax(), matrix.argmin()):
            y, x = divmod(int(at), 30)
            names = tuple(f"{k + 1} {'abcdefghijklmnopqrstuvwxyzABCD'[k]}" for k in (y, x))
            assert found[names][i] == formatting.measured(matrix[y, x])


def test_a_text_too_long_to_draw_is_cut_and_says_so() -> None:
    size = MOST_TOKENS + 5
    maps = matrix_maps({"a": np.eye(size)}, ["x" * 40] * size)
    assert (len(maps.labels), maps.left_out) == (MOST_TOKENS, 5)
    assert maps.labels[0].text.endswith("…")
    assert maps.labels[0].whole == "x" * 40
    assert len(maps.written) < MOST_TOKENS
