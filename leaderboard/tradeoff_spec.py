"""The chart of figure against cost, as a Vega-Lite spec."""

from __future__ import annotations

from typing import Any

import altair as alt

from whybench.leaderboard.chart_specs import DELETION, INK, styled

PAGE = "var(--page)"
HEIGHT = 340
SHAPES = {"attention": "circle", "gradient": "square", "perturbation": "triangle-up", "other": "diamond"}
# a narrower plot has the front's names only: others would stand on one another
_WIDE = 420


def tradeoff() -> dict[str, Any]:
    """A figure against a cost, with the front.

    Data ``points``: ``x`` (the cost), ``y``, ``low`` and ``high`` (null where there is no interval), ``family``,
    ``front`` (yes, no, not ranked) and what a tooltip says; ``front``: ``x`` and ``y`` of corners; ``levels``: ``y`` of
    yardsticks and what a tooltip says; ``labels``: ``y`` and ``text`` of their names; ``names``: ``x``, ``y`` and
    ``text`` of methods, whether they are of the ``front``, and ``to_x`` and ``to_y`` of a point that is further away.
    Given are the titles of both axes (``cost``, ``figure``), their ends (``costs``, ``figures``), and the ``families``
    that occur.
    """
    points, front, levels, labels, names = (
        alt.Chart(alt.NamedData(name)) for name in ("points", "front", "levels", "labels", "names")
    )
    given = [alt.param(name=name, value=f"@{name}") for name in ("costs", "figures", "families")]
    x = alt.X("x:Q", title="@cost", scale=alt.Scale(type="log", domain=alt.ExprRef("costs"), nice=False))
    x = x.axis(format=",~g", tickCount=6, labelOverlap=True)
    y_scale = alt.Scale(domain=alt.ExprRef("figures"), nice=False, zero=False)
    y = alt.Y("y:Q", title="@figure", scale=y_scale).axis(tickCount=6, format="~g")
    low = alt.Y("low:Q", scale=y_scale)
    legend = alt.Legend(values=alt.ExprRef("families"))
    colours = alt.Scale(domain=list(SHAPES), range=[f"var(--family-{name})" for name in SHAPES])
    colour = alt.Color("family:N", scale=colours, legend=legend)
    shapes = alt.Scale(domain=list(SHAPES), range=list(SHAPES.values()))
    shape = alt.Shape("family:N", scale=shapes, legend=legend)
    # hollow where it is not ranked
    fill = alt.condition("datum.front == 'not ranked'", alt.value(PAGE), colour)
    method = [
        alt.Tooltip("name:N", title="Method"),
        alt.Tooltip("family:N", title="Family"),
        alt.Tooltip("figure:N", title="@figure"),
        alt.Tooltip("interval:N", title="95 % interval"),
        alt.Tooltip("cost:N", title="Cost"),
        alt.Tooltip("front:N", title="On the front"),
    ]
    yardstick = [alt.Tooltip("name:N", title="Yardstick"), alt.Tooltip("figure:N", title="@figure")]
    written = names.transform_filter(f"datum.front || width > {_WIDE}")
    off, on = written.transform_filter("!datum.front"), names.transform_filter("datum.front")
    usual: dict[str, Any] = {"fontSize": 11}
    bold = usual | {"fontWeight": 600}
    halo: dict[str, Any] = {"stroke": PAGE, "strokeWidth": 3, "strokeJoin": "round"}
    texts = [
        some.mark_text(**weight, **look).encode(x, y, text="text:N")
        for some, weight in ((off, usual), (on, bold))
        for look in (halo, {"color": INK})
    ]
    label: dict[str, Any] = {"align": "right", "baseline": "bottom", "dy": -3, "fontSize": 11, "fontStyle": "italic"}
    return styled(
        alt.layer(
            levels.mark_rule(strokeDash=[5, 4], color=DELETION).encode(y, tooltip=yardstick),
            labels.mark_text(**label, color=DELETION).encode(y, x=alt.value(alt.expr("width")), text="text:N"),
            front.mark_line(interpolate="step-after", strokeWidth=1.6, color=INK, opacity=0.7).encode(x, y),
            points.mark_rule(strokeWidth=1.2, opacity=0.55).encode(x, low, alt.Y2("high:Q"), colour),
            written.mark_rule(strokeWidth=0.6, color=INK, opacity=0.5).encode(x, y, alt.X2("to_x:Q"), alt.Y2("to_y:Q")),
            points.mark_point(size=70, strokeWidth=1.6, opacity=1).encode(
                x, y, colour, shape, fill=fill, tooltip=method
            ),
            *texts,
        ).add_params(*given),
        height=HEIGHT,
    )
