"""Reading JSON that strangers wrote: only what the rest of the code is made for, less than Python's reader takes."""

from __future__ import annotations

import json
import math
from typing import Any

MAX_DEPTH = 24
MAX_INTEGER = 2**63 - 1


class NotStrictError(ValueError):
    """A text that is not JSON, or is JSON of a kind that is not taken; the message says what, without the text."""


def strict_json(raw: bytes | str) -> Any:
    """Parse JSON in UTF-8.

    Not taken: NaN and infinities, numbers too large for a float or for 64 bits, a name twice in one object, nesting
    deeper than `MAX_DEPTH`, and half of a surrogate pair, which no file could hold again.

    Raises:
        NotStrictError: It is not JSON, or one of these.
    """
    try:
        text = raw.decode("utf-8") if isinstance(raw, bytes) else raw
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant, parse_int=_integer)
    except UnicodeDecodeError as error:
        raise NotStrictError(f"it is not UTF-8 text (byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise NotStrictError(f"it is not JSON: {error.msg}, column {error.colno} of line {error.lineno}") from error
    except RecursionError as error:
        raise NotStrictError(f"it is nested more than {MAX_DEPTH} deep") from error
    _walk(value)
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        # in one pass: an object may have a million names
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise NotStrictError(f"the name {twice[:60]!r} stands twice in one object")
    return found


def _no_constant(name: str) -> Any:
    raise NotStrictError(f"it holds {name}; numbers must be finite")


def _integer(digits: str) -> int:
    # by length first: converting a million digits takes minutes
    if len(digits) > 20 or abs(value := int(digits)) > MAX_INTEGER:
        raise NotStrictError(f"it holds the number {digits[:20]}…; whole numbers must fit into 64 bits")
    return value


def _walk(value: Any) -> None:
    """Look at every part, without recursion."""
    pending = [(value, 1)]
    while pending:
        part, depth = pending.pop()
        if depth > MAX_DEPTH:
            raise NotStrictError(f"it is nested more than {MAX_DEPTH} deep")
        if isinstance(part, dict):
            pending += [(name, depth) for name in part]
            pending += [(below, depth + 1) for below in part.values()]
        elif isinstance(part, list):
            pending += [(below, depth + 1) for below in part]
        elif isinstance(part, float) and not math.isfinite(part):
            raise NotStrictError("it holds a number that is too large; numbers must be finite")
        elif isinstance(part, str) and not part.isascii() and any("\ud800" <= letter <= "\udfff" for letter in part):
            raise NotStrictError("it holds half of a surrogate pair, which is no character")
