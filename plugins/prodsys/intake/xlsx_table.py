"""XLSX to tables, one a worksheet that people see; what a spreadsheet made of a cell is refused cell by cell."""

from __future__ import annotations

import io
import re
import zipfile
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path

from prodsys.errors import FileUnreadable
from prodsys.intake.cells import number_text
from prodsys.intake.result import Fault, Note, shown
from prodsys.intake.table import MAX_COLUMNS, MAX_ROWS, Row, Table
from prodsys.intake.xlsx_formats import date_text, is_date, shown_otherwise
from prodsys.intake.xlsx_parts import (
    MAX_ENTRIES,
    Archive,
    Attributes,
    Sheet,
    Strings,
    Style,
    TextReader,
    unescape,
)

MAX_CELLS = 1_000_000  # with the empty ones between them
MAX_MERGED = 10_000  # blocks of merged cells
MAX_TOUCHED = 100_000  # cells in them
LAST_ROW = 1_048_576
AS_TEXT = "format the cell as text and write it again"
_REFERENCE = re.compile(r"\$?([A-Z]{1,3})\$?([1-9][0-9]{0,6})")
Why = tuple[str, str]
Refused = dict[int, Why]


def is_xlsx(content: bytes) -> bool:
    """The content is a ZIP with a workbook in it."""
    if not content.startswith(b"PK\x03\x04") or content.count(b"PK\x01\x02") > MAX_ENTRIES:
        return False
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return "xl/workbook.xml" in archive.namelist()
    except zipfile.BadZipFile:
        return False


