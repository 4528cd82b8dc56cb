"""The chart of one figure or cost over versions, as a Vega-Lite spec."""

from __future__ import annotations

from typing import Any, Literal

import altair as alt

from whybench.leaderboard.chart_specs import DELETION, INK, INSERTION, styled

HEIGHT = 124


def over_versions(scale: Literal["linear", "log"]) -> dict[str, Any]:
    """A figure over versions, and the steps between them as rules with their text.

    Data ``values``: ``version`` (1, 2, …), ``value``, ``low`` and ``high`` (null for a cost), and what a tooltip says.
    Data ``steps``: ``version`` (the place between two), ``verdict``, ``text`` and what a tooltip says. Given are the
    ends of both axes (``versions``, ``ends``), the ``numbers`` of versions that are written, the ``format`` of figures,
    and whether the versions are so ``few`` that the steps' texts have room.

    Args:
        scale: The axis of figures; logarithmic for costs.
    """
    values, steps = alt.Chart(alt.NamedData("values")), alt.Chart(alt.NamedData("steps"))
    given = [alt.param(name=name, value=f"@{name}") for name in ("versions", "ends", "numbers", "few")]
    x = alt.X("version:Q", title=None, scale=alt.Scale(domain=alt.ExprRef("versions"), nice=False))
    x = x.axis(values=alt.ExprRef("numbers"), format="d", grid=False)
    zero = alt.Undefined if scale == "log" else False
    y_scale = alt.Scale(domain=alt.ExprRef("ends"), type=scale, nice=False, zero=zero)
    y = alt.Y("value:Q", title=None, scale=y_scale).axis(tickCount=4, format="@format")
    verdict = alt.Color("verdict:N", legend=None)
    verdict = verdict.scale(domain=["worse", "better"], range=[DELETION, INSERTION])
    dashes = alt.Scale(domain=["worse", "better"], range=[[4, 3], [1.5, 3]])
    dash = alt.StrokeDash("verdict:N", scale=dashes, legend=None)
    change = [
        alt.Tooltip("verdict:N", title="Step"),
        alt.Tooltip("change:N", title="Change"),
        alt.Tooltip("interval:N", title="Interval"),
        alt.Tooltip("between:N", title="Between versions"),
    ]
    version = [
        alt.Tooltip("version:Q", title="Version", format="d"),
        alt.Tooltip("made:N", title="Run"),
        alt.Tooltip("code:N", title="By"),
        alt.Tooltip("text:N", title="@title"),
        alt.Tooltip("interval:N", title="95 % interval"),
    ]
    low = alt.Y("low:Q", scale=y_scale)
    text: dict[str, Any] = {
        "baseline": "bottom",
        "y": -15,
        "fontSize": 10,
        "lineBreak": "\n",
        "lineHeight": 11,
        "color": INK,
    }
    return styled(
        alt.layer(
            steps.mark_rule(strokeWidth=1.4).encode(x, verdict, dash),
            steps.mark_rule(strokeWidth=14, opacity=0).encode(x, tooltip=change),
            steps.transform_filter("few").mark_text(**text).encode(x, text="text:N"),
            values.mark_rule(strokeWidth=2, color=INSERTION, opacity=0.5).encode(x, low, alt.Y2("high:Q")),
            values.mark_line(strokeWidth=1.8, color=INSERTION).encode(x, y),
            values.mark_point(size=34, filled=True, opacity=1, color=INSERTION).encode(x, y),
            # what can be pointed at is larger than what is seen
            values.mark_point(size=260, opacity=0).encode(x, y, tooltip=version),
        ).add_params(*given),
        height=HEIGHT,
    )
