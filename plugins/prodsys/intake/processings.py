"""The list of processings: it tells which scripts, so which physics variant, made a request's data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from prodsys.intake import cells
from prodsys.intake.reading import Record
from prodsys.intake.result import Accepted, Fault, Intake, Note, shown
from prodsys.intake.rows import check_row, read_cell
from prodsys.intake.table import Form, Headings, Row, Table, data_rows, find_headings, skipped_notes
from prodsys.model.names import energy_text
from prodsys.model.request import RequestSpec
from prodsys.model.specs import Catalogue

FORM = Form(
    headings={
        "request_id": "Request",
        "step": "type",
        "script": "script",
        "dsn_pattern": "dsn_pattern",
        "input_datasets": "input_datasets",
        "output_datasets": "output_datasets",
    },
    optional=frozenset({"dsn_pattern", "input_datasets", "output_datasets"}),
    ignored=frozenset({"id", "description"}),
)


@dataclass(frozen=True)
class Processing:
    """One row of the list: a step of a request, its script and its datasets."""

    request_id: str
    step: str
    script: str
    file: str
    row: int
    column: str  # heading of the script
    dsn_pattern: str = ""
    input_datasets: tuple[str, ...] = ()
    output_datasets: tuple[str, ...] = ()


def read_processings(table: Table, catalogue: Catalogue) -> tuple[list[Processing], Intake]:
    """Processings of a table, with its faults and notes."""
    headings = find_headings(table, FORM)
    faults, notes = [*table.faults, *headings.faults], [*table.notes, *headings.notes, *skipped_notes(table, headings)]
    found: list[Processing] = []
    if set(FORM.headings) - FORM.optional <= headings.columns.keys():
        for row in data_rows(table, headings):
            record = Record(table.file, row.line, {name: headings.name(name) for name in FORM.headings})
            processing = _read_row(record, row, headings, catalogue)
            faults += record.faults
            notes += record.notes
            if processing and not record.faults:
                found.append(processing)
    return found, Intake((), tuple(faults), tuple(notes))


def _read_row(record: Record, row: Row, headings: Headings, catalogue: Catalogue) -> Processing | None:
    check_row(record, row, headings)
    id_reader = partial(cells.read_request_id, prefixes=catalogue.policy.prefixes)
    request_id = read_cell(record, row, headings, "request_id", id_reader)
    step = read_cell(record, row, headings, "step", cells.read_step)
    script = read_cell(record, row, headings, "script", cells.read_word)
    if not (request_id and step and script):
        return None
    pattern = read_cell(record, row, headings, "dsn_pattern", cells.read_word, required=False) or ""
    inputs, outputs = (_datasets(record, row, headings, name) for name in ("input_datasets", "output_datasets"))
    place = (record.file, record.row, record.columns["script"])
    return Processing(request_id, step, script, *place, pattern, inputs, outputs)


def _datasets(record: Record, row: Row, headings: Headings, name: str) -> tuple[str, ...]:
    """The datasets of a cell, which stand there with commas or blanks between them."""
    text = read_cell(record, row, headings, name, cells.read_word, required=False) or ""
    return tuple(text.replace(",", " ").replace(";", " ").split())


def link(intake: Intake, processings: Iterable[Processing], catalogue: Catalogue) -> Intake:
    """The intake with the physics variant that the scripts of its requests name."""
    by_id: dict[str, list[Processing]] = {}
    for processing in processings:
        by_id.setdefault(processing.request_id, []).append(processing)
    faults, notes = list(intake.faults), list(intake.notes)
    known = {one.spec.request_id for one in intake.accepted}
    notes += [
        Note(one.file, one.row, "Request", request_id, "is not among the requests read here: its scripts tell nothing")
        for request_id, group in by_id.items()
        if request_id not in known
        for one in group
    ]
    accepted = [
        _with_scripts(one, by_id[one.spec.request_id], catalogue, faults, notes)
        if one.spec.request_id in by_id
        else one
        for one in intake.accepted
    ]
    return Intake(tuple(one for one in accepted if one), tuple(faults), tuple(notes))


def _with_scripts(
    accepted: Accepted, group: list[Processing], catalogue: Catalogue, faults: list[Fault], notes: list[Note]
) -> Accepted | None:
    """The request with its variant; None, with a fault, when its steps name different ones."""
    spec = accepted.spec
    found: dict[tuple[str, str], Processing] = {}
    for processing in group:
        parts = script_parts(processing.script, spec, catalogue)
        if parts is None:
            message = f"does not follow software.yaml for {spec.request_id}: its variant is not known"
            notes.append(Note(processing.file, processing.row, processing.column, shown(processing.script), message))
        else:
            found.setdefault(parts, processing)
    if len(found) > 1:
        faults.append(_contradiction(list(found.values())))
        return None
    for (version, variant), processing in found.items():
        changed = _change(spec, version, variant, catalogue)
        if changed != spec and variant:
            message = f"{spec.request_id} has the physics variant {variant} ({version})"
            notes.append(Note(processing.file, processing.row, processing.column, shown(processing.script), message))
        return replace(accepted, spec=changed)
    return accepted


def _contradiction(group: list[Processing]) -> Fault:
    last = group[-1]
    others = ", ".join(f"row {one.row}: {one.script}" for one in group[:-1])
    message = f"is of other scripts than the other steps of {last.request_id} ({others}): its variant is not known"
    return Fault(last.file, last.row, last.column, shown(last.script), message, "all steps use one folder of scripts")


def _change(spec: RequestSpec, version: str, variant: str, catalogue: Catalogue) -> RequestSpec:
    current = catalogue.software[spec.software].versions.get(spec.version)
    own_version = None if current and current.script_version == version else version
    return RequestSpec.model_validate(
        spec.model_dump() | {"seeds": spec.seeds, "variant": variant, "script_version": own_version}
    )


def script_parts(script: str, spec: RequestSpec, catalogue: Catalogue) -> tuple[str, str] | None:
    """Version and variant in the path of a script, ``("V02", "D0sig")``; None when it has another form."""
    software = catalogue.software.get(spec.software)
    if not software:
        return None
    found = re.fullmatch(_pattern(software.scripts, spec) + r"/[^/]+", script)
    return (found["version"], found["variant"] or "") if found else None


def _pattern(template: str, spec: RequestSpec) -> str:
    """Regular expression of the folder of scripts of a request."""
    parts: Mapping[str, str] = {
        r"\{tag\}": re.escape(spec.tag),
        r"\{energy\}": re.escape(energy_text(spec.energy_gev)),
        r"\{script_version\}": r"(?P<version>V\d+)",
        r"\{variant\}": r"(?:_(?P<variant>[A-Za-z0-9]+))?",
    }
    pattern = re.escape(template)
    for placeholder, expression in parts.items():
        pattern = pattern.replace(placeholder, expression)
    return pattern
