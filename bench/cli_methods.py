"""Which methods a command is about, from what stands on the command line; free of heavy imports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from whybench.bench.choices import CONTROL, FAMILIES, UNRANKED
from whybench.bench.errors import MethodError, ParameterError

if TYPE_CHECKING:
    from whybench.bench.attributions import Precomputed
    from whybench.bench.method import Method
    from whybench.bench.store import StoredResult


def methods_named(
    chosen: Sequence[str] | None, *, causal: bool, skipped: Sequence[str] = (), alone: bool = True
) -> tuple[list[Method], dict[str, str]]:
    """The methods to run, and those of all that cannot be loaded, each with its reason.

    Without a choice: for the causal suite all that give matrices, controls included; else all but the controls; and in
    both only those that run by default, without those that are ``skipped``; none where these are not all that runs
    (``alone``). One without parameters comes in all its variants.

    Raises:
        UnknownNameError: There is no such method.
        ParameterError: A method that is skipped would not have run.
    """
    from whybench.bench.matrices import MatrixMethod
    from whybench.bench.registry import load_method

    methods: list[Method] = []
    unusable = {}
    names = list(chosen or (_all_methods(causal=causal) if alone else ()))
    for name in skipped:
        if name not in names:
            raise ParameterError(f"--skip {name} is none of the methods that would run: {', '.join(names)}.")
    for name, parameters in map(method_named, [name for name in names if name not in skipped]):
        try:
            loaded = load_method(name, **parameters)
        except MethodError as error:
            # one broken file among all methods is no reason to stop; one that was asked for by name is
            if chosen:
                raise
            unusable[name] = str(error)
            continue
        # an entry point says nothing of itself before it is loaded
        asked = isinstance(loaded, MatrixMethod) if causal else loaded.family != CONTROL
        if not chosen and not (asked and loaded.default):
            continue
        methods += [loaded] if parameters else [load_method(name, **variant) for variant in loaded.variants]
    return methods, unusable


def twins_of(methods: Sequence[Method]) -> list[Method]:
    """The twins of those methods that are ranked, by every method that makes twins.

    Raises:
        ParameterError: A method has no name that it could be loaded by, or a parameter cannot be handed on, as it has a
            space in it.
    """
    from whybench.bench.listing import entries
    from whybench.bench.registry import load_method

    known = {entry.name: entry for entry in entries("method")}
    made: list[Method] = []
    for maker in [entry.name for entry in known.values() if entry.fact("twin")]:
        for method in methods:
            if method.family in UNRANKED:
                continue
            if method.name not in known:
                raise ParameterError(
                    f"{method.name} is a file of its own, and its twin would be asked for by a name that nothing has. "
                    "Leave --twins out, or put the file into methods/ or behind an entry point."
                )
            parameters = {key: str(value) for key, value in method.parameters().items() if value is not None}
            if strange := [key for key, value in parameters.items() if value.split() != [value]]:
                raise ParameterError(
                    f"the parameter {strange[0]} of {method.label()} cannot be handed on to its twin, as it has a "
                    "space in it. Leave --twins out, or this method."
                )
            given = " ".join(f"{key}={value}" for key, value in parameters.items() if f"{key}=" in method.label())
            made.append(load_method(maker, of=method.name, parameters_of=given))
    return made


def attributions_named(files: Sequence[str]) -> list[Precomputed]:
    """The methods that files of scores made elsewhere are, from ``NAME=FILE`` or ``FILE``, each read and checked.

    Raises:
        AttributionsError: A file cannot be read, or something in it is wrong.
        ParameterError: A name is another method's, or stands twice.
    """
    if not files:
        return []
    from whybench.bench.attributions import load_attributions
    from whybench.bench.listing import names

    known = set(names("method"))
    made: list[Precomputed] = []
    for text in files:
        name, sign, path = text.partition("=")
        one = load_attributions(Path(path if sign else text).expanduser(), name if sign else None)
        if one.name in known or one.name in {other.name for other in made}:
            raise ParameterError(
                f"--attributions {text} would be named {one.name!r}, as another method is. "
                f"Give it a name of its own: --attributions my_{one.name}={path if sign else text}"
            )
        made.append(one)
    return made


def unread(given: Sequence[Precomputed], cells: Sequence[StoredResult]) -> Iterator[str]:
    """What to say of examples in files of scores that no finished cell of a run has: they were not read."""
    for method in given:
        used: set[str] = set()
        for stored in cells:
            if stored.result.status == "finished" and stored.result.spec.method.source == method.digest:
                used.update(stored.columns(["example_id"]).column(0).to_pylist())
        extra = [example for example in method.lines if example not in used]
        if used and extra:
            yield (
                f"{len(extra):,} of {len(method.lines):,} examples in {method.file} are none of those that were "
                f"scored, and were not read; the first: {extra[0]!r:.60}"
            )


def _all_methods(*, causal: bool) -> list[str]:
    from whybench.bench.listing import entries

    families = ("attention", CONTROL) if causal else tuple(family for family in FAMILIES if family != CONTROL)
    return [
        entry.name
        for entry in entries("method")
        if entry.fact("family", families[0]) in families and entry.fact("default", True)
    ]


def method_named(text: str) -> tuple[str, dict[str, str]]:
    """Name and parameters in ``NAME:key=value,key=value``; ParameterError where it is written otherwise."""
    name, _, tail = text.partition(":")
    pairs = [item.partition("=") for item in tail.split(",") if item]
    for key, sign, _ in pairs:
        if not sign:
            raise ParameterError(f"--method {text!r} has {key!r} where key=value belongs (NAME:key=value,key=value).")
    return name, {key.strip(): value.strip() for key, _, value in pairs}


def data_named(text: str) -> tuple[str, Path]:
    """Task and path in ``TASK=PATH``; ParameterError where it is written otherwise."""
    name, sign, path = text.partition("=")
    if not sign or not path:
        raise ParameterError(f"--data is {text!r}; it must be TASK=PATH, as in sst2=data/sst2.")
    return name, Path(path)
