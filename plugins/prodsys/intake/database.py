"""The export of the requests database: one row of headings, a row per request."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from prodsys.intake import cells
from prodsys.intake.cells import CellRefused, Reading
from prodsys.intake.reading import Record, accept
from prodsys.intake.result import Accepted, Intake
from prodsys.intake.rows import campaign_of, check_row, gather, read_cell
from prodsys.intake.table import Form, Headings, Row, Table, data_rows, find_headings
from prodsys.model.seeds import SeedRange
from prodsys.model.specs import Catalogue

FORM = Form(
    headings={
        "request_id": "request",
        "campaign": "campaign",
        "recorded_status": "status",
        "software": "swproject",
        "version": "version",
        "stage": "stage",
        "collision": "collision",
        "energy_gev": "energy_gev",
        "polarization": "polarization",
        "events": "events",
        "events_per_file": "events_per_file",
        "tag": "tag",
        "seed_first": "seed_first",
        "seed_last": "seed_last",
        "geometry": "geometry",
        "description": "description",
        "bunches": "bunches",
        "bunches_at_once": "bunches_at_once",
        "queue": "queue",
        "rse": "rse",
    },
    optional=frozenset({"campaign", "description", "bunches", "bunches_at_once", "queue", "rse"}),
    ignored=frozenset({"id", "n_processings"}),
    texts=frozenset({"version"}),
)
_VERSION = re.compile(r"\d+(\.\d+)*", re.ASCII)


def _read_version(text: str) -> Reading[str]:
    """A version such as 4.1.7.2."""
    if not _VERSION.fullmatch(text):
        raise CellRefused("is not a version", "numbers and dots: 4.1.7.2")
    return Reading(text)


_READERS: dict[str, cells.Reader] = {
    "recorded_status": cells.read_status,
    "software": cells.read_word,
    "version": _read_version,
    "stage": cells.read_word,
    "collision": cells.read_word,
    "energy_gev": cells.read_energy_gev,
    "polarization": cells.read_word,
    "events": cells.read_count,
    "events_per_file": cells.read_count,
    "tag": cells.read_tag,
    "seed_first": cells.read_seed,
    "seed_last": cells.read_seed,
    "geometry": cells.read_word,
}


def read_database(table: Table, catalogue: Catalogue) -> Intake:
    """Requests of an export; a faulty row leaves the others alone."""
    headings = find_headings(table, FORM)
    if set(FORM.headings) - FORM.optional - headings.columns.keys():
        return gather(table, headings, ())
    names = {name: headings.name(name) for name in FORM.headings}
    names |= {"seeds": names["seed_last"]}
    records = [(Record(table.file, row.line, names), row) for row in data_rows(table, headings)]
    return gather(
        table, headings, ((record, _read_request(record, row, headings, catalogue)) for record, row in records)
    )


def _read_request(record: Record, row: Row, headings: Headings, catalogue: Catalogue) -> Accepted | None:
    check_row(record, row, headings)
    readers: dict[str, cells.Reader] = {
        "request_id": partial(cells.read_request_id, prefixes=catalogue.policy.prefixes),
        **_READERS,
    }
    values: dict[str, Any] = {}
    for name, reader in readers.items():
        values[name] = read_cell(record, row, headings, name, reader)
    record.request_id = values["request_id"] or ""
    for name in ("campaign", "description", "queue", "rse"):
        values[name] = read_cell(record, row, headings, name, cells.read_word, required=False)
    for name in ("bunches", "bunches_at_once"):
        values[name] = read_cell(record, row, headings, name, cells.read_count, required=False)
    values["campaign"] = values["campaign"] or campaign_of(record, values["request_id"], catalogue)
    values["tag"], values["labels"] = values["tag"] or (None, ())
    values["seeds"] = _seeds(record, values.pop("seed_first"), values.pop("seed_last"))
    return accept(record, values, catalogue)


def _seeds(record: Record, first: int | None, last: int | None) -> tuple[SeedRange, ...] | None:
    if first is None or last is None:
        return None
    if last < first:
        record.fault("seed_last", last, f"lies before the first seed {first}", "both ends belong to the range")
        return None
    return (SeedRange(first=first, last=last),)
