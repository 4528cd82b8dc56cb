"""LaTeX: text that cannot be taken for commands, and tables with booktabs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from whybench.leaderboard.formatting import visible

ABOVE = "% needs \\usepackage{booktabs}; names with letters beyond Latin need XeLaTeX or LuaLaTeX"
_SIGNS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"{\char34}",
    "`": r"\textasciigrave{}",
    "*": "{*}",
    "[": "{[}",
    "]": "{]}",
    "\u00a0": "~",
    "\u2009": r"\,",
    "\u2013": "--",
    "\u2014": "---",
    "\u2212": "$-$",
    "\u00d7": r"$\times$",
    "\u00b7": r"$\cdot$",
    "\u2026": r"\ldots{}",
    "\u27e8": r"$\langle$",
    "\u27e9": r"$\rangle$",
    "\u2070": r"\textsuperscript{0}",
    "\u207b": r"\textsuperscript{$-$}",
    "\u03c4": r"$\tau$",
    **{character: rf"\textsuperscript{{{digit}}}" for digit, character in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")},
}


def escaped(text: str, most: int = 160) -> str:
    """A text as LaTeX shows it, whatever is in it; signs that turn or break lines are spelled out.

    Letters beyond those of TeX's fonts stay, and ask for XeLaTeX or LuaLaTeX. What is longer than ``most`` characters
    is cut, as `visible` does.
    """
    # TeX joins two hyphens to a dash
    signs = visible(text, most).replace("--", "-\0-").replace("--", "-\0-")
    return "".join("{}" if sign == "\0" else _SIGNS.get(sign, sign) for sign in signs)


@dataclass(frozen=True)
class Tabular:
    """A table with booktabs.

    Attributes:
        aligned: The columns' alignments.
        keys: Names of the columns on the page.
        heads: Headings, as LaTeX.
        parts: Rows between two rules: cells as LaTeX, and what is said of the row in a comment.
        notes: What stands beneath the table, as text.
    """

    aligned: str
    keys: Sequence[str]
    heads: Sequence[str]
    parts: Sequence[Sequence[tuple[Sequence[str], str]]]
    notes: Sequence[str]

    @property
    def rows(self) -> list[list[tuple[Sequence[str], str]]]:
        """Per part the rows: cells, and what ends the line."""
        return [[(cells, rf" \\ % {visible(comment, 4000)}") for cells, comment in part] for part in self.parts]

    @property
    def below(self) -> list[str]:
        """Lines beneath the rows."""
        notes = (rf"\par{{\footnotesize {escaped(note, 4000)}}}" for note in self.notes)
        return [r"\bottomrule", r"\end{tabular}", *notes]

    def encode(self) -> bytes:
        """The file."""
        lines = [ABOVE, rf"\begin{{tabular}}{{{self.aligned}}}", r"\toprule", " & ".join(self.heads) + r" \\"]
        for part in self.rows:
            if part:
                lines += [r"\midrule", *(" & ".join(cells) + end for cells, end in part)]
        return ("\n".join([*lines, *self.below]) + "\n").encode("utf-8", "replace")
