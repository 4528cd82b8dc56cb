"""Reading a page as a program does: its tables, its text as it is read, and what it would fetch."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

VOID = {"meta", "link", "input", "img", "br", "wbr", "path"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text for child in self.children)

    def all(self, tag: str, **attributes: str | None) -> list[Element]:
        """Descendants of a tag that have these attributes; None asks for any value."""
        wanted = {name.strip("_").replace("_", "-"): value for name, value in attributes.items()}
        found = []
        for child in self.children:
            if isinstance(child, Element):
                fits = all(n in child.attributes and v in (None, child.attributes[n]) for n, v in wanted.items())
                if child.tag == tag and fits:
                    found.append(child)
                found += child.all(tag, **attributes)
        return found

    def one(self, tag: str, **attributes: str | None) -> Element:
        found = self.all(tag, **attributes)
        assert len(found) == 1, f"{len(found)} <{tag}> with {attributes}"
        return found[0]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.stack = [Element("document")]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.stack[-1].children.append(element)
        if tag not in VOID:
            self.stack.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.stack.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.stack[-1].tag == tag, f"</{tag}> closes <{self.stack[-1].tag}>"
        self.stack.pop()

    def handle_data(self, data: str) -> None:
        self.stack[-1].children.append(data)


def parse(path: Path) -> Element:
    """A page; every element in it is closed where it belongs."""
    reader = _Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    reader.close()
    assert len(reader.stack) == 1, f"<{reader.stack[-1].tag}> is never closed"
    return reader.stack[0]


def rows(page: Element) -> dict[str, Element]:
    """Rows of the boards on a page by the method's name; the last one where several have it."""
    return {row.one("th", scope="row").one("bdi").text: row for row in page.all("tr", data_row=None)}


def charts(page: Element, kind: str | None = None) -> list[tuple[str, dict[str, Any]]]:
    """Kind and content of the charts whose data a page holds."""
    return [
        (figure.attributes["data-chart"], json.loads(content.text))
        for figure in page.all("figure", data_chart=kind)
        for content in figure.all("script", type="application/json")
    ]
