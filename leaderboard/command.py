"""The command that makes a row again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from whybench.bench.metrics import metrics_named
from whybench.bench.schema import Result


def command(result: Result) -> str:
    """The `whybench run` that reproduces a row, safe to paste into a shell.

    The model is named as the result names it: a Hub id, or the name of a folder, whose place only its owner knows. A
    generated task's own checkpoint has the task's name and needs none.
    """
    spec = result.spec
    words = ["whybench", "run", *(["--suite", "causal"] if spec.measure == "causal" else [])]
    words += ["--task", spec.task.name]
    # of a file made elsewhere the digest is known, its place is not
    made = ["--attributions", f"{spec.method.name}=FILE.jsonl"] if result.elsewhere else ["--method", _method(result)]
    words += made
    if spec.task.dataset is not None or spec.model.name != spec.task.name:
        words += ["--model", spec.model.name]
        words += ["--revision", spec.model.revision] if spec.model.revision else []
    if spec.task.revision.startswith("sha256:"):
        # local files: their digest is known, their place is not
        words += ["--data", f"{spec.task.name}=PATH"]
    words += ["--split", spec.task.split, "--limit", str(spec.task.examples), "--operator", spec.operator]
    for option, value, usual in (
        ("--unit", spec.unit, "word"),
        ("--dtype", spec.dtype, "float32"),
        ("--seed", str(spec.seed), "0"),
    ):
        if value != usual:
            words += [option, value]
    if spec.measure == "faithfulness" and set(spec.metrics) != {metric.name for metric in metrics_named(None)}:
        words += [word for name in spec.metrics for word in ("--metric", name)]
    return shlex.join(words)


def _method(result: Result) -> str:
    """``NAME``, or ``NAME:key=value,…`` with the parameters that the label gives, those that are not the defaults."""
    changed = [
        f"{name}={value}"
        for name, value in result.spec.method.parameters.items()
        if f"{name}={value}" in result.label.removeprefix(result.spec.method.name)
    ]
    return f"{result.spec.method.name}:{','.join(changed)}" if changed else result.spec.method.name


def merged(commands: Sequence[str]) -> tuple[str, ...]:
    """Commands that differ in nothing but their one ``--method``, as one command with all of these."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for line in commands:
        words = shlex.split(line)
        at = words.index("--method")
        groups.setdefault((*words[:at], "\0", *words[at + 2 :]), []).append(words[at + 1])
    lines = []
    for rest, methods in groups.items():
        at = rest.index("\0")
        chosen = [word for method in dict.fromkeys(methods) for word in ("--method", method)]
        lines.append(shlex.join([*rest[:at], *chosen, *rest[at + 1 :]]))
    return tuple(lines)
