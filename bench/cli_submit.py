"""Commands around a submission: ``whybench export``, ``submit`` and ``verify``. Heavy imports stay inside them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from whybench.bench.errors import StoreError


def export(
    cell: Annotated[Path, typer.Argument(help="Folder of a finished cell, RESULTS/cells/….")],
    out: Annotated[Path | None, typer.Option("--out", help="File to write; default: print.")] = None,
) -> None:
    """Write a cell's scores as JSON Lines, as `whybench run --attributions` reads them."""
    from whybench.bench.attributions import exported
    from whybench.bench.store import read

    lines = [f"{line}\n" for line in exported(read(cell))]
    if out is None:
        sys.stdout.writelines(lines)
        return
    try:
        # never over what is there
        with out.open("x", encoding="utf-8") as file:
            file.writelines(lines)
    except OSError as error:
        raise StoreError(
            f"{str(out)!r} cannot be written ({error.strerror or error}). Give another path with --out."
        ) from error
    sys.stdout.write(f"{len(lines) - 1} examples in {out}\n")
