"""A page as a test reads it: elements by their marks, texts as a person sees them."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_EMPTY = {"meta", "link", "input", "br", "line", "polyline", "circle", "path", "rect", "use", "hr"}


class Element:
    """An element, with what is in it."""

    def __init__(self, tag: str, attributes: dict[str, str]) -> None:
        self.tag = tag
        self.attributes = attributes
        self.children: list[Element | str] = []

    def __getitem__(self, name: str) -> str:
        return self.attributes[name]

    def get(self, name: str) -> str | None:
        return self.attributes.get(name)

    def walk(self) -> Iterator[Element]:
        """Yield the elements in it, itself first, in the order of the page."""
        yield self
        for child in self.children:
            if isinstance(child, Element):
                yield from child.walk()

    @property
    def text(self) -> str:
        """Its text, with each run of white space as one blank."""
        parts: list[str] = []
        for child in self.children:
            parts.append(child if isinstance(child, str) else child.text)
            if isinstance(child, Element) and child.tag in {"td", "th", "li", "p", "dd", "dt"}:
                parts.append(" ")
        return re.sub(r"\s+", " ", "".join(parts)).strip()

    def all(self, mark: str) -> list[Element]:
        """Return the elements in it with a ``data-testid``."""
        return [each for each in self.walk() if each.get("data-testid") == mark]

    def one(self, mark: str) -> Element:
        """Return the only element with a ``data-testid``."""
        found = self.all(mark)
        assert len(found) == 1, f"{len(found)} elements {mark}"
        return found[0]

    def tagged(self, tag: str) -> list[Element]:
        return [each for each in self.walk() if each.tag == tag]

    def with_attribute(self, name: str) -> list[Element]:
        return [each for each in self.walk() if name in each.attributes]

    @property
    def link(self) -> str:
        """Where its first link leads."""
        return self.tagged("a")[0]["href"]

    @property
    def rows(self) -> list[list[str]]:
        """The texts of the cells of a table."""
        return [
            [cell.text for cell in row.walk() if cell.tag in {"td", "th"}]
            for row in self.tagged("tr")
        ]

    @property
    def buttons(self) -> list[str]:
        """The accessible names of its buttons that can be pressed, without those of dialogs."""
        hidden = {id(each) for dialog in self.tagged("dialog") for each in dialog.walk()}
        return [
            each.get("aria-label") or each.text
            for each in self.tagged("button")
            if id(each) not in hidden and "disabled" not in each.attributes
        ]


class Html(Element):
    """A whole page."""

    def __init__(self, text: str) -> None:
        super().__init__("html", {})
        _Reader(self).feed(text)

    @property
    def title(self) -> str:
        return self.tagged("title")[0].text

    @property
    def heading(self) -> str:
        found = self.tagged("h1")
        assert len(found) == 1, f"{len(found)} headings"
        return found[0].text

    @property
    def scripts(self) -> list[str]:
        """The names of the files of its scripts; an inline one is ``"inline"``."""
        return [(each.get("src") or "inline").rpartition("/")[2] for each in self.tagged("script")]


class _Reader(HTMLParser):
    def __init__(self, page: Html) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[Element] = [page]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in _EMPTY:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        while len(self.open) > 1:
            if self.open.pop().tag == tag:
                return

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)
