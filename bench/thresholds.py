"""What counts as a regression: one number per figure, read from a file.

The package's own are in ``thresholds.toml``. A file of the user's has the same sections, and only what differs.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whybench.bench.errors import ParameterError, UnknownNameError
from whybench.bench.figures import FIGURES

DEFAULTS = Path(__file__).with_name("thresholds.toml")
VERSION = 1
COUNTS = ("forward_passes", "backward_passes", "flops")
TIMES = ("forward_equivalents", "milliseconds")
LOST = "lost_examples"

_NAMES: Mapping[str, tuple[str, ...]] = {
    "scores": tuple(name for name, metric in FIGURES.items() if metric.higher_is_better is not None),
    "counts": COUNTS,
    "times": TIMES,
    "coverage": (LOST,),
}


@dataclass(frozen=True)
class Thresholds:
    """From where on a change is one.

    Attributes:
        scores: Per metric with a direction the least change of its mean, above 0 and in the metric's unit.
        counts: Per exact count the least factor, above 1.
        times: Per measured time the least factor, above 1.
        lost_examples: The largest share of examples, scored before, that may fail.
    """

    scores: Mapping[str, float]
    counts: Mapping[str, float]
    times: Mapping[str, float]
    lost_examples: float


def read_thresholds(path: Path | None = None) -> Thresholds:
    """The package's thresholds, with those of a file in their place.

    Args:
        path: The file; None for the package's alone.

    Raises:
        ParameterError: It cannot be read, is not of this version, or has a value that is not allowed.
        UnknownNameError: It has a section or a figure that there is not.
    """
    found = _read(DEFAULTS)
    if path is not None:
        for section, values in _read(path).items():
            found[section] = found.get(section, {}) | values
    return Thresholds(found["scores"], found["counts"], found["times"], found["coverage"][LOST])


def _read(path: Path) -> dict[str, dict[str, float]]:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ParameterError(
            f"the thresholds {str(path)!r} cannot be read ({error.strerror or error}). Give another file."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ParameterError(f"the thresholds {str(path)!r} are not TOML: {error}. Mend the file.") from error
    version = data.pop("version", None)
    if isinstance(version, bool) or version != VERSION:
        raise ParameterError(
            f"the thresholds {str(path)!r} are of version {version!r}; it must be {VERSION}. Begin with: "
            f"version = {VERSION}"
        )
    found: dict[str, dict[str, float]] = {}
    for section, values in data.items():
        if section not in _NAMES:
            raise UnknownNameError("section of thresholds", section, _NAMES)
        if not isinstance(values, dict):
            raise ParameterError(f"{section!r} in {str(path)!r} is {values!r}; it must be a table: [{section}].")
        found[section] = {name: _checked(path, section, name, value) for name, value in values.items()}
    return found


def _checked(path: Path, section: str, name: str, value: Any) -> float:
    if name not in _NAMES[section]:
        if name in FIGURES and section == "scores":
            raise ParameterError(
                f"{name} in {str(path)!r} has no threshold: the figure has no better end. Take its line out."
            )
        raise UnknownNameError(f"figure under [{section}]", name, _NAMES[section])
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    if section == "coverage":
        fits, allowed = 0 <= number <= 1, "a share from 0 to 1"
    elif section == "scores":
        fits, allowed = number > 0, "a number above 0, or inf for no alarm"
    else:
        fits, allowed = number > 1, "a factor above 1, or inf for no alarm"
    if not fits:
        raise ParameterError(f"{section}.{name} in {str(path)!r} is {value!r}; it must be {allowed}.")
    return float(number)
