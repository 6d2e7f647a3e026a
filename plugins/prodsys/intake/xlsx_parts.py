"""Parts of a workbook, read as a stream under limits: a part of an XLSX is XML in a ZIP, and both can hold a bomb."""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from prodsys.errors import FileUnreadable
from prodsys.intake.xlsx_formats import BUILT_IN, GENERAL

MAX_UNPACKED = 100_000_000  # bytes of all parts together
MAX_ENTRIES = 5_000  # parts of a workbook
MAX_ELEMENTS = 3_000_000  # XML elements of one part
MAX_TOKEN = 1_000_000  # bytes of one tag
MAX_CELL = 32_767  # characters of one cell, as in Excel
MAX_TEXT = 20_000_000  # characters of all cells together
_CHUNK = 65_536
_ESCAPE = re.compile(r"_x([0-9A-Fa-f]{4})_")  # how Excel writes characters that XML does not take
Attributes = Mapping[str, str]


class Reader:
    """What is done with the XML elements of one part; names are without their namespace."""

    def start(self, name: str, attributes: Attributes) -> None:
        """An element begins."""

    def end(self, name: str) -> None:
        """An element ends."""

    def text(self, data: str) -> None:
        """A piece of text."""


@dataclass(frozen=True)
class Style:
    """How a cell is shown: its number format, and whether a line goes through it."""

    code: str = GENERAL
    struck: bool = False


@dataclass(frozen=True)
class Sheet:
    """One worksheet of a workbook."""

    title: str
    part: str
    hidden: bool


@dataclass(frozen=True)
class Strings:
    """Texts that several cells share, and which of them are struck out in a part of the text."""

    texts: list[str] = field(default_factory=list)
    struck: set[int] = field(default_factory=set)


class Archive:
    """The parts of one workbook."""

    def __init__(self, archive: zipfile.ZipFile, path: Path) -> None:
        self._archive, self._path = archive, path
        self._names = {info.filename for info in archive.infolist()}
        unpacked = sum(info.file_size for info in archive.infolist())
        if unpacked > MAX_UNPACKED:
            self.refuse(f"is huge: {unpacked:,} bytes unpacked", f"at most {MAX_UNPACKED:,}; split it")

    def refuse(self, message: str, remedy: str) -> None:
        """Raise FileUnreadable about the workbook."""
        raise FileUnreadable(str(self._path), message, remedy)

    def read(self, part: str, reader: Reader) -> None:
        """Hand every element of a part to a reader; a part that is not there has none."""
        if part not in self._names:
            return
        parser, fed = self._parser(part, reader), 0
        with self._archive.open(part) as stream:
            while chunk := stream.read(_CHUNK):
                parser.Parse(chunk, False)
                fed += len(chunk)
                if fed - max(parser.CurrentByteIndex, 0) > MAX_TOKEN:
                    self.refuse(f"has an XML tag of more than {MAX_TOKEN:,} bytes in {part}", "save it again")
        parser.Parse(b"", True)

    def _parser(self, part: str, reader: Reader) -> expat.XMLParserType:
        elements = 0

        def start(name: str, attributes: Attributes) -> None:
            nonlocal elements
            elements += 1
            if elements > MAX_ELEMENTS:
                self.refuse(f"is huge: more than {MAX_ELEMENTS:,} elements in {part}", "split it")
            reader.start(name.rpartition(" ")[2], attributes)

        def refuse_entities(*_: object) -> None:
            self.refuse(f"declares XML entities in {part}: no spreadsheet does", "save it again")

        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = start
        parser.EndElementHandler = lambda name: reader.end(name.rpartition(" ")[2])
        parser.CharacterDataHandler = reader.text
        parser.StartDoctypeDeclHandler = refuse_entities
        return parser

    # --- what all worksheets have in common ---------------------------------------------------------------------
    def sheets(self) -> list[Sheet]:
        """Worksheets in the order of their tabs."""
        book, targets = _Book(), _Targets()
        self.read("xl/workbook.xml", book)
        self.read("xl/_rels/workbook.xml.rels", targets)
        return [
            Sheet(title, targets.parts[identity], hidden)
            for title, identity, hidden in book.sheets
            if identity in targets.parts
        ]

    def strings(self) -> Strings:
        """Texts that cells name by number."""
        found = _SharedStrings(self)
        self.read("xl/sharedStrings.xml", found)
        return found.strings

    def styles(self) -> list[Style]:
        """Styles that cells name by number."""
        found = _Styles()
        self.read("xl/styles.xml", found)
        return found.styles


