"""A page for every example that is shown: its address, and its neighbours in two orders."""

from __future__ import annotations

from dataclasses import dataclass

from whybench.leaderboard.formatting import Slugs
from whybench.leaderboard.heatmap import ExampleView, ExampleViews

# heat maps of an example on the page of its task; the others are on its own
MOST_HEATS = 8


@dataclass(frozen=True)
class ExamplePage:
    """An example's page.

    Attributes:
        view: What it shows.
        slug: Its name, the same as long as the example has the same id.
        href: Its address from the site's root.
        place, of: Which one it is of how many, in the order of the data.
        rank: Which one by the methods' disagreement, 1 for the most; None where fewer than two methods scored it.
        previous, following: Neighbours in the order of the data.
        more, less: Neighbours by disagreement: where it is the next larger, and the next smaller.
    """

    view: ExampleView
    slug: str
    href: str
    place: int
    of: int
    rank: int | None
    previous: str | None
    following: str | None
    more: str | None
    less: str | None


def example_pages(anchor: str, views: ExampleViews) -> tuple[ExamplePage, ...]:
    """The pages of a board's chosen examples, in the order in which they were chosen.

    Args:
        anchor: The board's name within pages.
        views: The examples.
    """
    slugs = Slugs()
    names = [slugs.of(view.id) for view in views.views]
    ranked = [i for i, view in enumerate(views.views) if view.disagreement is not None]
    ranked.sort(key=lambda i: -(views.views[i].disagreement or 0.0))
    ranks = {i: rank for rank, i in enumerate(ranked)}

    def neighbour(order: list[int], at: int | None) -> str | None:
        return f"{names[order[at]]}.html" if at is not None and 0 <= at < len(order) else None

    def page(i: int) -> ExamplePage:
        rank = ranks.get(i)
        everything = list(range(len(names)))
        return ExamplePage(
            view=views.views[i],
            slug=names[i],
            href=f"examples/{anchor}/{names[i]}.html",
            place=i + 1,
            of=len(names),
            rank=None if rank is None else rank + 1,
            previous=neighbour(everything, i - 1),
            following=neighbour(everything, i + 1),
            more=neighbour(ranked, None if rank is None else rank - 1),
            less=neighbour(ranked, None if rank is None else rank + 1),
        )

    return tuple(page(i) for i in range(len(names)))
