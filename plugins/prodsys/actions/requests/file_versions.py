"""Versions of files: what a file said when it was imported last, so that an old word never undoes a newer one.

A file that has not changed since changes nothing, whatever became of the request meanwhile. One that did change while
somebody else revised the request is a conflict: a person decides, by importing it by hand.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from prodsys.intake.result import Accepted, Fault, Note
from prodsys.ledger.requests import get_spec
from prodsys.ledger.tables import ImportReportRow, RequestFileRow, RequestRow, RevisionRow
from prodsys.model.difference import changes_between

BY_HAND = "written by hand"  # in place of a file: REST, the command line
SHOWN = 5  # differing fields that a message names


def remember_version(session: Session, who: str, row: RequestRow, item: Accepted) -> None:
    """The file says this, which is what the current revision of the request asks for; an old word is not kept."""
    if item.file == BY_HAND or not _is_current(session, row, item):
        return
    found = session.get(RequestFileRow, (row.request_id, _key(item.file)))
    if found is None:
        found = RequestFileRow(request_id=row.request_id, file=_key(item.file))
        session.add(found)
    elif (found.digest, found.revision) == (item.spec.digest(), row.revision):
        return
    found.digest, found.revision, found.imported_by = item.spec.digest(), row.revision, who
    found.imported_at = func.now()


def old_word(session: Session, row: RequestRow, item: Accepted) -> Note | None:
    """The difference between a file that has not changed since its import and the request; None when it is news.

    A file that was not imported before has not changed either, when an earlier revision of the request was the same: it
    is a copy of an old one.
    """
    if item.file == BY_HAND or _is_current(session, row, item):
        return None
    found, digest = session.get(RequestFileRow, (row.request_id, _key(item.file))), item.spec.digest()
    if found is not None and found.digest != digest:
        return None
    if found is None and digest not in _earlier_digests(session, row):
        return None
    message = (
        f"asks for what it asked for before, {row.request_id} was revised since: {_differences(session, row, item)}; "
        f"nothing is changed (to take what the file says: prodsys request import --overwrite {item.file})"
    )
    return Note(item.file, item.row, "", item.spec.request_id, message)


def conflict(session: Session, row: RequestRow, item: Accepted) -> Fault | None:
    """Why a file that has changed must not revise a request by itself: somebody else revised it since; None else."""
    found = session.get(RequestFileRow, (row.request_id, _key(item.file)))
    if found is None or found.revision == row.revision:
        return None
    message = (
        f"has changed in the file, and was revised since the file was imported: {_differences(session, row, item)}; "
        "the revision of the ledger stays"
    )
    remedy = f"decide: prodsys request import {item.file} takes the file; or write into it what the ledger says"
    return Fault(item.file, item.row, "", item.spec.request_id, message, remedy)


def take_new_faults(session: Session, folder: Path, faults: list[Fault]) -> list[Fault]:
    """Those of the faults that the last look at this folder had not found; from now on they are known."""
    place = _key(str(folder))
    row = session.get(ImportReportRow, place, with_for_update=True)
    if row is None:
        row = ImportReportRow(folder=place, faults=[])
        session.add(row)
    known, found = set(row.faults), sorted({str(fault) for fault in faults})
    if found != row.faults:
        row.faults, row.changed_at = found, func.now()
    return [fault for fault in faults if str(fault) not in known]


def _key(file: str) -> str:
    """One name for a file, however it was called."""
    return str(Path(file).resolve())


def _is_current(session: Session, row: RequestRow, item: Accepted) -> bool:
    return session.get_one(RevisionRow, (row.request_id, row.revision)).digest == item.spec.digest()


def _earlier_digests(session: Session, row: RequestRow) -> set[str]:
    wanted = select(RevisionRow.digest).where(
        RevisionRow.request_id == row.request_id, RevisionRow.revision < row.revision
    )
    return set(session.scalars(wanted))


def _differences(session: Session, row: RequestRow, item: Accepted) -> str:
    """What the file says and what revision of the ledger says, field by field."""
    revision = session.get_one(RevisionRow, (row.request_id, row.revision))
    changes = [str(change) for change in changes_between(item.spec, get_spec(session, row.request_id))]
    more = [f"and {len(changes) - SHOWN} more"] if len(changes) > SHOWN else []
    words = "; ".join([*changes[:SHOWN], *more])
    return f"{words} (file -> revision {row.revision} by {revision.created_by})"