class _Book(Reader):
    def __init__(self) -> None:
        self.sheets: list[tuple[str, str, bool]] = []

    def start(self, name: str, attributes: Attributes) -> None:
        if name == "sheet":
            identity = next((value for key, value in attributes.items() if key.endswith(" id")), "")
            hidden = attributes.get("state", "visible") != "visible"
            self.sheets.append((attributes.get("name", ""), identity, hidden))


class _Targets(Reader):
    def __init__(self) -> None:
        self.parts: dict[str, str] = {}

    def start(self, name: str, attributes: Attributes) -> None:
        if name == "Relationship" and attributes.get("Type", "").endswith("/worksheet"):
            target = posixpath.normpath(posixpath.join("/xl", attributes.get("Target", "")))
            self.parts[attributes.get("Id", "")] = target.lstrip("/")


class TextReader(Reader):
    """Texts of runs, as shared strings and cells hold them; refuses one that no cell can hold."""

    def __init__(self, refuse: Callable[[str, str], None]) -> None:
        self._refuse = refuse
        self._pieces: list[str] = []
        self._length = 0
        self._catching = self._in_reading = False
        self.run_struck = False
        self.total = 0

    def start(self, name: str, attributes: Attributes) -> None:
        """Begin to catch the text of an element, unless it tells a pronunciation."""
        if name == "rPh":  # how the text is pronounced
            self._in_reading = True
        elif name in ("t", "v", "f"):
            self._catching = not self._in_reading
        elif name == "strike" and attributes.get("val", "1") not in ("0", "false"):
            self.run_struck = True

    def end(self, name: str) -> None:
        """Catch no more text."""
        if name == "rPh":
            self._in_reading = False
        elif name in ("t", "v", "f"):
            self._catching = False

    def text(self, data: str) -> None:
        """Keep a piece of text; FileUnreadable as soon as it is longer than a cell can be."""
        if not self._catching:
            return
        self._pieces.append(data)
        self._length += len(data)
        self.total += len(data)
        if self._length > MAX_CELL:
            self._refuse(f"holds a text of more than {MAX_CELL:,} characters{self.place()}", "shorten the cell")
        if self.total > MAX_TEXT:
            self._refuse(f"is huge: more than {MAX_TEXT:,} characters of text", "split it")

    def place(self) -> str:
        """Where the text stands, for a message."""
        return ""

    def take(self) -> str:
        """The text since the last call."""
        text = "".join(self._pieces)
        self._pieces.clear()
        self._length = 0
        return text


class _SharedStrings(TextReader):
    def __init__(self, archive: Archive) -> None:
        super().__init__(archive.refuse)
        self.strings = Strings()

    def end(self, name: str) -> None:
        super().end(name)
        if name == "si":
            if self.run_struck:
                self.strings.struck.add(len(self.strings.texts))
            self.run_struck = False
            self.strings.texts.append(unescape(self.take()))


class _Styles(Reader):
    def __init__(self) -> None:
        self._above: list[str] = []
        self._codes = dict(BUILT_IN)
        self._struck: list[bool] = []
        self._styles: list[tuple[int, int]] = []

    def start(self, name: str, attributes: Attributes) -> None:
        above = self._above[-1] if self._above else ""
        self._above.append(name)
        if name == "numFmt" and above == "numFmts":
            self._codes[int(attributes["numFmtId"])] = attributes.get("formatCode", GENERAL)
        elif name == "font" and above == "fonts":
            self._struck.append(False)
        elif name == "strike" and self._above[-3:-1] == ["fonts", "font"]:
            self._struck[-1] = attributes.get("val", "1") not in ("0", "false")
        elif name == "xf" and above == "cellXfs":
            self._styles.append((int(attributes.get("numFmtId", "0")), int(attributes.get("fontId", "0"))))

    def end(self, name: str) -> None:  # noqa: ARG002
        self._above.pop()

    @property
    def styles(self) -> list[Style]:
        """In the order of their numbers."""
        return [
            Style(self._codes.get(code, GENERAL), font < len(self._struck) and self._struck[font])
            for code, font in self._styles
        ]


def unescape(text: str) -> str:
    """The text with Excel's ``_x000D_`` as the characters that they stand for."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text) if "_x" in text else text
