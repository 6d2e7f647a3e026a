"""A table as it lies in a file: rows of cells as text, each with its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import zip_longest

from prodsys.intake.cells import squeeze
from prodsys.intake.nearest import nearest
from prodsys.intake.result import Fault, Note, shown

MAX_ROWS = 100_000
MAX_COLUMNS = 256
HEADING_SEARCH = 10  # rows in which the headings must be
LIKE = 0.75  # likeness at which a heading is a misspelt one


@dataclass(frozen=True)
class Row:
    """One row; ``refused`` says why a cell of it cannot be read (index of the column -> message, remedy)."""

    line: int
    cells: tuple[str, ...]
    refused: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    broken: str = ""  # why the row as a whole cannot be cut into cells; the first cell is a guess then
    remedy: str = 'close the "'  # of what is broken
    skipped: str = ""  # why nobody sees or means the row: it is hidden, or struck out
    numbers: frozenset[int] = frozenset()  # columns whose cells are numbers to the spreadsheet, not texts

    def cell(self, column: int) -> str:
        """Text of a cell; "" beyond the end of the row."""
        return squeeze(self.cells[column]) if column < len(self.cells) else ""

    @property
    def first_text(self) -> str:
        """What stands first in it, to name it by."""
        return next(filter(None, map(squeeze, self.cells)), "")

    @property
    def is_blank(self) -> bool:
        """Nothing stands in it."""
        return not self.refused and not self.broken and not any(squeeze(cell) for cell in self.cells)


@dataclass(frozen=True)
class Table:
    """All rows of a file or worksheet, with what was wrong with it as a table."""

    file: str
    rows: tuple[Row, ...]
    faults: tuple[Fault, ...] = ()
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True)
class Form:
    """Headings of one kind of table: field -> heading; optional fields may lack their column."""

    headings: Mapping[str, str]
    optional: frozenset[str] = frozenset()
    ignored: frozenset[str] = frozenset()  # headings that are known and not read
    texts: frozenset[str] = frozenset()  # fields that lose something when a spreadsheet takes them for a number
    rows: int = 1  # rows of headings

    @cached_property
    def wanted(self) -> dict[str, str]:
        """Normal heading -> field."""
        return {normal(heading): name for name, heading in self.headings.items()}


@dataclass(frozen=True)
class Headings:
    """Where the columns of a form are in a table."""

    columns: Mapping[str, int]  # field -> index of the column
    names: Mapping[int, str]  # index of the column -> heading as written
    first_row: int  # index of the first row of data
    faults: tuple[Fault, ...] = ()
    notes: tuple[Note, ...] = ()

    texts: frozenset[int] = frozenset()  # columns whose fields must be texts

    def name(self, field_name: str) -> str:
        """Heading of a field as written."""
        return self.names.get(self.columns.get(field_name, -1), field_name)


def normal(heading: str) -> str:
    """A heading with blanks and case taken out."""
    return squeeze(heading).casefold()


def likeness(table: Table, form: Form) -> int:
    """How many headings of the form stand in the first rows."""
    return max(
        (len(_read_headings(table, at, form).found.keys() & form.wanted.keys()) for at in _candidates(table)), default=0
    )


def find_headings(table: Table, form: Form) -> Headings:
    """Columns of the form by the names of their headings, in any order."""
    readings = [_read_headings(table, at, form) for at in _candidates(table)]
    best = max(readings, key=lambda reading: len(reading.found.keys() & form.wanted.keys()))
    columns = {form.wanted[text]: places[0] for text, places in best.found.items() if text in form.wanted}
    twice = [place for text, places in best.found.items() if text in form.wanted for place in places[1:]]
    strange, notes = _strange(table.file, best, form)
    missing = [
        text
        for text, name in form.wanted.items()
        if name not in columns and name not in form.optional and text not in strange
    ]
    faults = [
        *(
            _heading_fault(table.file, best, place, "stands there twice as a heading", "keep one column")
            for place in twice
        ),
        *strange.values(),
        *(_missing(table.file, best.line, form.headings[form.wanted[text]]) for text in missing),
    ]
    texts = frozenset(columns[name] for name in form.texts if name in columns)
    return Headings(columns, best.names, best.first_row, tuple(faults), tuple(notes), texts)


def _candidates(table: Table) -> range:
    return range(min(HEADING_SEARCH, len(table.rows)))


@dataclass(frozen=True)
class _HeadingRows:
    """The headings that begin in one row of a table."""

    line: int
    found: Mapping[str, list[int]]  # normal heading -> its columns
    names: Mapping[int, str]  # column -> heading as written
    lines: Mapping[int, int]  # column -> line of its heading
    first_row: int  # index of the row below


def _read_headings(table: Table, at: int, form: Form) -> _HeadingRows:
    """Headings that begin in row ``at``; with two rows of them a sub-heading stands for the group above it."""
    rows = table.rows[at : at + form.rows]
    top = [squeeze(cell) for cell in rows[0].cells]
    below = [squeeze(cell) for cell in rows[1].cells] if len(rows) > 1 else []
    if not _are_headings(below, top, form):
        below = []
    names, lines = {}, {}
    for place, (above, sub) in enumerate(zip_longest(top, below, fillvalue="")):
        if sub or above:
            names[place] = sub or above
            lines[place] = rows[1].line if sub else rows[0].line
    found: dict[str, list[int]] = {}
    for place, name in names.items():
        found.setdefault(normal(name), []).append(place)
    return _HeadingRows(rows[0].line, found, names, lines, at + (2 if below else 1))


def _are_headings(row: list[str], above: list[str], form: Form) -> bool:
    """The row holds a known heading, or nothing under the first heading while a group of headings stands above."""
    grouped = any(normal(cell) in form.ignored for cell in above)
    return any(normal(cell) in form.wanted for cell in row) or (grouped and bool(row) and not row[0])


def _strange(file: str, rows: _HeadingRows, form: Form) -> tuple[dict[str, Fault], list[Note]]:
    """Faults of misspelt headings by what was meant, and notes about columns that nobody reads."""
    faults, notes = {}, []
    absent = form.wanted.keys() - rows.found.keys()
    for text, places in rows.found.items():
        if text in form.wanted or text in form.ignored:
            continue
        near = nearest(text, absent, LIKE)
        if near:
            remedy = f"did you mean {form.headings[form.wanted[near]]!r}?"
            faults[near] = _heading_fault(file, rows, places[0], "is not a known heading", remedy)
        else:
            message = "is not a known heading: the column is not read"
            notes.append(Note(file, rows.lines[places[0]], shown(rows.names[places[0]]), "", message))
    return faults, notes


def _heading_fault(file: str, rows: _HeadingRows, place: int, message: str, remedy: str) -> Fault:
    return Fault(file, rows.lines[place], shown(rows.names[place]), "", message, remedy)


def _missing(file: str, line: int, heading: str) -> Fault:
    return Fault(file, line, heading, "", "there is no such column", "add it; the order of columns does not matter")


def data_rows(table: Table, headings: Headings, with_skipped: bool = False) -> Iterator[Row]:
    """The rows below the headings that are not blank; those that are hidden or struck out only when asked for."""
    rows = (row for row in table.rows[headings.first_row :] if not row.is_blank)
    return (row for row in rows if with_skipped or not row.skipped)


def skipped_notes(table: Table, headings: Headings) -> tuple[Note, ...]:
    """A note for every row that is hidden or struck out."""
    return tuple(
        Note(
            table.file,
            row.line,
            "",
            shown(row.first_text),
            f"{row.skipped}: not imported",
        )
        for row in data_rows(table, headings, with_skipped=True)
        if row.skipped
    )
