"""The spreadsheet of requests: two rows of headings, a row per step, the id in the first of them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from prodsys.intake import cells
from prodsys.intake.reading import Record, accept, pick_chain
from prodsys.intake.result import Accepted, Intake
from prodsys.intake.rows import campaign_of, check_row, read_cell
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
    },
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
    faults, notes = [*table.faults, *headings.faults], [*table.notes, *headings.notes]
    if set(FORM.headings) - headings.columns.keys():
        return Intake((), tuple(faults), tuple(notes))
    accepted = []
    for rows in _requests(table, headings):
        record = Record(table.file, rows[0].line, _column_names(headings))
        found = _read_request(record, rows, headings, catalogue)
        faults += record.faults
        notes += record.notes
        if found:
            accepted.append(found)
    return Intake(tuple(accepted), tuple(faults), tuple(notes))


def _column_names(headings: Headings) -> dict[str, str]:
    names = {name: headings.name(name) for name in FORM.headings}
    return names | {"version": names["software"], "chain": names["step"], "campaign": names["request_id"]}


def _requests(table: Table, headings: Headings) -> Iterator[list[Row]]:
    """Rows of one request after the other; only the first one of them carries the id."""
    id_column = headings.columns["request_id"]
    rows: list[Row] = []
    for row in data_rows(table, headings):
        if rows and (row.cell(id_column) or _is_orphan(row, headings)):
            yield rows
            rows = []
        rows.append(row)
    if rows:
        yield rows


def _is_orphan(row: Row, headings: Headings) -> bool:
    """A row without id that holds so much of a request that it cannot be a step of the one above."""
    read = [name for name in FORM.headings if name not in ("request_id", "step")]
    return sum(bool(row.cell(headings.columns[name])) for name in read) > len(read) // 2


def _read_request(record: Record, rows: list[Row], headings: Headings, catalogue: Catalogue) -> Accepted | None:
    first = rows[0]
    if not first.cell(headings.columns["request_id"]) and not _is_orphan(first, headings) and not first.refused:
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
    values["software"], values["version"] = values["software"] or (None, None)
    values["tag"], values["labels"] = values["tag"] or (None, ())
    values["campaign"] = campaign_of(record, values["request_id"], catalogue)
    kinds = _read_steps(record, rows, headings)
    values["chain"] = pick_chain(record, kinds, catalogue) if kinds else None
    return accept(record, values, catalogue)


def _read_steps(record: Record, rows: list[Row], headings: Headings) -> list[str]:
    """Kinds of steps of all rows of a request, each row's own faults at its own line."""
    kinds: list[str] = []
    for row in rows:
        own = Record(record.file, row.line, record.columns)
        if row is not rows[0]:
            check_row(own, row, headings)
            _check_continuation(own, row, headings)
        kind = read_cell(own, row, headings, "step", cells.read_step)
        if kind in kinds:
            word = row.cell(headings.columns["step"])
            own.fault("step", word, "stands there twice for this request", "delete the row")
        elif kind:
            kinds.append(kind)
        record.faults += own.faults
        record.notes += own.notes
    return kinds


def _check_continuation(record: Record, row: Row, headings: Headings) -> None:
    """A row without id names a step and nothing else."""
    for name in FORM.headings:
        value = row.cell(headings.columns[name])
        if name not in ("request_id", "step") and value and headings.columns[name] not in row.refused:
            record.fault(name, value, "stands in a row without an id", "write the id too, or delete the cell")
