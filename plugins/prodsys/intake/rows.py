"""What reading a row of a table has in common for all tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from prodsys.errors import SpecInvalid
from prodsys.intake.cells import Reader
from prodsys.intake.reading import Record
from prodsys.intake.result import Accepted, Fault, Intake, Note, shown
from prodsys.intake.table import Headings, Row, Table, skipped_notes
from prodsys.model.specs import Catalogue
from prodsys.model.text import invisible_in


def read_cell(
    record: Record,
    row: Row,
    headings: Headings,
    name: str,
    reader: Reader,
    required: bool = True,
) -> Any:
    """Value of a field in a row; None when the form has no such column, or the cell is empty or faulty."""
    column = headings.columns.get(name)
    if column is None or column in row.refused or row.broken or _is_number(row, headings, column):
        return None  # what is refused is said by check_row
    return record.read(name, row.cell(column), reader, required)


def check_row(record: Record, row: Row, headings: Headings) -> None:
    """Write down cells that cannot be read at all, and cells beyond the last heading."""
    if row.broken:
        record.faults.append(Fault(record.file, row.line, "", shown(row.cells[-1]), row.broken, row.remedy))
        return
    for column, (message, remedy) in {**_lost_texts(row, headings), **row.refused}.items():
        name = headings.names.get(column, f"column {column + 1}")
        if column in headings.columns.values() or column not in headings.names:  # columns that nobody reads may be odd
            record.faults.append(Fault(record.file, row.line, name, shown(row.cell(column)), message, remedy))
    for column, name in headings.names.items():
        if column < len(row.cells) and (hidden := invisible_in(row.cells[column])):
            message = f"holds characters that cannot be seen, which are taken out: {', '.join(hidden)}"
            record.notes.append(Note(record.file, row.line, name, shown(row.cells[column]), message))
    width = max(headings.names, default=0) + 1
    beyond = [cell for cell in row.cells[width:] if cell.strip()]
    if beyond:
        message = f"the row has {len(row.cells)} cells, the headings are {width}"
        remedy = 'a text with commas needs quotation marks: "Micromegas, TS"'
        record.faults.append(Fault(record.file, row.line, "", shown(beyond[0]), message, remedy))


def _is_number(row: Row, headings: Headings, column: int) -> bool:
    """The spreadsheet has made a number of a text: of the version 4.10 it has made 4.1."""
    return column in headings.texts and column in row.numbers


def _lost_texts(row: Row, headings: Headings) -> dict[int, tuple[str, str]]:
    why = ("is a number to the spreadsheet, which drops zeros at its end", "format the cell as text and write it again")
    return {column: why for column in headings.texts if _is_number(row, headings, column) and row.cell(column)}


def campaign_of(record: Record, request_id: str | None, catalogue: Catalogue) -> str | None:
    """Campaign that a request belongs to when its source names none."""
    if not request_id:
        return None
    try:
        return catalogue.partitions.campaign_for(request_id)
    except SpecInvalid as error:
        record.fault("request_id", request_id, error.message, error.remedy)
        return None


def gather(table: Table, headings: Headings, read: Iterable[tuple[Record, Accepted | None]]) -> Intake:
    """Everything that the rows of a table gave; an id that stands twice is a fault that names both rows.

    Rows that say the same are kept once, rows that differ are all refused: nobody knows which one counts.
    """
    accepted: dict[str, Accepted] = {}
    first: dict[str, tuple[Record, Accepted | None]] = {}
    faults, notes = [*table.faults, *headings.faults], [*table.notes, *headings.notes, *skipped_notes(table, headings)]
    for record, found in read:
        twin = first.setdefault(record.request_id, (record, found)) if record.request_id else (record, found)
        if twin[0] is not record:
            _refuse_twin(record, found, twin, accepted)
        elif found:
            accepted[found.spec.request_id] = found
        faults += record.faults
        notes += record.notes
    return Intake(tuple(accepted.values()), tuple(faults), tuple(notes))


def _refuse_twin(
    record: Record, found: Accepted | None, twin: tuple[Record, Accepted | None], accepted: dict[str, Accepted]
) -> None:
    """Write down that an id stands twice, and take the first row back when the second says something else."""
    first, earlier = twin
    same = found is not None and earlier is not None and found.spec == earlier.spec
    message = f"stands there twice, in rows {first.row} and {record.row}{'' if same else ', and they differ'}"
    record.fault("request_id", record.request_id, message, "delete one row, or give it an id of its own")
    if not same:
        accepted.pop(record.request_id, None)