def read_xlsx(content: bytes, path: Path) -> tuple[tuple[Table, ...], tuple[Note, ...]]:
    """One table per worksheet that holds something, and notes about those that nobody sees.

    Raises
    ------
    FileUnreadable
        The workbook is damaged, too large, or empty.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            return _read_book(Archive(packed, path), path)
    except FileUnreadable:
        raise
    except Exception as error:  # zipfile, zlib and expat raise whatever the broken part happens to hit
        raise FileUnreadable(
            str(path),
            f"is a damaged workbook: {type(error).__name__}: {shown(error)}",
            "save it again, as XLSX or CSV UTF-8",
        ) from error


def _read_book(archive: Archive, path: Path) -> tuple[tuple[Table, ...], tuple[Note, ...]]:
    sheets, strings, styles = archive.sheets(), archive.strings(), archive.styles()
    hidden = tuple(
        Note(str(path), None, "", sheet.title, "is a hidden worksheet: it is not read")
        for sheet in sheets
        if sheet.hidden
    )
    tables = []
    for sheet in sheets:
        if not sheet.hidden:
            name = str(path) if len(sheets) == 1 else f"{path} [{shown(sheet.title)}]"
            tables.append(_read_sheet(archive, sheet, _SheetReader(name, strings, styles)))
    filled = tuple(table for table in tables if table.rows)
    if not filled:
        archive.refuse("is empty: no visible worksheet holds a cell", "save the table again")
    return filled, hidden


def _read_sheet(archive: Archive, sheet: Sheet, reader: _SheetReader) -> Table:
    archive.read(sheet.part, reader)
    blocks = [block for block in reader.blocks if reader.holds(block)]
    touched = _touched(blocks, reader)
    rows = tuple(
        Row(row.line, row.cells, {**touched.get(row.line, {}), **row.refused}, skipped=row.skipped, numbers=row.numbers)
        for row in reader.rows
    )
    return Table(reader.file, rows, tuple(_heading_faults(blocks, rows, reader.file)), tuple(_hidden_columns(reader)))


@dataclass(frozen=True)
class Block:
    """A block of merged cells; columns and lines from 1, both ends included."""

    name: str
    left: int
    top: int
    right: int
    bottom: int


@dataclass
class _Cell:
    """One cell while it is read."""

    column: int
    kind: str
    style: Style
    value: str = ""
    text: str = ""
    formula: str | None = None
    struck: bool = False


@dataclass
class _Line:
    """The row that is being read."""

    line: int
    hidden: bool
    texts: dict[int, str] = field(default_factory=dict)  # index of the column -> text
    refused: Refused = field(default_factory=dict)
    struck: set[int] = field(default_factory=set)
    numbers: set[int] = field(default_factory=set)


class _SheetReader(TextReader):
    """Rows of a worksheet where their cells say they are: the size that the file names is not believed."""

    def __init__(self, file: str, strings: Strings, styles: list[Style]) -> None:
        super().__init__(self._refuse_file)
        self.file, self._strings, self._styles = file, strings, styles
        self.rows: list[Row] = []
        self.blocks: list[Block] = []
        self.filled: set[int] = set()  # columns that hold something, from 1
        self.hidden: list[tuple[int, int]] = []  # columns from, to
        self._line = _Line(0, hidden=False)
        self._cell: _Cell | None = None
        self._column = self._slots = 0

    def _refuse_file(self, message: str, remedy: str) -> None:
        raise FileUnreadable(self.file, message, remedy)

    def place(self) -> str:
        return f" in {_letters(self._column)}{self._line.line}"

    def holds(self, block: Block) -> bool:
        """Something stands in a row and in a column of the block."""
        return bool(self.columns_of(block)) and bool(self.rows_of(block))

    def columns_of(self, block: Block) -> list[int]:
        """Columns of a block that hold something."""
        return [column for column in sorted(self.filled) if block.left <= column <= block.right]

    def rows_of(self, block: Block) -> list[Row]:
        """Rows of a block that hold something."""
        line = attrgetter("line")
        first = bisect_left(self.rows, block.top, key=line)
        return self.rows[first : bisect_right(self.rows, block.bottom, key=line)]

    # --- XML ----------------------------------------------------------------------------------------------------
    def start(self, name: str, attributes: Attributes) -> None:
        super().start(name, attributes)
        if name == "c":
            self._begin_cell(attributes)
        elif name == "row":
            self._begin_row(attributes)
        elif name == "col" and _is_hidden(attributes, "width"):
            self.hidden.append((int(attributes["min"]), int(attributes["max"])))
        elif name == "mergeCell":
            self.blocks.append(_block(attributes.get("ref", "")))
            if len(self.blocks) > MAX_MERGED:
                self._refuse_file(f"has more than {MAX_MERGED:,} blocks of merged cells", "unmerge the cells")

    def end(self, name: str) -> None:
        super().end(name)
        if name in ("v", "f", "t", "r") and self._cell:
            self._take_text(self._cell, name)
        elif name == "c" and self._cell:
            self._end_cell(self._cell)
            self._cell = None
        elif name == "row":
            self._end_row(self._line)

    def _begin_row(self, attributes: Attributes) -> None:
        line = int(attributes.get("r", self._line.line + 1))
        if not self._line.line < line <= LAST_ROW:
            raise ValueError(f"row {line} stands below row {self._line.line}")
        self._line = _Line(line, _is_hidden(attributes, "ht"))
        self._column = 0

    def _begin_cell(self, attributes: Attributes) -> None:
        found = _REFERENCE.fullmatch(attributes.get("r", ""))
        self._column = _number(found[1]) if found else self._column + 1
        style = int(attributes.get("s", "0"))
        known = self._styles[style] if style < len(self._styles) else Style()
        self._cell = _Cell(self._column, attributes.get("t", "n"), known)
        self.run_struck = False

    def _take_text(self, cell: _Cell, name: str) -> None:
        if name == "v":
            cell.value = self.take()
        elif name == "f":
            cell.formula = self.take()
        elif name == "t":
            cell.text += self.take()
        cell.struck = cell.struck or self.run_struck

    def _end_cell(self, cell: _Cell) -> None:
        texts, index = self._line.texts, cell.column - 1
        text, why = self._content(cell)
        if not text and not why:
            return
        if cell.column > MAX_COLUMNS:
            remedy = f"at most {MAX_COLUMNS} columns: delete those beside the table"
            self._refuse_file(f"holds a cell far to the right, in {_letters(cell.column)}{self._line.line}", remedy)
        texts[index] = text
        self.filled.add(cell.column)
        if why:
            self._line.refused[index] = why
        if cell.style.struck or cell.struck:
            self._line.struck.add(index)
        if cell.kind == "n" and cell.formula is None:
            self._line.numbers.add(index)

    def _end_row(self, line: _Line) -> None:
        if not line.texts:
            return
        if len(self.rows) >= MAX_ROWS:
            self._refuse_file(f"is huge: more than {MAX_ROWS:,} rows", "split it, or delete empty rows")
        width = max(line.texts) + 1
        self._slots += width
        if self._slots > MAX_CELLS:
            self._refuse_file(f"is huge: more than {MAX_CELLS:,} cells", "split it, or delete columns")
        skipped = "is a hidden row" if line.hidden else ""
        if line.struck and line.struck == line.texts.keys():
            skipped = skipped or "is struck out"
        else:
            why = ("is struck out", "delete it, or take the line through it away")
            line.refused |= dict.fromkeys(line.struck, why)
        cells = tuple(line.texts.get(index, "") for index in range(width))
        self.rows.append(Row(line.line, cells, line.refused, skipped=skipped, numbers=frozenset(line.numbers)))

    # --- what a cell says ---------------------------------------------------------------------------------------
    def _content(self, cell: _Cell) -> tuple[str, Why | None]:
        """Text of a cell, and why it cannot be read."""
        if cell.formula is not None:
            return f"={cell.formula}", ("is a formula", "write its value (copy, paste special, values)")
        if cell.kind == "s":
            return self._shared(cell)
        if cell.kind in ("inlineStr", "str"):
            return _checked(unescape(cell.text or cell.value))
        if cell.kind == "b":
            return {"1": "TRUE", "0": "FALSE"}.get(cell.value.strip(), cell.value), None
        if cell.kind == "e":
            return cell.value, ("is an error of the spreadsheet", "mend the cell")
        if cell.kind == "d":
            return cell.value, ("is a date: the spreadsheet has made one of it", AS_TEXT)
        return _number_content(cell) if cell.value.strip() else ("", None)

    def _shared(self, cell: _Cell) -> tuple[str, Why | None]:
        number = int(cell.value or "-1")
        if not 0 <= number < len(self._strings.texts):
            raise ValueError(f"there is no shared text {number}")
        cell.struck = cell.struck or number in self._strings.struck
        return _checked(self._strings.texts[number])


def _checked(text: str) -> tuple[str, Why | None]:
    if text.lstrip().startswith("="):
        return text, ("is a formula", "write its value (copy, paste special, values)")
    return text, None


def _number_content(cell: _Cell) -> tuple[str, Why | None]:
    """Text of a number, which must be the one that a person sees."""
    value = float(cell.value)
    if is_date(cell.style.code):
        return date_text(value), ("is a date: the spreadsheet has made one of it", AS_TEXT)
    text = number_text(value)
    problem = shown_otherwise(value, cell.style.code)
    return text, (problem, AS_TEXT) if problem else None


def _is_hidden(attributes: Attributes, size: str) -> bool:
    return attributes.get("hidden", "0") in ("1", "true") or float(attributes.get(size, "1")) == 0


def _number(letters: str) -> int:
    """Number of a column from 1: A is 1, XFD is 16384."""
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number


def _letters(column: int) -> str:
    letters = ""
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def _block(name: str) -> Block:
    ends = [_REFERENCE.fullmatch(end) for end in (name.split(":") * 2)[:2]]
    if not all(ends):
        raise ValueError(f"{name!r} is no block of cells")
    (left, top), (right, bottom) = ((_number(end[1]), int(end[2])) for end in ends if end)
    return Block(name, left, top, right, bottom)


def _touched(blocks: list[Block], reader: _SheetReader) -> dict[int, Refused]:
    """Line -> column -> why, for cells of merged blocks in rows and columns that hold something."""
    touched: dict[int, Refused] = {}
    number = 0
    for block in blocks:
        columns = reader.columns_of(block)
        for row in reader.rows_of(block):
            number += len(columns)
            touched.setdefault(row.line, {}).update(_why_merged(block, columns, row.line))
            if number > MAX_TOUCHED:
                message = f"is merged all over, {shown(block.name)} is one of its blocks"
                raise FileUnreadable(reader.file, message, "unmerge the cells")
    return touched


def _why_merged(block: Block, columns: list[int], line: int) -> Iterator[tuple[int, Why]]:
    for column in columns:
        remedy = f"unmerge them and write into {_letters(column)}{line}"
        yield column - 1, (f"is part of the merged cells {shown(block.name)}", remedy)


def _heading_faults(blocks: list[Block], rows: tuple[Row, ...], file: str) -> Iterator[Fault]:
    """Faults of merged cells in the two rows of headings: they are named, the headings are read all the same."""
    tops = {row.line for row in rows[:2]}
    for block in blocks:
        if block.top in tops:
            yield Fault(file, block.top, "", block.name, "is a block of merged cells", "unmerge the cells")


def _hidden_columns(reader: _SheetReader) -> Iterator[Note]:
    for first, last in reader.hidden:
        for column in sorted(reader.filled):
            if first <= column <= last:
                yield Note(reader.file, None, _letters(column), "", "is a hidden column: it is read all the same")
