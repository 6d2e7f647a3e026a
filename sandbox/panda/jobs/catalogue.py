"""Where JEDI looks inputs up and the adder registers outputs: Rucio, or the sandbox's own tables."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection, select

from sandbox.panda import tables as t
from sandbox.panda.store import FINAL


class CatalogueUnavailable(Exception):
    """The catalogue does not answer now; waiting helps."""


class CatalogueRefused(Exception):
    """The catalogue says no; waiting does not help. The text is the catalogue's."""


class FilesUnreadable(Exception):
    """The files of a dataset cannot be read as they are; the text becomes the task's errorDialog."""


@dataclass(frozen=True)
class CatalogueFile:
    """A file as the catalogue knows it; `adler32` in hexadecimal."""

    scope: str
    name: str
    size: int | None
    adler32: str | None
    guid: str | None = None
    events: int | None = None


@dataclass(frozen=True)
class Addition:
    """A finished file that belongs into a dataset and lies at a storage."""

    dataset: str
    rse: str
    name: str
    size: int
    adler32: str


class Catalogue(Protocol):
    """What the sandbox needs of a catalogue; datasets are named as in task maps."""

    registers: bool

    def knows(self, connection: Connection, dataset: str) -> bool:
        """Whether the dataset exists."""

    def is_open(self, connection: Connection, dataset: str) -> bool:
        """Whether files may still come into the dataset."""

    def list_files(self, connection: Connection, dataset: str) -> list[CatalogueFile]:
        """Return the files of a dataset in the order of their names."""

    def storage_fault(self, destination: str) -> str | None:
        """Return what is wrong with the destination of an output; None when nothing is, or nobody looks."""

    def ensure_dataset(self, dataset: str) -> None:
        """Make the dataset if it is missing."""

    def add_files(self, additions: Sequence[Addition]) -> None:
        """Register files in their datasets, all or none; again is no error."""

    def close_dataset(self, dataset: str) -> None:
        """Freeze the dataset; again is no error."""


class OwnTables:
    """Adder ``none``: the finished files of producing tasks are the catalogue, nothing is registered."""

    registers = False

    def __init__(self, storages: Collection[str] = ()) -> None:
        self._storages = frozenset(storages)

    def has_storage(self, name: str) -> bool:
        """Whether a queue writes there."""
        return name in self._storages

    def storage_fault(self, destination: str) -> str | None:  # noqa: ARG002
        """Nobody looks."""
        return None

    def knows(self, connection: Connection, dataset: str) -> bool:
        """Whether any task fills the dataset."""
        query = select(t.dataset.c.dataset_id).where(t.dataset.c.name == dataset, t.dataset.c.type == "output")
        return connection.execute(query.limit(1)).first() is not None

    def is_open(self, connection: Connection, dataset: str) -> bool:
        """Whether a task that fills the dataset has not ended."""
        d = t.dataset.c
        query = (
            select(d.dataset_id)
            .join(t.task, t.task.c.jedi_task_id == d.jedi_task_id)
            .where(d.name == dataset, d.type == "output", t.task.c.status.not_in(FINAL))
        )
        return connection.execute(query.limit(1)).first() is not None

    def list_files(self, connection: Connection, dataset: str) -> list[CatalogueFile]:
        """Return finished files of the producers, without lost ones."""
        f, d = t.file.c, t.dataset.c
        query = (
            select(f.lfn, f.scope, f.size, f.adler32, f.guid, f.n_events)
            .select_from(t.file.join(t.dataset, f.dataset_id == d.dataset_id))
            .where(d.name == dataset, d.type == "output", f.status == "finished", ~f.lost)
            .order_by(f.lfn)
        )
        return [
            CatalogueFile(row.scope or "", row.lfn, row.size, row.adler32, row.guid, row.n_events)
            for row in connection.execute(query)
        ]

    def ensure_dataset(self, dataset: str) -> None:
        """Nothing is registered."""

    def add_files(self, additions: Sequence[Addition]) -> None:
        """Nothing is registered."""

    def close_dataset(self, dataset: str) -> None:
        """Nothing is registered."""
