"""Everything under ``include/specs`` looked at, file by file: a faulty file harms no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from prodsys.errors import FileUnreadable, SpecInvalid
from prodsys.intake.catalogue import (
    SoftwareTable,
    load_catalogue,
    read_chain,
    read_profile,
    read_spec,
    storage_faults,
)
from prodsys.intake.files import read_files
from prodsys.intake.nearest import suggest
from prodsys.intake.recurring_files import RECURRING, lint_templates, read_template
from prodsys.intake.result import Fault
from prodsys.intake.yaml_file import read_yaml
from prodsys.model.physics import PhysicsSpec
from prodsys.model.recurring import RecurringSpec
from prodsys.model.request import RequestSpec
from prodsys.model.specs import Catalogue, ChainSpec, PartitionTable, PolicySpec, ProfileSpec, SiteTable

TABLES: dict[str, type[Any]] = {
    "software.yaml": SoftwareTable,
    "partitions.yaml": PartitionTable,
    "sites.yaml": SiteTable,
    "policy.yaml": PolicySpec,
    "physics.yaml": PhysicsSpec,
}
FOLDERS: dict[str, Callable[[Path], tuple[Any, list[Fault]]]] = {
    "chains": read_chain,
    "profiles": read_profile,
    RECURRING: read_template,
}
REQUESTS = "requests"
NEEDED = ("chains", "profiles")
_MODELS: dict[str, type[BaseModel]] = {  # by the keys of which a file outside the specs is recognised
    REQUESTS: RequestSpec,
    "chains": ChainSpec,
    "profiles": ProfileSpec,
    "partitions.yaml": PartitionTable,
    "sites.yaml": SiteTable,
    "policy.yaml": PolicySpec,
    "physics.yaml": PhysicsSpec,
    RECURRING: RecurringSpec,
}
_YAML = (".yaml", ".yml")


def lint_specs(folder: Path, files: Sequence[Path] = ()) -> list[Fault]:
    """Faults of all spec files of a folder, or of some files, which may lie elsewhere.

    Raises
    ------
    FileUnreadable
        The folder is not there.
    """
    if not folder.is_dir():
        raise FileUnreadable(str(folder), "is not a folder of specs", "set PRODSYS_SPECS, or leave it unset")
    wanted = list(files) or sorted(_all_files(folder))
    kinds = {path: _kind(path, folder) for path in wanted}
    faults = [fault for path in wanted if kinds[path] != REQUESTS for fault in _lint_file(path, kinds[path])]
    faults += [] if files else _missing_tables(folder)
    faults += [] if faults else _cross_faults(folder)
    faults += [] if faults else _lint_templates([path for path in wanted if kinds[path] == RECURRING], folder)
    return faults + _lint_requests([path for path in wanted if kinds[path] == REQUESTS], folder)


def _all_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.suffix.lower() in _YAML]


def _kind(path: Path, folder: Path) -> str:
    """Name of the table or folder that a file is for: by its place, outside the specs by its keys."""
    full, home = path.resolve(), folder.resolve()
    if full.is_relative_to(home):
        return full.relative_to(home).parts[0]
    if path.is_dir() or path.suffix.lower() not in _YAML:
        return REQUESTS
    if path.name in TABLES:
        return path.name
    data = read_yaml(path).data
    keys = set(data) if isinstance(data, dict) else set()
    likely = {kind: len(keys & set(model.model_fields)) for kind, model in _MODELS.items()}
    return max(likely, key=lambda kind: likely[kind]) if any(likely.values()) else REQUESTS


def _lint_file(path: Path, kind: str) -> list[Fault]:
    if kind in TABLES:
        return read_spec(path, TABLES[kind])[1]
    if kind not in FOLDERS:
        remedy = suggest(kind, [*TABLES, *FOLDERS, REQUESTS])
        return [Fault(str(path), None, "", kind, "is no kind of spec: nobody reads it", remedy)]
    if path.suffix != ".yaml":
        message = "is not read: its name does not end with .yaml"
        return [Fault(str(path), None, "", path.name, message, f"rename it to {path.stem}.yaml")]
    return FOLDERS[kind](path)[1]


def _missing_tables(folder: Path) -> list[Fault]:
    faults = [
        Fault(str(folder / name), None, "", "", "is missing", "every deployment needs it")
        for name in TABLES
        if not (folder / name).is_file()
    ]
    for name in NEEDED:
        if not any((folder / name).glob("*.yaml")):
            faults.append(Fault(str(folder / name), None, "", "", "holds no spec", "every deployment needs one"))
    return faults


def _cross_faults(folder: Path) -> list[Fault]:
    """Faults of two files together."""
    partitions, _ = read_spec(folder / "partitions.yaml", PartitionTable)
    sites, _ = read_spec(folder / "sites.yaml", SiteTable)
    if partitions is None or sites is None:
        return []
    return storage_faults(partitions, sites, str(folder / "partitions.yaml"))


def _lint_templates(paths: Sequence[Path], folder: Path) -> list[Fault]:
    """Faults of recurring templates beside the tables that they need."""
    catalogue = _any_catalogue(folder) if paths else None
    return lint_templates(paths, catalogue) if catalogue else []


def _lint_requests(paths: Sequence[Path], folder: Path) -> list[Fault]:
    """Faults of requests; when the tables that they need are faulty, only of their YAML."""
    if not paths:
        return []
    catalogue = _any_catalogue(folder)
    if catalogue is None:
        return [fault for path in paths for fault in read_yaml(path).faults]
    intake = read_files(paths, catalogue)
    faults = list(intake.faults)
    for one in intake.accepted:
        stem = Path(one.file).stem
        if Path(one.file).suffix.lower() in _YAML and stem != one.spec.request_id:
            message = f"is not the name of the file, {Path(one.file).name}"
            remedy = f"rename the file to {one.spec.request_id}.yaml"
            faults.append(Fault(one.file, one.row, "request_id", one.spec.request_id, message, remedy))
    return faults


def _any_catalogue(folder: Path) -> Catalogue | None:
    """The specs with the first profile that can be read: requests do not depend on it."""
    for path in sorted((folder / "profiles").glob("*.yaml")):
        if read_profile(path)[0]:
            try:
                return load_catalogue(folder, path.stem)
            except SpecInvalid:
                return None
    return None
