"""JEDI's own DDM plug-in (``AtlasDDMClient``) before a catalogue: what it wants of destinations and of input files.

Source: recording ``stock_ddm``.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from sqlalchemy import Connection

from sandbox.panda.jobs.catalogue import Addition, Catalogue, CatalogueFile, FilesUnreadable


class CatalogueOfStorages(Catalogue, Protocol):
    """A catalogue that knows its storages."""

    def has_storage(self, name: str) -> bool:
        """Whether there is such a storage."""


class StockDdm:
    """A catalogue as the stock plug-in sees it."""

    def __init__(self, catalogue: CatalogueOfStorages, vo: str) -> None:
        self._catalogue, self._vo = catalogue, vo
        self.registers = catalogue.registers

    def storage_fault(self, destination: str) -> str | None:
        """Return JEDI's words about a destination that is no storage."""
        return None if self._catalogue.has_storage(destination) else f"unknown endpoint: {destination}"

    def list_files(self, connection: Connection, dataset: str) -> list[CatalogueFile]:
        """Return the files of a dataset, GUIDs with dashes.

        Raises
        ------
        FilesUnreadable
            A file has none.
        """
        found = self._catalogue.list_files(connection, dataset)
        if any(not one.guid for one in found):
            place = f"VO={self._vo} getFilesInDataset pid={os.getpid()} <datasetName={dataset}>"
            words = "<class 'TypeError'> : 'NoneType' object is not subscriptable"
            raise FilesUnreadable(f"failed to get files for {dataset} due to {place} : {words}")
        return [replace(one, guid=str(uuid.UUID(one.guid or "")).upper()) for one in found]

    def knows(self, connection: Connection, dataset: str) -> bool:
        """Whether the dataset exists."""
        return self._catalogue.knows(connection, dataset)

    def is_open(self, connection: Connection, dataset: str) -> bool:
        """Whether files may still come into the dataset."""
        return self._catalogue.is_open(connection, dataset)

    def ensure_dataset(self, dataset: str) -> None:
        """Make the dataset if it is missing."""
        self._catalogue.ensure_dataset(dataset)

    def add_files(self, additions: Sequence[Addition]) -> None:
        """Register files in their datasets."""
        self._catalogue.add_files(additions)

    def close_dataset(self, dataset: str) -> None:
        """Freeze the dataset."""
        self._catalogue.close_dataset(dataset)
