"""Folders of the request bundle: plans kept once by digest, folders that are complete or not there at all."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prodsys.building.published import plan_name, render_plan, render_stub, stub_name
from prodsys.errors import PlanChanged, ProductionError
from prodsys.ledger.publications import Publication
from prodsys.model.request import digest_of

log = logging.getLogger(__name__)
MANIFEST = ".complete"


@dataclass(frozen=True)
class Manifest:
    """What a folder holds; written last, so that a folder without it is not complete."""

    version: int
    sizes: Mapping[str, int]  # file name -> bytes

    @classmethod
    def read(cls, folder: Path) -> Manifest | None:
        """Manifest of a folder, None when there is none that can be read."""
        try:
            body = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            return cls(int(body["version"]), dict(body["sizes"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @classmethod
    def of(cls, folder: Path, version: int, names: Iterable[str]) -> Manifest:
        """Manifest of these files of a folder."""
        return cls(version, {name: (folder / name).stat().st_size for name in sorted(names)})

    def write(self, folder: Path) -> None:
        """Declare the folder complete."""
        write_text(folder / MANIFEST, json.dumps({"version": self.version, "sizes": dict(self.sizes)}))

    def holds(self, folder: Path) -> bool:
        """Whether all files are still there, none cut short (a clean-up or a crash may have come between)."""
        try:
            return all((folder / name).stat().st_size == size for name, size in self.sizes.items())
        except OSError:
            return False


def is_complete(folder: Path, version: int) -> bool:
    """Whether the folder holds all of a version."""
    manifest = Manifest.read(folder)
    return manifest is not None and manifest.version == version and manifest.holds(folder)


@dataclass(frozen=True)
class PlanStore:
    """Plans by digest, ``objects/<digest>.json``; folders of versions hold hard links into it."""

    folder: Path

    def path_of(self, digest: str) -> Path:
        """File of a plan."""
        return self.folder / f"{digest.removeprefix('sha256:')}.json"

    def holds(self, digest: str) -> bool:
        """Whether the plan is here, unharmed."""
        try:
            return digest_of(json.loads(self.path_of(digest).read_text(encoding="utf-8"))) == digest
        except (OSError, ValueError):
            return False

    def put(self, publication: Publication, body: dict[str, Any]) -> None:
        """Keep the plan of a publication.

        Raises
        ------
        PlanChanged
            The ledger's plan does not have the digest it was approved with.
        """
        found = digest_of(body)
        if found != publication.digest:
            raise PlanChanged(publication.request_id, publication.digest, found)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text(self.path_of(publication.digest), render_plan(body))


def write_version(folder: Path, version: int, publications: Iterable[Publication], plans: PlanStore) -> None:
    """Make the folder of a version: filled under another name, then renamed."""
    staging = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    names = [name for publication in publications for name in _write_request(staging, publication, plans)]
    Manifest.of(staging, version, names).write(staging)
    if folder.exists():  # half removed, or a crash cut it short
        broken = staging.with_name(f"{staging.name}.broken")
        folder.rename(broken)
        shutil.rmtree(broken, ignore_errors=True)
    staging.rename(folder)


def update_folder(folder: Path, version: int, publications: Iterable[Publication], plans: PlanStore) -> None:
    """Bring a folder that is being read to a version.

    A stub appears after its plan and goes before it. Plans of the version before stay until the next change: a stub
    that was read a moment ago still finds its own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    before = Manifest.read(folder)
    for stale in _visible(folder) - set(before.sizes if before else ()) if before else ():
        (folder / stale).unlink(missing_ok=True)
    names = {name for publication in publications for name in _write_request(folder, publication, plans)}
    for stub in {name for name in _visible(folder) - names if name.endswith(".py")}:
        (folder / stub).unlink(missing_ok=True)
    Manifest.of(folder, version, names).write(folder)


def _write_request(folder: Path, publication: Publication, plans: PlanStore) -> list[str]:
    """Write plan and stub of one request; a request that cannot be written harms no other one."""
    request_id, digest = publication.request_id, publication.digest
    try:
        stub = render_stub(request_id, digest, publication.requester, publication.expected)
    except ProductionError:
        log.exception("publication %s cannot become a DAG", publication.number)
        return []
    names = [stub_name(request_id)]
    if plans.path_of(digest).exists():
        names.append(plan_name(request_id, digest))
        _link(plans.path_of(digest), folder / names[-1])
    if not _has_text(folder / names[0], stub):
        write_text(folder / names[0], stub)
    return names


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    staging = path.with_name(f".{path.name}.{os.getpid()}")
    staging.write_text(text, encoding="utf-8")
    staging.replace(path)


def _link(source: Path, target: Path) -> None:
    if target.exists() and target.samefile(source):
        return
    staging = target.with_name(f".{target.name}.{os.getpid()}")
    staging.unlink(missing_ok=True)
    staging.hardlink_to(source)
    staging.replace(target)


def _has_text(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


def _visible(folder: Path) -> set[str]:
    """Names of our files; Python puts a folder of its own (``__pycache__``) beside the stubs it has read."""
    return {entry.name for entry in folder.iterdir() if entry.is_file() and not entry.name.startswith(".")}
