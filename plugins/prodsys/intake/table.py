"""A table as it lies in a file: rows of cells as text, each with its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from prodsys.intake.cells import squeeze
from prodsys.intake.nearest import nearest
from prodsys.intake.result import Fault, Note, shown

MAX_ROWS = 100_000
HEADING_SEARCH = 10  # rows in which the headings must be
LIKE = 0.75  # likeness at which a heading is a misspelt one


@dataclass(frozen=True)
class Row:
    """One row; ``refused`` says why a cell of it cannot be read (index of the column -> message, remedy)."""

    line: int
    cells: tuple[str, ...]
    refused: Mapping[int, tuple[str, str]] = field(default_factory=dict)

    def cell(self, column: int) -> str:
        """Text of a cell; "" beyond the end of the row."""
        return squeeze(self.cells[column]) if column < len(self.cells) else ""

    @property
    def is_blank(self) -> bool:
        """Nothing stands in it."""
        return not self.refused and not any(squeeze(cell) for cell in self.cells)


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
    rows: int = 1  # rows of headings


@dataclass(frozen=True)
class Headings:
    """Where the columns of a form are in a table."""

    columns: Mapping[str, int]  # field -> index of the column
    names: Mapping[int, str]  # index of the column -> heading as written
    first_row: int  # index of the first row of data
    faults: tuple[Fault, ...] = ()
    notes: tuple[Note, ...] = ()

    def name(self, field_name: str) -> str:
        """Heading of a field as written."""
        return self.names.get(self.columns.get(field_name, -1), field_name)


def normal(heading: str) -> str:
    """A heading with blanks and case taken out."""
    return squeeze(heading).casefold()


def likeness(table: Table, form: Form) -> int:
    """How many headings of the form stand in the first rows."""
    wanted = {normal(heading) for heading in form.headings.values()}
    return max((len(_merged(table, at, form.rows)[0].keys() & wanted) for at in _candidates(table)), default=0)


def find_headings(table: Table, form: Form) -> Headings:
    """Columns of the form by the names of their headings, in any order."""
    wanted = {normal(heading): name for name, heading in form.headings.items()}
    at = max(_candidates(table), key=lambda index: len(_merged(table, index, form.rows)[0].keys() & wanted.keys()))
    found, names, height = _merged(table, at, form.rows)
    columns = {wanted[text]: places[0] for text, places in found.items() if text in wanted}
    line = table.rows[at].line
    faults = [
        Fault(table.file, line, names[place], "", "stands there twice as a heading", "keep one column")
        for text, places in found.items()
        if text in wanted
        for place in places[1:]
    ]
    unknown = {text: places for text, places in found.items() if text not in wanted}
    missing = {text: name for text, name in wanted.items() if name not in columns and name not in form.optional}
    strange, notes = _strange(table.file, line, unknown, names, form, wanted.keys() - found.keys())
    misspelt = {near for near, _ in strange}
    faults += [fault for _, fault in strange]
    faults += [_missing(table.file, line, form.headings[missing[text]]) for text in missing if text not in misspelt]
    return Headings(columns, names, at + height, tuple(faults), tuple(notes))


def _candidates(table: Table) -> range:
    return range(min(HEADING_SEARCH, len(table.rows)))


def _merged(table: Table, at: int, height: int) -> tuple[dict[str, list[int]], dict[int, str], int]:
    """Headings of the row ``at``; with two rows of them a sub-heading stands for the group above it."""
    top = table.rows[at].cells
    below = table.rows[at + 1].cells if height > 1 and at + 1 < len(table.rows) else ()
    two = bool(below) and not any(cell.strip() for cell in below[:1])  # a row of data begins with its id
    names: dict[int, str] = {}
    for place in range(max(len(top), len(below) if two else 0)):
        above = squeeze(top[place]) if place < len(top) else ""
        sub = squeeze(below[place]) if two and place < len(below) else ""
        if sub or above:
            names[place] = sub or above
    found: dict[str, list[int]] = {}
    for place, name in names.items():
        found.setdefault(normal(name), []).append(place)
    return found, names, 2 if two else 1


def _strange(
    file: str, line: int, unknown: Mapping[str, list[int]], names: Mapping[int, str], form: Form, absent: set[str]
) -> tuple[list[tuple[str, Fault]], list[Note]]:
    faults, notes = [], []
    known = {normal(heading): heading for heading in form.headings.values()}
    for text, places in unknown.items():
        if text in form.ignored:
            continue
        near = nearest(text, absent, LIKE)
        name = names[places[0]]
        if near:
            remedy = f"did you mean {known[near]!r}?"
            faults.append((near, Fault(file, line, shown(name), "", "is not a known heading", remedy)))
        else:
            notes.append(Note(file, line, shown(name), "", "is not a known heading: the column is not read"))
    return faults, notes


def _missing(file: str, line: int, heading: str) -> Fault:
    return Fault(file, line, heading, "", "there is no such column", "add it; the order of columns does not matter")


def data_rows(table: Table, headings: Headings) -> Iterator[Row]:
    """The rows below the headings that are not blank."""
    return (row for row in table.rows[headings.first_row :] if not row.is_blank)
