"""How numbers, names and citations are written on pages and in the terminal."""

from __future__ import annotations

import re
import unicodedata

from markupsafe import Markup, escape

MISSING = "–"

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

_ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")


def number(value: float, digits: int = 3) -> str:
    """A figure with a fixed number of decimals and a true minus sign; nothing is written as minus zero."""
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", "\u2212")


def interval(low: float, high: float, digits: int = 3) -> str:
    """An interval, its ends apart enough that a minus sign is not taken for the dash."""
    return f"{number(low, digits)}\u2009–\u2009{number(high, digits)}"


def significant(value: float) -> str:
    """Three significant digits, without an exponent where the number can be read without one."""
    if value == 0:
        return "0"
    if not 1e-3 <= abs(value) < 1e7:
        return f"{value:.1e}".replace("-", "\u2212")
    digits = max(0, 2 - _exponent(value))
    return f"{value:,.{digits}f}".replace("-", "\u2212")


def measured(value: float) -> str:
    """A figure that may be of any size: three decimals, significant digits from 100 on, a power of ten below 0.001."""
    if value == 0:
        return "0"
    if abs(value) < 1e-3:
        digits, exponent = f"{value:.1e}".split("e")
        return digits.replace("-", "\u2212") + "·" + power(int(exponent))
    return number(value) if abs(value) < 100 else significant(value)


def power(exponent: int) -> str:
    """A power of ten, its exponent raised."""
    return "10" + str(exponent).translate(_SUPERSCRIPTS)


def measured_interval(low: float, high: float) -> str:
    """An interval of `measured` numbers; a power of ten that both ends share is written once."""
    (low_digits, dot, low_power), (high_digits, _, high_power) = (measured(end).partition("·") for end in (low, high))
    if dot and low_power == high_power:
        return f"({low_digits}\u2009–\u2009{high_digits})·{high_power}"
    return f"{measured(low)}\u2009–\u2009{measured(high)}"


def count(value: float) -> str:
    """A mean count: whole where it is whole."""
    return f"{value:,.0f}" if value == int(value) else significant(value)


def memory(count_of_bytes: int) -> str:
    """Bytes in the largest decimal unit that keeps the number at 1 or above."""
    value = float(count_of_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        # 999.5 would be rounded up to 1,000 of the unit
        if value < 999.5:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{significant(value)} {unit}"
        value /= 1000
    return f"{significant(value)} TB"


def duration(seconds: float) -> str:
    """Wall-clock time of a cell."""
    if seconds < 120:
        return f"{significant(seconds)}\u00a0s"
    return f"{seconds / 60:.1f}\u00a0min"


def visible(text: str, most: int = 160) -> str:
    """A name with its control and direction characters spelled out, so that none can rearrange what is around it.

    What is longer than ``most`` characters is cut, and ends with the number of characters that were left out.
    """
    left_out = f"… ({len(text) - most:,} more characters)" if len(text) > most else ""
    return _spelled_out(text[:most], ("Cc", "Cf", "Zl", "Zp")) + left_out


def breakable(text: str) -> Markup:
    """A `visible` name that may be broken after underscores, brackets, commas and slashes, escaped."""
    return Markup("<wbr>").join(escape(part) for part in re.split(r"(?<=[_(,/])", visible(text)) if part)


def coded(text: str) -> Markup:
    """A `visible` running text of a docstring, escaped, with what stands in double backticks as code."""
    parts = re.split(r"``(.+?)``", visible(text, 4000))
    # what was in backticks has the odd places
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part) for place, part in enumerate(parts)
    )


def printable(text: str) -> str:
    """A running text in which only what HTML cannot hold is spelled out: control characters other than white space."""
    return _spelled_out(text, ("Cc",), but="\t\n\r")


def cited(citation: str) -> list[tuple[str, str | None]]:
    """A citation in pieces, each with the address that it leads to, or None."""
    pieces: list[tuple[str, str | None]] = []
    end = 0
    for match in _ARXIV.finditer(citation):
        pieces += [(citation[end : match.start()], None), (match[0], f"https://arxiv.org/abs/{match[1]}")]
        end = match.end()
    pieces.append((citation[end:], None))
    return [piece for piece in pieces if piece[0]]


class Slugs:
    """File names and anchors from names that may hold anything: safe, short, and each given once."""

    def __init__(self) -> None:
        self._taken: dict[str, str] = {}
        self._given: set[str] = set()

    def of(self, name: str, key: str | None = None) -> str:
        """The slug of a name, always the same one; a key tells apart what has the same name."""
        key = name if key is None else key
        if key in self._taken:
            return self._taken[key]
        base = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60].strip("-") or "unnamed"
        slug, same = base, 1
        while slug in self._given:
            same += 1
            slug = f"{base}-{same}"
        self._taken[key] = slug
        self._given.add(slug)
        return slug


def _spelled_out(text: str, categories: tuple[str, ...], but: str = "") -> str:
    # most texts have nothing to spell out, and a page has tens of thousands of them
    if text.isprintable():
        return text
    return "".join(
        f"⟨U+{ord(one):04X}⟩" if one not in but and unicodedata.category(one) in categories else one for one in text
    )


def _exponent(value: float) -> int:
    # of the rounded number: 0.9999 is written as 1.00
    return int(f"{value:.2e}".rsplit("e", 1)[1])
