"""The page of versions: every figure and cost of what several versions made, with the steps that are no chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from whybench.bench.schema import Spec
from whybench.bench.store import StoredResult
from whybench.bench.thresholds import read_thresholds
from whybench.leaderboard.charts import Chart
from whybench.leaderboard.columns import forget
from whybench.leaderboard.formatting import Slugs
from whybench.leaderboard.history_chart import chart
from whybench.leaderboard.sources import Source, sources
from whybench.leaderboard.steps import Step, Track, Verdict, tracks_of, with_steps
from whybench.leaderboard.versions import Version, versions

TITLE = "What changed?"
# more drawings than this get a page for each method
MOST_TRACKS = 120


@dataclass(frozen=True)
class History:
    """A method on a board, in several versions.

    Attributes:
        id: Its name within the page, and that of its page.
        anchor: The board's name within pages; None where these results have no such board any more.
        versions: The oldest first.
        tracks: Its figures and costs, those with steps first.
        sources: Per version copies of the result files that it was read from.
    """

    id: str
    anchor: str | None
    versions: tuple[Version, ...]
    tracks: tuple[Track, ...]
    sources: tuple[tuple[Source, ...], ...]

    @property
    def label(self) -> str:
        """The method, as the newest version names it."""
        return self.versions[-1].result.label

    def charts(self, steps: bool) -> list[tuple[Track, Chart]]:
        """The drawings of its tracks with steps, or of those without."""
        return [(track, chart(track, self.versions)) for track in self.tracks if bool(track.steps) == steps]

    @property
    def spec(self) -> Spec:
        """What all versions share, and of the rest the newest version's."""
        return self.versions[-1].result.spec

    def steps(self, verdict: Verdict) -> list[tuple[Track, Step]]:
        """Its steps for the better or the worse, figure by figure."""
        return [(track, step) for track in self.tracks for step in track.steps if step.verdict == verdict]


@dataclass(frozen=True)
class Histories:
    """The page.

    Attributes:
        all: All methods in several versions, those with the most steps for the worse first.
        tests: How many changes of figures were tested.
    """

    all: tuple[History, ...]
    tests: int

    @property
    def apart(self) -> bool:
        """Whether every method has a page of its own."""
        return sum(len(history.tracks) for history in self.all) > MOST_TRACKS


def histories(
    rows: Sequence[StoredResult], earlier: Sequence[Sequence[StoredResult]], anchors: Mapping[str, str]
) -> Histories | None:
    """What there is in several versions; None where nothing is.

    Args:
        rows: Finished cells.
        earlier: The same of every folder of earlier results.
        anchors: Names of the boards within pages by their keys.

    Raises:
        UnknownNameError: A result has a figure that the protocol does not know.
        CorruptResultError: A per-example table is damaged, or a file is gone.
    """
    several = versions(rows, earlier)
    tracks = with_steps([(one, tracks_of(one)) for one in several], read_thresholds())
    for stored in (one for folder in earlier for one in folder):
        # these are read for this page alone
        forget(stored)
    if not several:
        return None
    found = sorted(zip(several, tracks, strict=True), key=lambda one: _order(*one))
    slugs = Slugs()
    made = tuple(
        History(
            slugs.of(f"{one[-1].result.label} {one[-1].result.spec.task.name}", one[-1].result.cell),
            anchors.get(one[-1].board),
            one,
            tuple(sorted(drawn, key=lambda track: not track.steps)),
            tuple(sources(version.stored, earlier=version.earlier) for version in one),
        )
        for one, drawn in found
    )
    return Histories(made, sum(track.tested for drawn in tracks for track in drawn))


def _order(several: Sequence[Version], tracks: Sequence[Track]) -> tuple[int, int, str, str]:
    steps = [step.verdict for track in tracks for step in track.steps]
    last = several[-1].result
    return (-steps.count("worse"), -len(steps), last.label, last.cell)
