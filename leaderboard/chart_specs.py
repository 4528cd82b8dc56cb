"""The kinds of chart as Vega-Lite specs, without data.

Colours are the custom properties of the style sheet, so that they follow the reader's light or dark scheme. A string
``@name`` is put in by the page.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import altair as alt

INK, MUTED, LINE = "var(--ink)", "var(--muted)", "var(--line)"
DELETION, INSERTION = "var(--deletion)", "var(--insertion)"


def styled(chart: alt.TopLevelMixin, height: int | alt.Step) -> dict[str, Any]:
    """The spec of a chart that is as wide as its place on the page, with the page's look.

    Args:
        chart: Its marks; their data have names.
        height: Height in pixels, or per row.
    """
    text = {"labelColor": MUTED, "labelFontSize": 11, "labelFontWeight": "normal", "labelPadding": 6}
    title = {"titleColor": MUTED, "titleFontSize": 11, "titleFontWeight": "normal", "titlePadding": 6}
    legend = {"labelColor": INK, "labelFontSize": 11, "symbolSize": 60, "symbolOpacity": 1, "columnPadding": 14}
    made = (
        chart.properties(width="container", height=height, background="transparent")
        .configure(autosize=alt.AutoSizeParams(type="fit-x", contains="padding"), padding=2, aria=False)
        .configure_view(stroke=None)
        .configure_axis(**text, **title, labelFlush=False, gridColor=LINE, domain=False, ticks=False)
        .configure_legend(**legend, orient="top", title=None, offset=4)
        .to_dict()
    )
    # the schema's name is an address that nothing reads
    return {name: part for name, part in made.items() if name != "$schema"}


def between(low: str, high: str, form: str) -> str:
    """An expression that writes an interval of two fields."""
    return f"format(datum.{low}, '{form}') + '\u2009–\u2009' + format(datum.{high}, '{form}')"


def curves() -> dict[str, Any]:
    """Mean deletion and insertion curves with their bands, and those of references behind them.

    Data ``curves``: ``t``, ``mean``, ``low`` and ``high`` (null for a reference), ``curve``, ``of`` and ``own``.
    """
    both = ["deletion", "insertion"]
    base = alt.Chart(alt.NamedData("curves"))
    x = alt.X("t:Q", title="share of words, best first", scale=alt.Scale(domain=[0, 1]))
    x = x.axis(values=[0, 0.25, 0.5, 0.75, 1], format=".2~f", grid=False)
    ends = alt.Scale(domain=[0, 1])
    y = alt.Y("mean:Q", title="mean probability of the prediction", scale=ends)
    y = y.axis(values=[0, 0.25, 0.5, 0.75, 1], format=".2~f")
    colour = alt.Color("curve:N", scale=alt.Scale(domain=both, range=[DELETION, INSERTION]))
    shape = alt.Shape("curve:N", scale=alt.Scale(domain=both, range=["circle", "square"]))
    tooltip = [
        alt.Tooltip("of:N", title="Method"),
        alt.Tooltip("curve:N", title="Curve"),
        alt.Tooltip("t:Q", title="Share of words", format=".2~f"),
        alt.Tooltip("mean:Q", title="Mean probability", format=".3f"),
    ]
    interval = alt.Tooltip("interval:N", title="95 % interval")
    own = base.transform_filter("datum.own").transform_calculate(interval=between("low", "high", ".3f"))
    others = base.transform_filter("!datum.own")
    return styled(
        alt.layer(
            own.mark_area(opacity=0.16).encode(x, alt.Y("low:Q", scale=ends), alt.Y2("high:Q"), colour),
            others.mark_line(strokeWidth=1.4, strokeDash=[1.5, 4]).encode(x, y, colour, detail="of:N"),
            others.mark_point(size=60, opacity=0).encode(x, y, tooltip=tooltip),
            own.mark_line(strokeWidth=2.2).encode(x, y, colour),
            own.mark_point(size=26, filled=True, opacity=1).encode(x, y, colour, shape, tooltip=[*tooltip, interval]),
        ),
        height=200,
    )


def versus() -> dict[str, Any]:
    """A figure of every example under two methods, one across, one upright.

    Data ``examples``: ``id``, ``first`` and ``second``. Given ``first`` and ``second``, the axes' titles, ``names`` of
    the two methods, and ``ends`` of both axes.
    """
    # names are others' text: as values, never within an expression
    names, ends = alt.param(name="names", value="@names"), alt.param(name="ends", value="@ends")
    scale = alt.Scale(domain=alt.ExprRef("ends"), nice=True)
    points = (
        alt.Chart(alt.NamedData("examples"))
        .transform_calculate(
            across="format(datum.first, '.3f') + ' ' + names[0]",
            upright="format(datum.second, '.3f') + ' ' + names[1]",
            apart="format(datum.first - datum.second, '+.3f')",
        )
        .mark_point(filled=True, size=24, opacity=0.65, color=INSERTION)
        .encode(
            alt.X("first:Q", title="@first", scale=scale).axis(tickCount=6, format="~g"),
            alt.Y("second:Q", title="@second", scale=scale).axis(tickCount=6, format="~g"),
            tooltip=[
                alt.Tooltip("id:N", title="Example"),
                alt.Tooltip("across:N", title="First"),
                alt.Tooltip("upright:N", title="Second"),
                alt.Tooltip("apart:N", title="Difference"),
            ],
        )
    )
    equal = (
        alt.Chart(alt.sequence(2, as_="end"))
        .transform_calculate(value="ends[datum.end]")
        .mark_line(strokeDash=[4, 3], strokeWidth=1, color=INK)
        .encode(alt.X("value:Q", title="@first"), alt.Y("value:Q", title="@second"))
    )
    return styled(alt.layer(equal, points).add_params(names, ends), height=330)


# the name of every kind, on pages and in the file of the specs
KINDS: dict[str, Callable[[], dict[str, Any]]] = {"curves": curves, "versus": versus}
