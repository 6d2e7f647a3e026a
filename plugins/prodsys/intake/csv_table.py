"""CSV to a table; a row that cannot be parsed leaves the others alone."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from prodsys.errors import FileUnreadable
from prodsys.intake.result import SHOWN, Note
from prodsys.intake.table import MAX_COLUMNS, MAX_ROWS, Row, Table

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}
MAX_MARKS = 100_000  # delimiters in one line; a cell with many ranges of seeds holds commas too
LONGEST = 50  # lines of one row with line breaks inside quotation marks
csv.field_size_limit(1_000_000)


def read_csv(text: str, path: Path) -> Table:
    """Rows of a CSV text.

    Raises
    ------
    FileUnreadable
        It has more than 100 000 rows, a line that no person wrote, or no delimiter.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if len(lines) > MAX_ROWS + 1:
        raise FileUnreadable(str(path), f"is huge: {len(lines):,} rows", f"at most {MAX_ROWS:,}; split it")
    for number, line in enumerate(lines, start=1):
        if (marks := max(map(line.count, DELIMITERS))) > MAX_MARKS:
            raise FileUnreadable(
                str(path), f"is huge: line {number} holds {marks:,} delimiters", f"at most {MAX_MARKS:,}"
            )
    delimiter = _delimiter(lines, path)
    width = max(len(_split(line, delimiter) or ()) for line in lines[:10])
    rows = tuple(_records(lines, delimiter, width))
    words = f"the delimiter is a {DELIMITERS[delimiter]}, not a comma: understood"
    notes = () if delimiter == "," else (Note(str(path), 1, "", delimiter, words),)
    return Table(str(path), rows, notes=notes)


def _delimiter(lines: list[str], path: Path) -> str:
    """The delimiter that gives most columns in the first rows."""
    first = [line for line in lines[:10] if line.strip()]
    widths = {mark: max((len(_split(line, mark) or ()) for line in first), default=0) for mark in DELIMITERS}
    best = max(widths, key=lambda mark: widths[mark])
    if widths[best] < 2:
        raise FileUnreadable(str(path), "is not a table: no commas, semicolons or tabs", "CSV, XLSX or YAML")
    return best


def _split(record: str, delimiter: str, strict: bool = False) -> list[str] | None:
    """Cells of one record; None when its quotation marks make no sense."""
    try:
        return next(csv.reader(io.StringIO(record), delimiter=delimiter, strict=strict), [])  # lines end at \n alone
    except csv.Error:
        return None


def _records(lines: list[str], delimiter: str, width: int) -> Iterator[Row]:
    """Every record with its first line; an odd quotation mark costs its own line only."""
    at = 0
    while at < len(lines):
        height = _height(lines, at)
        record = "\n".join(lines[at : at + height])
        cells = _split(record, delimiter, strict=height > 1) if height else None
        if cells is None or (height > 1 and len(cells) != width):
            first = lines[at].partition(delimiter)[0].strip('" ')
            yield Row(at + 1, (first, lines[at]), broken="has a quotation mark without its partner")
            at += 1
            continue
        if len(cells) > MAX_COLUMNS:
            words, remedy = f"has {len(cells):,} cells, at most {MAX_COLUMNS}", "delete those beside the table"
            yield Row(at + 1, (cells[0], lines[at][:SHOWN]), broken=words, remedy=remedy)
        elif any(cell.strip() for cell in cells):
            yield _row(at + 1, cells)
        at += height


def _height(lines: list[str], at: int) -> int:
    """How many lines the record takes; 0 when a quotation mark is never closed."""
    marks = 0
    for height in range(1, LONGEST + 1):
        if at + height > len(lines):
            return 0
        marks += lines[at + height - 1].count('"')
        if marks % 2 == 0:
            return height
    return 0


def _row(line: int, cells: list[str]) -> Row:
    refused = {
        place: ("is a formula", "write its value") for place, cell in enumerate(cells) if cell.lstrip().startswith("=")
    }
    return Row(line, tuple(cells), refused)
