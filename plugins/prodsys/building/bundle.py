"""The DAG bundle of published requests: versions are publication numbers, files lie on local disk (DESIGN decision 3).

Parsing and running read files only. The ledger is asked when a new version appears, and when a run needs the files of a
version that this host does not have (any more). Its address stands in ``PRODSYS_DATABASE_URL``, never in the arguments
of the bundle, which Airflow shows.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow.dag_processing.bundles.base import BaseDagBundle, BundleVersion
from airflow.sdk.exceptions import AirflowRescheduleException
from sqlalchemy.orm import Session

from prodsys.building.folders import Manifest, PlanStore, is_complete, update_folder, write_version
from prodsys.building.retries import FILES_DELAY
from prodsys.errors import LedgerError, LedgerUnavailable, PlanChanged, SpecInvalid
from prodsys.ledger.publications import Publication, active_publications, current_version, plan_bodies
from prodsys.ledger.session import make_engine, make_session_factory, transaction
from prodsys.settings import read_settings

log = logging.getLogger(__name__)


class RequestBundle(BaseDagBundle):
    """One stub and one plan per published request."""

    supports_versioning = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._pinned = None if self.version is None else _parse_version(self.version)
        self._plans = PlanStore(self.base_dir / "objects")

    @property
    def path(self) -> Path:
        """Folder of the pinned version, or the one that follows the ledger."""
        return self.base_dir / "tracking" if self._pinned is None else self.versions_dir / str(self._pinned)

    def initialize(self) -> None:
        """Make the files be there.

        Raises
        ------
        AirflowRescheduleException
            The files of a pinned version are not here and the ledger does not answer: Airflow starts the task later,
            and no try is lost.
        """
        if self._pinned is None:
            self._follow()
        elif not is_complete(self.path, self._pinned):
            self._fetch(self._pinned)
        super().initialize()

    def refresh(self) -> None:
        """Follow the ledger to its newest version."""
        if self._pinned is not None:
            raise LedgerError(f"version {self.version} of bundle {self.name} never changes: nothing to refresh")
        self._follow()

    def get_current_version(self) -> BundleVersion:
        """The pinned version, else that of the files on this disk; 0 when nothing was ever published."""
        if self._pinned is not None:
            return BundleVersion(version=str(self._pinned))
        manifest = Manifest.read(self.path)
        return BundleVersion(version=str(manifest.version if manifest else 0))

    def _fetch(self, version: int) -> None:
        try:
            publications = self._read(version)
        except LedgerUnavailable as error:
            log.warning("version %s of bundle %s is not on this disk and %s", version, self.name, error)
            raise AirflowRescheduleException(datetime.now(UTC) + FILES_DELAY) from error
        with self.lock():
            if not is_complete(self.path, version):
                write_version(self.path, version, publications, self._plans)

    def _follow(self) -> None:
        before = Manifest.read(self.path)
        try:
            version = _read_version()
            if before and before.version > version:
                raise LedgerError(
                    f"the ledger is at version {version}, but {self.path} at {before.version}: was the ledger restored "
                    f"from a backup? Then end the runs that it does not know and remove {self.base_dir}"
                )
            if is_complete(self.path, version):
                return
            publications = self._read(version)
        except LedgerUnavailable as error:
            if before is None:
                raise
            log.warning("bundle %s stays at version %s: %s", self.name, before.version, error)
            return
        with self.lock():
            now = Manifest.read(self.path)
            if now is None or now.version <= version:  # else another process came later and saw more
                update_folder(self.path, version, publications, self._plans)

    def _read(self, version: int) -> list[Publication]:
        """Publications of a version, their plans kept; asks only for plans that are not here."""
        with _ledger() as session:
            known = current_version(session)
            if version > known:
                raise LedgerError(f"bundle version {version} is unknown: the ledger's last publication is {known}")
            publications = active_publications(session, version)
            missing = {row.digest for row in publications if not self._plans.holds(row.digest)}
            bodies = plan_bodies(session, missing)
        for row in publications:
            if row.digest in bodies:
                self._keep(row, bodies[row.digest])
            elif row.digest in missing:
                log.error("the ledger has no plan %s of %s", row.digest, row.request_id)
        return publications

    def _keep(self, publication: Publication, body: dict[str, Any]) -> None:
        try:
            self._plans.put(publication, body)
        except PlanChanged as error:  # its stub will say so as an import error; the others are not harmed
            log.error("publication %s: %s", publication.number, error)


def _read_version() -> int:
    with _ledger() as session:
        return current_version(session)


@contextmanager
def _ledger() -> Iterator[Session]:
    """Yield a session; its connection is closed at the end, for the DAG processor forks."""
    url = read_settings().need("DATABASE_URL")
    try:
        with transaction(make_session_factory(url)) as session:
            yield session
    finally:
        make_engine(url).dispose()


def _parse_version(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise SpecInvalid("bundle version", f"{text!r} is not the number of a publication", "versions are 0, 1, 2 ...")
    return int(text)
