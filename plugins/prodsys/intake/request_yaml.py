"""A request as a YAML file: the keys of RequestSpec, with the forms people like to write."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from prodsys.intake import cells
from prodsys.intake.model_faults import MISSING, faults_of
from prodsys.intake.reading import Record, accept, understand
from prodsys.intake.result import Accepted, Fault, Intake
from prodsys.intake.rows import campaign_of
from prodsys.intake.yaml_file import KeyPath, YamlDocument, parse_yaml
from prodsys.model.request import RequestSpec
from prodsys.model.specs import Catalogue

_READERS: dict[str, cells.Reader] = {
    "energy_gev": cells.read_energy_gev,
    "events": cells.read_count,
    "events_per_file": cells.read_count,
    "seeds": cells.read_seeds,
    "recorded_status": cells.read_status,
    "tag": cells.read_tag,
}


def read_request_yaml(text: str, path: Path, catalogue: Catalogue) -> Intake:
    """The request of a file, or its faults."""
    document = parse_yaml(text, str(path))
    if document.faults:
        return Intake(faults=document.faults)
    if not isinstance(document.data, dict):
        message = "is not a request: keys and values are expected"
        return Intake(faults=(Fault(str(path), 1, "", "", message, "see include/specs/requests"),))
    record = Record(str(path), 1, {}, lines={str(key): document.line((str(key),)) for key in document.data})
    accepted = _read_request(record, document, catalogue)
    faults = tuple(sorted(record.faults, key=lambda fault: fault.row or 0))
    return Intake((accepted,) if accepted else (), faults, tuple(record.notes))


def _read_request(record: Record, document: YamlDocument, catalogue: Catalogue) -> Accepted | None:
    values: dict[str, Any] = {key: value for key, value in document.data.items() if value is not None}
    readers: dict[str, cells.Reader] = {
        "request_id": partial(cells.read_request_id, prefixes=catalogue.policy.prefixes),
        **_READERS,
    }
    for name, reader in readers.items():
        if name in values:
            values[name] = record.read(name, _as_text(values[name], document, (name,)), reader)
    if values.get("tag"):
        values["tag"], remarks = values["tag"]
        if isinstance(values.get("labels", []), list):
            values["labels"] = (*values.get("labels", []), *remarks)
    if "campaign" not in values:
        values["campaign"] = campaign_of(record, values.get("request_id"), catalogue)
    values = understand(record, values, catalogue)
    try:
        RequestSpec.model_validate(values)
    except ValidationError as error:
        if _add_faults(record, error, document):
            return None
    return accept(record, values, catalogue)


def _as_text(value: Any, document: YamlDocument, path: KeyPath) -> str:
    """A YAML value as a person would write it in a cell; lists of seeds become one text."""
    if isinstance(value, list):
        return ", ".join(_as_text(item, document, (*path, index)) for index, item in enumerate(value))
    if isinstance(value, dict):
        first, last = (_as_text(value.get(key), document, (*path, key)) for key in ("first", "last"))
        return f"{first}-{last}" if set(value) == {"first", "last"} else str(value)
    if isinstance(value, float) and (path == ("energy_gev",) or value.is_integer()):
        return document.written(path, value) if _is_grouped(path, document) else cells.number_text(value)
    return cells.squeeze(document.written(path, value))


def _is_grouped(path: KeyPath, document: YamlDocument) -> bool:
    """The number may be meant with a mark of thousands, ``1.000``; an energy with a point is a number to YAML."""
    return path != ("energy_gev",) and cells.is_ambiguous(document.written(path, ""))


def _add_faults(record: Record, error: ValidationError, document: YamlDocument) -> bool:
    """Write down faults of single keys; False when there are none but those of several keys together."""
    known = {fault.column for fault in record.faults}
    found = [fault for fault in faults_of(error, RequestSpec, document) if fault.column]
    record.faults += [fault for fault in found if fault.column.split("[")[0] not in known and _is_new(fault, record)]
    return bool(found)


def _is_new(fault: Fault, record: Record) -> bool:
    """False for a key that is missing because its value, or the id it follows from, could not be read."""
    source = "request_id" if fault.column == "campaign" else fault.column
    return not (fault.message == MISSING and record.is_faulty(source))
