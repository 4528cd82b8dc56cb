"""What ``whybench list`` shows: methods, tasks or metrics, none of them imported."""

from __future__ import annotations

from typing import Any

from whybench.bench.errors import ParameterError


def rows_of(kind: str) -> list[dict[str, Any]]:
    """One row for each method, task or metric.

    Raises:
        ParameterError: There is nothing of that kind.
    """
    if kind in ("methods", "method"):
        return _methods()
    if kind in ("tasks", "task"):
        return _tasks()
    if kind in ("metrics", "metric"):
        return _metrics()
    raise ParameterError(f"there is nothing to list under {kind!r}; it must be methods, tasks or metrics.")


def _methods() -> list[dict[str, Any]]:
    from whybench.bench.listing import entries

    return [
        {"name": e.name, "family": e.fact("family", ""), "signed": e.fact("signed", ""), "what": e.error or e.summary}
        for e in entries("method")
    ]


def _tasks() -> list[dict[str, Any]]:
    from whybench.bench.listing import entries

    return [
        {
            "name": e.name,
            "suite": e.fact("suite", ""),
            "evidence": e.fact("evidence") or "none",
            "what": e.error or e.fact("summary"),
        }
        for e in entries("task")
    ]


def _metrics() -> list[dict[str, Any]]:
    from whybench.bench.causal.metrics import CAUSAL
    from whybench.bench.figures import FIGURES
    from whybench.bench.metrics import METRICS

    def needs(name: str) -> str:
        return "probabilities" if name in METRICS else "attention" if name in CAUSAL else "evidence"

    def default(name: str) -> str:
        if name in CAUSAL:
            return "--suite causal"
        return "yes" if name not in METRICS or METRICS[name].default else "no"

    return [
        {
            "name": m.name,
            "default": default(m.name),
            "needs": needs(m.name),
            "better": {True: "higher", False: "lower", None: ""}[m.higher_is_better],
            "what": m.formula,
            "source": m.citation,
        }
        for m in FIGURES.values()
    ]
