"""The kinds of chart as Vega-Lite specs, without data.

Colours are the custom properties of the style sheet, so that they follow the reader's light or dark scheme. A string
``@name`` is put in by the page.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import altair as alt

INK, MUTED, LINE, MARK = "var(--ink)", "var(--muted)", "var(--line)", "var(--mark)"
DELETION, INSERTION = "var(--deletion)", "var(--insertion)"


def styled(chart: alt.TopLevelMixin, height: int | str) -> dict[str, Any]:
    """The spec of a chart that is as wide as its place on the page, with the page's look.

    Args:
        chart: Its marks; their data have names.
        height: Height in pixels without what stands around it, or the name by which a page gives it.
    """
    text = {"labelColor": MUTED, "labelFontSize": 11, "labelFontWeight": "normal", "labelPadding": 6}
    title = {"titleColor": MUTED, "titleFontSize": 11, "titleFontWeight": "normal", "titlePadding": 6}
    legend = {"labelColor": INK, "labelFontSize": 11, "symbolSize": 60, "symbolOpacity": 1, "columnPadding": 14}
    made = (
        chart.properties(width="container", background="transparent")
        .configure(padding=2, aria=False)
        .configure_view(stroke=None)
        .configure_axis(**text, **title, labelFlush=False, gridColor=LINE, domain=False, ticks=False)
        .configure_legend(**legend, orient="top", title=None, offset=4)
        # the tests compile every kind; to validate takes longer than all else
        .to_dict(validate=False)
    )
    # the schema's name is an address that nothing reads
    return {name: part for name, part in made.items() if name != "$schema"} | {"height": height}


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


def example() -> dict[str, Any]:
    """One example's deletion and insertion curve, small.

    Data ``curves``: ``t``, and ``deletion`` and ``insertion`` there, null where it is not known.
    """
    both = ["deletion", "insertion"]
    ends = alt.Scale(domain=[0, 1])
    base = (
        alt.Chart(alt.NamedData("curves"))
        .transform_fold(["deletion", "insertion"], as_=["curve", "p"])
        .transform_filter("isValid(datum.p)")
        .encode(
            alt.X("t:Q", title=None, scale=ends).axis(values=[0, 0.5, 1], format=".1~f", grid=False),
            alt.Y("p:Q", title=None, scale=ends).axis(values=[0, 0.5, 1], format=".1~f"),
            alt.Color("curve:N", legend=None, scale=alt.Scale(domain=both, range=[DELETION, INSERTION])),
        )
    )
    points = base.mark_point(filled=True, size=12, opacity=1).encode(
        alt.Shape("curve:N", legend=None, scale=alt.Scale(domain=both, range=["circle", "square"])),
        tooltip=[
            alt.Tooltip("curve:N", title="Curve"),
            alt.Tooltip("t:Q", title="Share of words", format=".2~f"),
            alt.Tooltip("p:Q", title="Probability", format=".3f"),
        ],
    )
    return styled(alt.layer(base.mark_line(strokeWidth=1.6), points), height=64)


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
            alt.X("first:Q", title="@first", scale=scale).axis(tickCount=6, format=".4~g"),
            alt.Y("second:Q", title="@second", scale=scale).axis(tickCount=6, format=".4~g"),
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


def dots(*, log: bool = False) -> dict[str, Any]:
    """Figures with their intervals, a line for each row, and in it a mark for each series.

    Data ``marks``: ``at``, the number of the row from 0, ``series``, ``mean``, ``low``, ``high``, and ``said``, the
    three as text. Given ``of``, what a row is, ``names`` of the rows, all ``series``, ``height``, and ``ends``, which
    the axis reaches.

    Args:
        log: Whether the axis is logarithmic, with a place for 0. Then the three are places from 0 to 1, and given are
            the places of the ``ticks`` and their ``labels``.
    """
    x = alt.X("low:Q", title=None)
    if log:
        given = [alt.param(name=name, value=f"@{name}") for name in ("ticks", "labels")]
        x = x.scale(domain=[0, 1], nice=False)
        x = x.axis(values=alt.ExprRef("ticks"), labelExpr="labels[indexof(ticks, datum.value)]")
    else:
        given = [alt.param(name="ends", value="@ends")]
        x = x.scale(domain=alt.ExprRef("ends"), nice=True, zero=False).axis(tickCount=6, format=".4~g")
    given += [alt.param(name=name, value=f"@{name}") for name in ("series", "names")]
    series = alt.ExprRef("series")
    colour = alt.Color("series:N", scale=alt.Scale(domain=series, range=[INSERTION, DELETION, MUTED]))
    shape = alt.Shape("series:N", scale=alt.Scale(domain=series, range=["circle", "square", "diamond"]))
    # two rows may have the same name
    y = alt.Y("at:O", title=None)
    y = y.axis(labelExpr="names[datum.value]", labelColor=INK, labelFontSize=12, labelLimit=210)
    offset = alt.YOffset("series:N").scale(domain=series, paddingInner=0, paddingOuter=0.5)
    tooltip = [
        alt.Tooltip("row:N", title="@of"),
        alt.Tooltip("series:N", title="Figure"),
        alt.Tooltip("said:N", title="Mean (95 % interval)"),
    ]
    base = alt.Chart(alt.NamedData("marks")).transform_calculate(row="names[datum.at]")
    base = base.encode(y, offset, colour, tooltip=tooltip)
    return styled(
        alt.layer(
            base.mark_rule(strokeWidth=2, strokeCap="round", clip=True).encode(x, alt.X2("high:Q")),
            base.mark_point(filled=True, opacity=1, size=60).encode(alt.X("mean:Q"), shape),
        ).add_params(*given),
        height="@height",
    )


def scatter() -> dict[str, Any]:
    """A figure of every example against its length, and perhaps a marked length.

    Data ``examples``: ``length`` and ``value``; data ``marked``: ``length``, and ``said`` beside it.
    """
    x = alt.X("length:Q", title="length in tokens").axis(grid=False, tickCount=6)
    marked = alt.Chart(alt.NamedData("marked")).encode(x)
    points = (
        alt.Chart(alt.NamedData("examples"))
        .mark_point(filled=True, size=24, opacity=0.65, color=INSERTION)
        .encode(
            x,
            alt.Y("value:Q", title=None).axis(tickCount=5, format=".4~g"),
            tooltip=[
                alt.Tooltip("length:Q", title="Length in tokens"),
                alt.Tooltip("value:Q", title="Figure", format=".3~g"),
            ],
        )
    )
    said = marked.mark_text(baseline="bottom", dy=-4, color=MUTED, fontSize=11, limit=0)
    return styled(
        alt.layer(
            marked.mark_rule(strokeDash=[4, 3], color=INK),
            said.encode(y=alt.value(0), text="said:N"),
            points,
        ),
        height=190,
    )


def lengths() -> dict[str, Any]:
    """How many examples have which length.

    Data ``bars``: ``low`` and ``high`` end, the same as text in ``lengths``, and ``examples``. Given ``unit``, the
    axis' title.
    """
    return styled(
        alt.Chart(alt.NamedData("bars"))
        .mark_bar(color=MARK, binSpacing=1)
        .encode(
            alt.X("low:Q", bin="binned", title="@unit", scale=alt.Scale(zero=False)).axis(
                grid=False, tickCount=8, format="d"
            ),
            alt.X2("high:Q"),
            alt.Y("examples:Q", title="examples").axis(tickMinStep=1, tickCount=3, format="d"),
            tooltip=[alt.Tooltip("lengths:N", title="Length"), alt.Tooltip("examples:Q", title="Examples")],
        ),
        height=110,
    )


# those of here by name; chart_kinds.py has all
KINDS: dict[str, Callable[[], dict[str, Any]]] = {
    "curves": curves,
    "example": example,
    "versus": versus,
    "dots": dots,
    "log-dots": partial(dots, log=True),
    "scatter": scatter,
    "lengths": lengths,
}
