"""What a table of checks found out about one contribution, and how that is shown; whatever is checked.

A check is a function with a docstring that says what is promised. It is given the subject and a `Found`, in which it
notes what it sees.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

if TYPE_CHECKING:
    from rich.console import Console

S = TypeVar("S")
Status = Literal["passed", "warned", "failed", "skipped"]

# a contributor's file may raise anything, and may call sys.exit
ANYTHING = (Exception, SystemExit)

_COLOURS: Mapping[Status, str] = {"passed": "green", "warned": "yellow", "failed": "bold red", "skipped": "dim"}
_EXAMPLES = 3


@dataclass
class Found:
    """What a check notes.

    Attributes:
        facts: Numbers and names for the report.
        failures: Promises that are not kept.
        warnings: What is allowed, and seldom meant.
        skips: Why the check could not be made.
    """

    facts: dict[str, Any] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    skips: list[str] = field(default_factory=list)

    def fail(self, reason: str) -> None:
        """A promise is not kept."""
        self.failures.append(reason)

    def warn(self, reason: str) -> None:
        """Something is allowed, and seldom meant."""
        self.warnings.append(reason)

    def skip(self, reason: str) -> None:
        """The check, or the rest of it, cannot be made."""
        self.skips.append(reason)

    def fail_each(self, what: str, where: Iterable[str]) -> None:
        """The same promise is not kept in several places; the first few are named."""
        if places := list(where):
            more = f" and {len(places) - _EXAMPLES} more" if len(places) > _EXAMPLES else ""
            self.fail(f"{what}: {', '.join(places[:_EXAMPLES])}{more}.")


@dataclass(frozen=True)
class Check(Generic[S]):
    """One promise about a subject of type ``S``.

    Attributes:
        name: Its name in the report.
        run: Looks at the subject, and notes what it finds; its docstring says what is promised.
        needs: Parts of the subject that must be there.
    """

    name: str
    run: Callable[[S, Found], None]
    needs: tuple[str, ...]

    @property
    def promise(self) -> str:
        """What is promised."""
        return " ".join((self.run.__doc__ or "").split())


@dataclass(frozen=True)
class Finding:
    """The outcome of one check.

    Attributes:
        check: The check's name.
        promise: What it checks.
        status: ``passed``; ``warned``, which passes too; ``failed``; ``skipped``, where it could not be made.
        reason: Why, where it did not simply pass.
        facts: What was seen.
    """

    check: str
    promise: str
    status: Status
    reason: str
    facts: Mapping[str, Any]

    @classmethod
    def of(cls, check: str, promise: str, found: Found) -> Finding:
        """The worst of what was noted decides; a check that could be made in part and failed has failed."""
        noted: tuple[tuple[Status, list[str]], ...] = (
            ("failed", found.failures),
            ("skipped", found.skips),
            ("warned", found.warnings),
        )
        status: Status = next((status for status, reasons in noted if reasons), "passed")
        reason = " ".join(reason for _, reasons in noted for reason in reasons)
        return cls(check, promise, status, reason, found.facts)

    def told(self) -> str:
        """The reason, then the facts, on one line and without characters that could rearrange what is around it."""
        facts = ", ".join(f"{name.replace('_', ' ')} {_written(value)}" for name, value in self.facts.items())
        return visible(" ".join(filter(None, (self.reason, facts))))


@dataclass(frozen=True)
class Report:
    """All findings about one contribution.

    Attributes:
        title: What was checked, on what.
        findings: In the order of the table.
    """

    title: str
    findings: Sequence[Finding]

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return not any(finding.status == "failed" for finding in self.findings)

    def summary(self) -> str:
        """How many checks had which outcome."""
        counts = [sum(finding.status == status for finding in self.findings) for status in _COLOURS]
        passed, warned, failed, skipped = counts
        return f"{passed + warned} passed ({warned} with a warning), {failed} failed, {skipped} skipped"

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        findings = [{**vars(finding), "facts": dict(finding.facts)} for finding in self.findings]
        return {"title": self.title, "passed": self.passed, "findings": findings}

    def to_markdown(self) -> str:
        """A table to paste into a pull request; nothing in it is markup of others."""
        rows = [
            f"| {one.check} | {one.promise} | {one.status} | {escaped(one.told())} |".replace("|  |", "| |")
            for one in self.findings
        ]
        head = ["| check | what is promised | outcome | what was found |", "|---|---|---|---|"]
        return "\n".join([f"### {escaped(visible(self.title))}", "", *head, *rows, "", f"{self.summary()}.", ""])

    def print(self, console: Console) -> None:
        """The table for the terminal."""
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
        table.add_column("check", no_wrap=True)
        table.add_column("outcome", no_wrap=True)
        table.add_column("what was found", overflow="fold")
        for one in self.findings:
            table.add_row(one.check, Text(one.status, style=_COLOURS[one.status]), Text(one.told()))
            if one.status == "failed":
                # a check's name alone does not say what it asks for
                table.add_row("", "", Text(f"Promised: {one.promise}", style="dim"))
        console.print(Text(visible(self.title)))
        console.print()
        console.print(table)
        console.print()
        console.print(Text(f"{self.summary()}."))


def visible(text: str) -> str:
    """A text on one line, with control and direction characters spelled out."""
    return "".join(
        character if unicodedata.category(character) not in ("Cc", "Cf", "Zl", "Zp") else f"\\u{ord(character):04x}"
        for character in re.sub(r"\s*\n\s*", " ", text)
    )


def _written(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, Mapping):
        return "(" + ", ".join(f"{name} {_written(one)}" for name, one in value.items()) + ")"
    if isinstance(value, (list, tuple)):
        return "(" + ", ".join(map(_written, value)) + ")"
    return str(value)


def escaped(text: str) -> str:
    """As Markdown that shows just these characters, and calls nobody."""
    shown = re.sub(r"([\\`*_{}\[\]<>#|~])", r"\\\1", text.replace("&", "&amp;"))
    # a backslash does not keep GitHub from sending word to whom an @ names
    return shown.replace("@", "@&#8203;")
