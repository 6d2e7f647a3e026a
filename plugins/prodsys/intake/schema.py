"""JSON Schemas of everything people write, generated from the models, for editors and other programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from prodsys.intake.catalogue import SoftwareTable
from prodsys.model.certificate import Certificate
from prodsys.model.physics import PhysicsSpec
from prodsys.model.recurring import RecurringSpec
from prodsys.model.request import RequestSpec
from prodsys.model.specs import ChainSpec, PartitionTable, PolicySpec, ProfileSpec, SiteTable

MODELS: dict[str, type[BaseModel]] = {
    "request": RequestSpec,
    "chain": ChainSpec,
    "software": SoftwareTable,
    "partitions": PartitionTable,
    "sites": SiteTable,
    "policy": PolicySpec,
    "physics": PhysicsSpec,
    "profile": ProfileSpec,
    "certificate": Certificate,
    "recurring": RecurringSpec,
}
_FRIENDLY: dict[str, dict[str, Any]] = {  # forms that intake reads besides those of the model
    "events": {"type": "string", "pattern": r"^\d{1,3}([ ]\d{3})*$"},
    "events_per_file": {"type": "string", "pattern": r"^\d{1,3}([ ]\d{3})*$"},
    "energy_gev": {"type": "string", "pattern": r"^\d+([.,]\d+)? ?(GeV)?$"},
    "seeds": {"type": "integer", "minimum": 1},
}
_DERIVED = ("campaign",)  # follows from the request id when it is not written


def build_schema(name: str) -> dict[str, Any]:
    """JSON Schema of one kind of file."""
    schema = MODELS[name].model_json_schema(mode="validation")
    if name == "request":
        schema["required"] = [key for key in schema["required"] if key not in _DERIVED]
        for key, form in _FRIENDLY.items():
            schema["properties"][key] = _also(schema["properties"][key], form)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _also(field: dict[str, Any], form: dict[str, Any]) -> dict[str, Any]:
    """The schema of a field that may have another form too."""
    about: dict[str, Any] = {key: field[key] for key in ("description", "title", "examples") if key in field}
    own = {key: value for key, value in field.items() if key not in about}
    return {"anyOf": [own, form], **about}


def schema_text(name: str) -> str:
    """Content of ``include/specs/schema/<name>.json``."""
    return json.dumps(build_schema(name), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def stale_schemas(folder: Path) -> list[Path]:
    """Files of the folder that are not what would be generated now."""
    paths = {folder / f"{name}.json": schema_text(name) for name in MODELS}
    return [path for path, text in paths.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]


def write_schemas(folder: Path) -> list[Path]:
    """Generate all files of the folder; returns those that changed."""
    folder.mkdir(parents=True, exist_ok=True)
    changed = stale_schemas(folder)
    for path in changed:
        path.write_text(schema_text(path.stem), encoding="utf-8")
    return changed
