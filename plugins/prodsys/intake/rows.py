"""What reading a row of a table has in common for all tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prodsys.errors import SpecInvalid
from prodsys.intake.cells import Reading
from prodsys.intake.reading import Record
from prodsys.intake.result import Fault, shown
from prodsys.intake.table import Headings, Row
from prodsys.model.specs import Catalogue


def read_cell(
    record: Record,
    row: Row,
    headings: Headings,
    name: str,
    reader: Callable[[str], Reading[Any]],
    required: bool = True,
) -> Any:
    """Value of a field in a row; None when the form has no such column, or the cell is empty or faulty."""
    column = headings.columns.get(name)
    if column is None or column in row.refused:  # what is refused is said by check_row
        return None
    return record.read(name, row.cell(column), reader, required)


def check_row(record: Record, row: Row, headings: Headings) -> None:
    """Write down cells that cannot be read at all, and cells beyond the last heading."""
    for column, (message, remedy) in row.refused.items():
        name = headings.names.get(column, f"column {column + 1}")
        record.faults.append(Fault(record.file, row.line, name, shown(row.cell(column)), message, remedy))
    width = max(headings.names, default=0) + 1
    beyond = [cell for cell in row.cells[width:] if cell.strip()]
    if beyond:
        message = f"the row has {len(row.cells)} cells, the headings are {width}"
        remedy = 'a text with commas needs quotation marks: "Micromegas, TS"'
        record.faults.append(Fault(record.file, row.line, "", shown(beyond[0]), message, remedy))


def campaign_of(record: Record, request_id: str | None, catalogue: Catalogue) -> str | None:
    """Campaign that a request belongs to when its source names none."""
    if not request_id:
        return None
    try:
        return catalogue.partitions.campaign_for(request_id)
    except SpecInvalid as error:
        record.fault("request_id", request_id, error.message, error.remedy)
        return None
