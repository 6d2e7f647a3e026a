"""Text for an error message out of a page that a proxy or web server sent instead of an answer. Pure."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_MARKUP = re.compile(r"<(?:!doctype|\?xml|/?[a-z][a-z0-9]*)\b[^<>]*>", re.I)
_HIDDEN = frozenset({"script", "style", "template"})
_LINES = frozenset({"title", "h1", "h2", "h3", "p", "div", "br", "hr", "li", "tr", "body", "pre"})


class _Reader(HTMLParser):
    """Collects what a browser would show, a piece of text a line."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.lines: list[str] = [""]
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self._hidden += tag in _HIDDEN
        if tag in _LINES:
            self.lines.append("")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in _HIDDEN and self._hidden > 0
        if tag in _LINES:
            self.lines.append("")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.lines[-1] += data


def is_page(text: str) -> bool:
    """Whether a text is HTML or XML, or begins with a piece of it."""
    return _MARKUP.match(text.lstrip()) is not None


def plain_text(text: str, longest: int) -> str:
    """A text in one line, without markup and characters that are not printable, each sentence of a page once."""
    if is_page(text):
        text = _text_of_page(text)
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= longest else line[: max(0, longest - 3)].rstrip() + "..."


def _text_of_page(text: str) -> str:
    reader = _Reader()
    reader.feed(text.rpartition("<")[0] if text.rfind("<") > text.rfind(">") else text)  # a page may be cut in a tag
    reader.close()
    lines = dict.fromkeys(" ".join(line.split()) for line in reader.lines)
    return ": ".join(line.rstrip(".:") for line in lines if line) or "a page without text"
