"""XLSX to tables, one a worksheet; formulas, merged cells, dates and errors are refused cell by cell."""

from __future__ import annotations

import io
import warnings
import zipfile
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from openpyxl import load_workbook
from openpyxl.utils.cell import get_column_letter, range_boundaries

from prodsys.errors import FileUnreadable
from prodsys.intake.result import Fault, shown
from prodsys.intake.table import MAX_ROWS, Row, Table

MAX_UNPACKED = 100_000_000  # bytes; an XLSX is a ZIP, and a ZIP can hold a bomb
Refused = dict[int, tuple[str, str]]


def is_xlsx(content: bytes) -> bool:
    """The content is a ZIP with a workbook in it."""
    if not content.startswith(b"PK\x03\x04"):
        return False
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return "xl/workbook.xml" in archive.namelist()
    except zipfile.BadZipFile:
        return False


def read_xlsx(content: bytes, path: Path) -> tuple[Table, ...]:
    """One table per worksheet that holds something.

    Raises
    ------
    FileUnreadable
        The workbook is damaged, too large, or empty.
    """
    _check_size(content, path)
    try:
        with warnings.catch_warnings(action="ignore"):  # about styles and extensions that we do not read
            book = load_workbook(io.BytesIO(content), read_only=True, data_only=False)
        alone = len(book.worksheets) == 1
        tables = [
            _read_sheet(sheet, content, str(path) if alone else f"{path} [{sheet.title}]") for sheet in book.worksheets
        ]
    except FileUnreadable:
        raise
    except Exception as error:  # openpyxl raises whatever the broken part happens to hit
        raise FileUnreadable(
            str(path), f"is a damaged workbook: {type(error).__name__}", "save it again, as XLSX or CSV UTF-8"
        ) from error
    filled = tuple(table for table in tables if table.rows)
    if not filled:
        raise FileUnreadable(str(path), "is empty: no worksheet holds a cell", "save the table again")
    return filled


def _check_size(content: bytes, path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        unpacked = sum(part.file_size for part in archive.infolist())
    if unpacked > MAX_UNPACKED:
        raise FileUnreadable(str(path), f"is huge: {unpacked:,} bytes unpacked", f"at most {MAX_UNPACKED:,}; split it")


def _read_sheet(sheet: Any, content: bytes, file: str) -> Table:
    merged = _merged_ranges(content, sheet._worksheet_path)
    touched = _touched(merged)
    rows = []
    for line, cells in enumerate(sheet.iter_rows(), start=1):
        if line > MAX_ROWS:
            raise FileUnreadable(file, f"is huge: more than {MAX_ROWS:,} rows", "split it, or delete empty rows")
        texts, refused = _read_cells(cells, touched.get(line, {}))
        if any(texts) or refused:
            rows.append(Row(line, texts, refused))
    return Table(file, tuple(rows), tuple(_heading_merges(merged, rows, file)))


def _heading_merges(merged: list[str], rows: list[Row], file: str) -> list[Fault]:
    """Faults of merged cells in the two rows of headings: they are named, the headings are read all the same."""
    tops = {row.line for row in rows[:2]}
    return [
        Fault(file, range_boundaries(area)[1], "", area, "is a block of merged cells", "unmerge the cells")
        for area in merged
        if range_boundaries(area)[1] in tops
    ]


def _read_cells(cells: Any, merged: Refused) -> tuple[tuple[str, ...], Refused]:
    texts, refused = [], dict(merged)
    for place, cell in enumerate(cells):
        why = _why_not(cell)
        texts.append(_text(cell.value))
        if why:
            refused[place] = why
    return tuple(texts), refused


def _why_not(cell: Any) -> tuple[str, str] | None:
    if cell.data_type == "f" or (isinstance(cell.value, str) and cell.value.lstrip().startswith("=")):
        return "is a formula", "write its value (copy, paste special, values)"
    if cell.data_type == "e":
        return "is an error of the spreadsheet", "mend the cell"
    if isinstance(cell.value, datetime | date | time | timedelta):
        return "is a date: the spreadsheet has made one of it", "format the cell as text and write it again"
    return None


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _merged_ranges(content: bytes, part: str) -> list[str]:
    """Ranges of merged cells of a worksheet, such as ``A4:A5``: openpyxl's streaming reader does not tell them."""
    found = []
    with zipfile.ZipFile(io.BytesIO(content)) as archive, archive.open(part.lstrip("/")) as stream:
        for _, element in ElementTree.iterparse(stream):  # noqa: S314 - expat bounds entities, _check_size the rest
            if element.tag.endswith("}mergeCell"):
                found.append(str(element.get("ref")))
            if element.tag.endswith("}row"):
                element.clear()
    return found


def _touched(merged: list[str]) -> dict[int, Refused]:
    """Line -> column -> why, for every cell of every merged range."""
    touched: dict[int, Refused] = {}
    for area in merged:
        left, top, right, bottom = (bound or MAX_ROWS for bound in range_boundaries(area))
        for line in range(top, min(bottom, MAX_ROWS) + 1):
            row = touched.setdefault(line, {})
            for column in range(left, min(right, left + 100) + 1):
                row[column - 1] = (
                    f"is part of the merged cells {shown(area)}",
                    f"unmerge them and write into {get_column_letter(column)}{line}",
                )
    return touched
