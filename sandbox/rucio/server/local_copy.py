"""A transfer tool for RSEs that are folders of this machine: it copies the bytes and checks size and adler32.

It takes the place of FTS; everything around it (conveyor, locks, rules) is Rucio's own. A file appears at its
destination by a rename, after it was checked. What came of each transfer is kept in a small file for a day, so that a
killed daemon forgets nothing.

``SANDBOX_RUCIO_TRANSFERS``: folder of those files. A file ``faults`` in it holds parts of file names, one a line:
transfers of such files fail.
``SANDBOX_RUCIO_COPIES=simulated``: a file that is not on the source counts as copied; simulated jobs write none.
"""
# ruff: noqa: ARG002, ARG003 - the arguments are those of Rucio's interface

from __future__ import annotations

import datetime
import itertools
import json
import logging
import os
import shutil
import time
import uuid
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from rucio.core import transfer as transfer_core
from rucio.db.sqla.constants import RequestState
from rucio.transfertool.transfertool import TransferStatusReport, Transfertool, TransferToolBuilder

if TYPE_CHECKING:
    from rucio.core.transfer import DirectTransfer

NAME = "localcopy"
BLOCK_BYTES = 1 << 20
KEPT_S = 24 * 3600
LOST = {"error": "what came of this transfer is not on record any more", "started": 0.0, "ended": 0.0}


class TransferFailed(Exception):
    """The bytes at the destination are not those of the catalogue."""


class LocalCopyReport(TransferStatusReport):
    """What came of one transfer, in the words of Rucio's requests table."""

    supported_db_fields = ("state", "external_id", "started_at", "transferred_at", "err_msg")

    def __init__(self, request_id: str, external_id: str, result: Mapping[str, Any]) -> None:
        super().__init__(request_id)
        self.external_id = external_id
        self.err_msg = result["error"]
        self.state = RequestState.FAILED if result["error"] else RequestState.DONE
        self.started_at = _utc(result["started"])
        self.transferred_at = _utc(result["ended"])

    def initialize(self, session: Any, logger: Any = logging.log) -> None:
        """All fields are known from the start."""

    def get_monitor_msg_fields(self, session: Any, logger: Any = logging.log) -> dict[str, Any]:
        """Return nothing more for the messages."""
        return {}


class LocalCopyTool(Transfertool):
    """Copies at submission; a later query tells how it went."""

    external_name = NAME
    required_rse_attrs = ()
    supported_schemes = {"file"}  # noqa: RUF012 - Rucio's base class declares a plain set

    @classmethod
    def submission_builder_for_path(
        cls, transfer_path: list[DirectTransfer], logger: Any = logging.log
    ) -> tuple[list[DirectTransfer], TransferToolBuilder]:
        """Return the whole path: every hop is a copy on this machine."""
        return transfer_path, TransferToolBuilder(cls, external_host="localhost")

    def group_into_submit_jobs(self, transfer_paths: Iterable[list[DirectTransfer]]) -> list[dict[str, Any]]:
        """Return one job for all."""
        return [{"transfers": list(itertools.chain.from_iterable(transfer_paths)), "job_params": {}}]

    def submit(
        self, transfers: Iterable[DirectTransfer], job_params: dict[str, str], timeout: int | None = None
    ) -> str:
        """Copy now; the id under which the results can be asked for."""
        external_id = str(uuid.uuid4())
        faults = _faults()
        results = {transfer.rws.request_id: _attempt(transfer, external_id, faults) for transfer in transfers}
        _remember(external_id, results)
        return external_id

    def bulk_query(
        self, requests_by_eid: Mapping[str, Mapping[str, Any]], timeout: int | None = None
    ) -> dict[str, dict[str, TransferStatusReport]]:
        """Return the report of every request; one that is not on record failed, so that Rucio tries again."""
        answer: dict[str, dict[str, TransferStatusReport]] = {}
        for external_id, requests in requests_by_eid.items():
            known = _recall(external_id)
            answer[external_id] = {one: LocalCopyReport(one, external_id, known.get(one, LOST)) for one in requests}
        return answer

    def cancel(self, transfer_ids: Sequence[str], timeout: int | None = None) -> bool:
        """Nothing to stop: a transfer is over when it was submitted."""
        return True

    def update_priority(self, transfer_id: str, priority: int, timeout: int | None = None) -> bool:
        """Nothing waits, so nothing changes."""
        return True


def register() -> None:
    """Make the tool known to Rucio's conveyor."""
    transfer_core.TRANSFERTOOL_CLASSES_BY_NAME[NAME] = LocalCopyTool


def _attempt(transfer: DirectTransfer, external_id: str, faults: Sequence[str]) -> dict[str, Any]:
    started = time.time()
    try:
        _copy(transfer, external_id, faults)
        error = None
    except (OSError, TransferFailed) as failure:
        error = f"{type(failure).__name__}: {failure}"
    return {"error": error, "started": started, "ended": time.time()}


def _copy(transfer: DirectTransfer, external_id: str, faults: Sequence[str]) -> None:
    wanted = transfer.rws
    if any(fault in wanted.name for fault in faults):
        raise TransferFailed(f"{wanted.name} is to fail (file {_folder() / 'faults'})")
    source = _path(transfer.source_url(transfer.sources[0]))
    if not source.exists() and os.environ.get("SANDBOX_RUCIO_COPIES") == "simulated":
        return
    destination = _path(transfer.dest_url)
    destination.parent.mkdir(parents=True, exist_ok=True)
    partial = destination.with_name(f".{destination.name}.{external_id[:8]}")
    try:
        shutil.copyfile(source, partial)
        _compare(partial, wanted.byte_count, wanted.adler32)
        partial.replace(destination)
    finally:
        partial.unlink(missing_ok=True)


def _compare(path: Path, size: int | None, adler32: str | None) -> None:
    got = path.stat().st_size
    if size is not None and got != size:
        raise TransferFailed(f"{got} bytes were copied, the catalogue says {size}")
    checksum = adler32_of(path)
    if adler32 and checksum != adler32.lower().zfill(8):
        raise TransferFailed(f"adler32 of the copy is {checksum}, the catalogue says {adler32}")


def adler32_of(path: Path) -> str:
    """Checksum of a file as Rucio writes it: eight hexadecimal digits."""
    value = 1
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            value = zlib.adler32(block, value)
    return f"{value:08x}"


def _folder() -> Path:
    return Path(os.environ["SANDBOX_RUCIO_TRANSFERS"])


def _faults() -> list[str]:
    path = _folder() / "faults"
    return path.read_text(encoding="utf-8").split() if path.exists() else []


def _remember(external_id: str, results: Mapping[str, Mapping[str, Any]]) -> None:
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.json"):
        if path.stat().st_mtime < time.time() - KEPT_S:
            path.unlink(missing_ok=True)
    partial = folder / f"{external_id}.new"
    partial.write_text(json.dumps(results), encoding="utf-8")
    partial.replace(folder / f"{external_id}.json")


def _recall(external_id: str) -> dict[str, dict[str, Any]]:
    try:
        return json.loads((_folder() / f"{external_id}.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}


def _path(url: str) -> Path:
    return Path(unquote(urlparse(url).path))


def _utc(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).replace(tzinfo=None)
