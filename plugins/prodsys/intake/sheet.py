"""The spreadsheet of requests: two rows of headings, a row per step, the id in the first of them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from prodsys.intake import cells
from prodsys.intake.reading import Record, accept, pick_chain
from prodsys.intake.result import Accepted, Fault, Intake, shown
from prodsys.intake.rows import campaign_of, check_row, gather, read_cell
from prodsys.intake.table import Form, Headings, Row, Table, data_rows, find_headings
from prodsys.model.specs import Catalogue

FORM = Form(
    headings={
        "request_id": "Production name/ID",
        "recorded_status": "Status",
        "stage": "Stage",
        "collision": "Collision type",
        "geometry": "Geometry type",
        "energy_gev": "Energy",
        "polarization": "Polarization",
        "software": "Software type/version",
        "tag": "Short description (for datasets naming)",
        "events": "Number of events",
        "events_per_file": "Events per file",
        "seeds": "Initial seed",
        "step": "Processing type",
        "bunches": "Bunches",
    },
    optional=frozenset({"bunches"}),
    ignored=frozenset({"description"}),
    rows=2,
)
_READERS: dict[str, cells.Reader] = {
    "recorded_status": cells.read_status,
    "stage": cells.read_word,
    "collision": cells.read_word,
    "geometry": cells.read_word,
    "energy_gev": cells.read_energy,
    "polarization": cells.read_word,
    "software": cells.read_software,
    "tag": cells.read_tag,
    "events": cells.read_count,
    "events_per_file": cells.read_count,
    "seeds": cells.read_seeds,
}


def read_sheet(table: Table, catalogue: Catalogue) -> Intake:
    """Requests of a sheet; a faulty row leaves the others alone."""
    headings = find_headings(table, FORM)
    if set(FORM.headings) - FORM.optional - headings.columns.keys():
        return gather(table, headings, ())
    names = _column_names(headings)
    records = [(Record(table.file, rows[0].line, names), rows) for rows in _requests(table, headings)]
    return gather(
        table, headings, ((record, _read_request(record, rows, headings, catalogue)) for record, rows in records)
    )


def _column_names(headings: Headings) -> dict[str, str]:
    names = {name: headings.name(name) for name in FORM.headings}
    return names | {"version": names["software"], "chain": names["step"], "campaign": names["request_id"]}


def _requests(table: Table, headings: Headings) -> Iterator[list[Row]]:
    """Rows of one request after the other; only the first one of them carries the id."""
    id_column = headings.columns["request_id"]
    rows: list[Row] = []
    for row in data_rows(table, headings, with_skipped=True):
        named = row.cells[0] if row.broken else row.cell(id_column)
        if rows and (named or _is_orphan(row, headings)):
            yield rows
            rows = []
        rows.append(row)
    if rows:
        yield rows


def _is_orphan(row: Row, headings: Headings) -> bool:
    """A row without id that holds so much of a request that it cannot be a step of the one above."""
    read = [name for name in FORM.headings if name not in ("request_id", "step", *FORM.optional)]
    return sum(bool(row.cell(headings.columns[name])) for name in read) > len(read) // 2


def _is_stray_step(row: Row, headings: Headings) -> bool:
    """The first row of a request that holds nothing but a step."""
    if row.broken or row.refused:
        return False
    return not row.cell(headings.columns["request_id"]) and not _is_orphan(row, headings)


def _read_request(record: Record, rows: list[Row], headings: Headings, catalogue: Catalogue) -> Accepted | None:
    first = rows[0]
    if any(row.skipped for row in rows):
        _check_skipped(record, rows)
        return None
    if _is_stray_step(first, headings):
        step = first.cell(headings.columns["step"])
        record.fault("request_id", "", "is empty, and no request stands above", f"write the id of this row ({step})")
        return None
    values: dict[str, Any] = {}
    check_row(record, first, headings)
    readers: dict[str, cells.Reader] = {
        "request_id": partial(cells.read_request_id, prefixes=catalogue.policy.prefixes),
        **_READERS,
    }
    for name, reader in readers.items():
        values[name] = read_cell(record, first, headings, name, reader)
    record.request_id = values["request_id"] or ""
    values["bunches"] = read_cell(record, first, headings, "bunches", cells.read_count, required=False)
    values["software"], values["version"] = values["software"] or (None, None)
    values["tag"], values["labels"] = values["tag"] or (None, ())
    values["campaign"] = campaign_of(record, values["request_id"], catalogue)
    steps = _read_steps(record, rows, headings)
    values["chain"] = pick_chain(record, steps, catalogue) if steps and not record.is_faulty("step") else None
    return accept(record, values, catalogue)


def _check_skipped(record: Record, rows: list[Row]) -> None:
    """A request is hidden, or struck out, with all its rows or not at all; the notes about its rows name it."""
    if all(row.skipped for row in rows):
        return
    for row in rows:
        if row.skipped:
            message = f"{row.skipped}, other rows of its request are not"
            remedy = "show all rows of the request, or hide all of them"
            record.faults.append(Fault(record.file, row.line, "", shown(row.first_text), message, remedy))


def _read_steps(record: Record, rows: list[Row], headings: Headings) -> dict[str, str]:
    """Kind -> word of the steps of all rows of a request, each row's own faults at its own line."""
    steps: dict[str, str] = {}
    for row in rows:
        own = Record(record.file, row.line, record.columns)
        if row is not rows[0]:
            check_row(own, row, headings)
            _check_continuation(own, row, headings)
        kind = read_cell(own, row, headings, "step", cells.read_step)
        word = row.cell(headings.columns["step"])
        if kind in steps:
            own.fault("step", word, "stands there twice for this request", "delete the row")
        elif kind:
            steps[kind] = word
        record.faults += own.faults
        record.notes += own.notes
    return steps


def _check_continuation(record: Record, row: Row, headings: Headings) -> None:
    """A row without id names a step and nothing else."""
    for name in (one for one in FORM.headings if one in headings.columns):
        value = row.cell(headings.columns[name])
        if row.broken or headings.columns[name] in row.refused:
            continue
        if name not in ("request_id", "step") and value:
            record.fault(name, value, "stands in a row without an id", "write the id too, or delete the cell")
