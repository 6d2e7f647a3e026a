"""Where files lie on storages that are mounted here; a storage that does not answer is no lost file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from prodsys.actions.core.context import Context
from prodsys.ddm.content import local_path
from prodsys.ddm.facts import LOST_COPY, FileCopies, ReplicaState
from prodsys.ddm.placement import hash_path
from prodsys.errors import FilesUnavailable, FileUnreadable
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import SeedOutcomeRow
from prodsys.model.names import Did
from prodsys.model.statuses import EventSource

ABSENT_REMEDY = "its storage and Rucio agree that it is not there: recover its seed"


@dataclass(frozen=True)
class Mount:
    """A storage that is mounted on this host."""

    root: Path  # folder that holds one folder (or link) per storage
    rse: str

    @property
    def folder(self) -> Path:
        """Where it is mounted."""
        return self.root / self.rse

    def usual_path(self, did: Did) -> Path:
        """Where a file lies when the storage names its files by Rucio's default rule."""
        return self.folder / hash_path(did)


def find_mount(ctx: Context, rse: str) -> Mount | None:
    """The mounted storage, None when this host does not mount it.

    Raises
    ------
    FilesUnavailable
        The folder of all storages, or the folder (link) of this one, is there by name and does not answer; or it is
        gone, and files of its sites were counted here before.
    """
    if ctx.rse_root is None or not rse:
        return None
    mount = Mount(ctx.rse_root, rse)
    try:
        mount.root.stat()
        if not os.path.lexists(mount.folder) and not _counted_before(ctx, rse):
            return None
        mount.folder.stat()  # a link that leads nowhere, a mount that hangs: the name alone says nothing
    except OSError as error:
        raise FilesUnavailable(f"storage {rse}", f"{error.filename}: {error.strerror}", error.errno) from error
    return mount


def _counted_before(ctx: Context, rse: str) -> bool:
    sites = [queue.name for queue in ctx.catalogue.sites.queues if queue.rse == rse]
    counted = SeedOutcomeRow.site.in_(sites), SeedOutcomeRow.events_source == EventSource.COUNTED
    with transaction(ctx.sessions) as session:
        return session.scalars(select(SeedOutcomeRow.seed).where(*counted).limit(1)).first() is not None


def is_on_storage(ctx: Context, rse: str, did: Did) -> bool | None:
    """Whether a file lies on its storage; None when that is not mounted here.

    Raises
    ------
    FilesUnavailable
        The storage does not answer, or not with what Rucio lists there.
    """
    mount = find_mount(ctx, rse)
    if mount is None:
        return None
    try:
        mount.usual_path(did).stat()
    except FileNotFoundError:
        return did.name in find_elsewhere(ctx, mount, [did])
    except OSError as error:
        raise FilesUnavailable(f"storage {rse}", f"{error.filename}: {error.strerror}", error.errno) from error
    return True


def find_elsewhere(ctx: Context, mount: Mount, dids: Sequence[Did]) -> dict[str, Path | None]:
    """LFN -> path of files that do not lie where the default rule puts them; asked of Rucio, which knows the others.

    None: it lies on another storage now, one that is not mounted here. A file that is left out is nowhere.

    Raises
    ------
    FilesUnavailable
        Rucio lists files on this storage that are not found there, or the folder of their scope is not there either.
    """
    copies = ctx.rucio.copies_of(dids[0].scope, [did.name for did in dids])
    found: dict[str, Path | None] = {}
    unseen = []
    for did in dids:
        known = copies.get(did.name)
        if (path := _path_of(ctx, mount, did, known)) is not None:
            found[did.name] = path
        elif _is_listed(mount, known) or (known is None and not _scope_folder(mount, did).exists()):
            unseen.append(did.name)
        elif known is not None and known.available:
            found[did.name] = _path_on_others(mount, known)
    if unseen:
        words = (
            f"{len(unseen)} of {len(dids)} files are not found below {mount.folder}, though Rucio lists them there or "
            f"their folder is missing: {unseen[0]}; is it mounted? A file that its storage has lost for good: have its "
            "replicas declared bad in Rucio, then settle again"
        )
        raise FilesUnavailable(f"storage {mount.rse}", words)
    return found


def absent(did: Did, mount: Mount) -> FileUnreadable:
    """The error for a file that is neither on its storage nor listed there by Rucio."""
    return FileUnreadable(did.name, f"is not on {mount.rse}, where its job wrote it", ABSENT_REMEDY)


def _scope_folder(mount: Mount, did: Did) -> Path:
    return mount.folder.joinpath(*did.scope.split("."))


def _is_listed(mount: Mount, known: FileCopies | None) -> bool:
    """Whether Rucio lists a copy there that nobody has declared bad."""
    return known is not None and known.states.get(mount.rse, ReplicaState.BAD) not in LOST_COPY


def _path_of(ctx: Context, mount: Mount, did: Did, known: FileCopies | None) -> Path | None:
    pfn = known.pfns.get(mount.rse) if known else None
    if pfn is None:
        pfn = ctx.rucio.expected_pfn(did, mount.rse)
    return _local(mount, pfn) if pfn is not None else None


def _path_on_others(mount: Mount, known: FileCopies) -> Path | None:
    """Where an available copy lies on another storage that is mounted here."""
    for rse, state in sorted(known.states.items()):
        other = Mount(mount.root, rse)
        readable = state is ReplicaState.AVAILABLE and rse in known.pfns and other.folder.is_dir()
        if readable and (path := _local(other, known.pfns[rse])) is not None:
            return path
    return None


def _local(mount: Mount, pfn: str) -> Path | None:
    try:
        return local_path(pfn, mount.root, mount.rse)
    except FileUnreadable:
        return None
    except OSError as error:
        raise FilesUnavailable(f"storage {mount.rse}", f"{error.filename}: {error.strerror}", error.errno) from error
