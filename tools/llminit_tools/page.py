"""A self-contained HTML page: elements, tables, and the page around its sections. Text is escaped here, nowhere else.

Nothing is loaded and no script runs. Wide tables scroll inside their box. Colours follow the reader's scheme.
"""
from __future__ import annotations

import dataclasses
import html
from typing import Collection, Iterable, Optional, Sequence, Union

from .page_style import STYLE

VOID = ("meta", "rect", "line", "circle", "path", "polyline")  # elements without content


class Markup(str):
    """HTML that is complete; any other text is escaped where it is put into an element."""


Content = Union[str, Markup, Iterable[Markup]]


def escaped(content: Content) -> Markup:
    if isinstance(content, Markup):
        return content
    if isinstance(content, str):
        return Markup(html.escape(printable(content)))
    return Markup("".join(map(escaped, content)))


def printable(text: str) -> str:
    """The text without control characters, which HTML does not allow."""
    return "".join(one if one.isprintable() or one in "\n\t" else "\N{REPLACEMENT CHARACTER}" for one in text)


def element(name: str, /, *content: Content, **attributes: object) -> Markup:
    """<name attributes>content</name>. In names of attributes "_" is written as "-"; `class_` is class."""
    words = [f' {key.rstrip("_").replace("_", "-")}="{escaped(str(value))}"'
             for key, value in attributes.items() if value is not None]
    start = f"<{name}{''.join(words)}"
    if name in VOID:
        return Markup(f"{start}>" if name == "meta" else f"{start}/>")
    return Markup(f"{start}>{escaped(map(escaped, content))}</{name}>")


# ---- Tables ----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Table:
    """Rows of texts below a header. The first `n_names` columns name the row, the others are numbers."""

    header: Sequence[str]
    rows: Sequence[Sequence[Content]]
    caption: str
    n_names: int = 1
    left: Collection[int] = ()  # other columns of text
    strong: Collection[tuple[int, int]] = ()  # (row, column) of what stands out

    def classes(self, column: int) -> Optional[str]:
        return None if column < self.n_names or column in self.left else "number"

    def cell(self, row: int, column: int, content: Content) -> Markup:
        inner = element("strong", content) if (row, column) in self.strong else content
        if column < self.n_names:
            return element("th", inner, scope="row")
        return element("td", inner, class_=self.classes(column))

    def markup(self) -> Markup:
        head = element("tr", [element("th", word, scope="col", class_=self.classes(k))
                              for k, word in enumerate(self.header)])
        body = [element("tr", [self.cell(row, k, word) for k, word in enumerate(cells)])
                for row, cells in enumerate(self.rows)]
        table = element("table", element("thead", head), element("tbody", body))
        return Markup(element("p", self.caption, class_="caption")
                      + element("div", table, class_="scroll", role="group", tabindex=0, aria_label=self.caption))


def folded(title: str, *content: Content, is_open: bool = False) -> Markup:
    """Content behind a title that the reader opens; printed in any case."""
    return element("details", element("summary", title), *content, open="" if is_open else None)


def legend(words: Sequence[tuple[int, str]]) -> Markup:
    """What the colours and dashes stand for."""
    return element("ul", [element("li", swatch(k), element("span", word)) for k, word in words], class_="legend")


def swatch(colour: int) -> Markup:
    line = element("line", x1=1, y1=5, x2=27, y2=5, class_=f"curve {classes_of(colour)}")
    return element("svg", line, width=28, height=10, aria_hidden="true")


def classes_of(number: int) -> str:
    """The colour and the dashes of the number-th thing: 8 colours, then the same ones with other dashes."""
    return f"c{number % 8} d{(number // 8 + number) % 4}"


# ---- The page --------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Section:
    key: str
    title: str
    content: Sequence[Markup]

    def markup(self) -> Markup:
        return element("section", element("h2", self.title, id=self.key), *self.content, aria_labelledby=self.key)


def document(title: str, lead: Sequence[Markup], sections: Sequence[Section], foot: str) -> str:
    links = [element("li", element("a", one.title, href=f"#{one.key}")) for one in sections]
    contents = element("nav", element("ul", links), aria_label="Contents")
    head = element("head", element("meta", charset="utf-8"),
                   element("meta", name="viewport", content="width=device-width, initial-scale=1"),
                   element("meta", name="color-scheme", content="light dark"),
                   element("title", title), element("style", Markup(STYLE)))
    body = element("body", element("header", element("h1", title), *lead), contents,
                   element("main", [one.markup() for one in sections]), element("footer", element("p", foot)))
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"
