"""LaTeX: text that cannot be taken for commands, and tables with booktabs."""

from __future__ import annotations

from collections.abc import Sequence

from whybench.leaderboard.formatting import visible

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


def tabular(
    columns: str,
    heads: Sequence[str],
    parts: Sequence[Sequence[tuple[Sequence[str], str]]],
    notes: Sequence[str],
) -> bytes:
    """A table with booktabs.

    Args:
        columns: The columns' alignments.
        heads: Headings, as LaTeX.
        parts: Rows between two rules: cells as LaTeX, and what is said of the row in a comment.
        notes: What stands beneath the table, as text.
    """
    lines = [
        "% needs \\usepackage{booktabs}; names with letters beyond Latin need XeLaTeX or LuaLaTeX",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(heads) + r" \\",
    ]
    for part in parts:
        if part:
            lines.append(r"\midrule")
            lines += [f"{' & '.join(cells)} \\\\ % {visible(comment, 4000)}" for cells, comment in part]
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par{{\footnotesize {escaped(note, 4000)}}}" for note in notes]
    return ("\n".join(lines) + "\n").encode("utf-8", "replace")
