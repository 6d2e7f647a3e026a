"""Files of earlier requests that a request reads."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Text, cast, delete, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from prodsys.ledger.tables import InputFileRow, RequestRow, RevisionRow
from prodsys.model.reading import InputFile


def replace_inputs(session: Session, request_id: str, files: Iterable[InputFile]) -> None:
    """Write what a request reads, in place of what was written before."""
    session.execute(delete(InputFileRow).where(InputFileRow.request_id == request_id))
    session.flush()
    session.add_all(InputFileRow(request_id=request_id, **vars(one)) for one in files)
    session.flush()


def list_inputs(session: Session, request_id: str) -> list[InputFile]:
    """Files that a request reads, in the order of seeds and types; none for a request that makes its events."""
    wanted = select(InputFileRow).where(InputFileRow.request_id == request_id)
    rows = session.scalars(wanted.order_by(InputFileRow.seed, InputFileRow.data_type))
    return [
        InputFile(row.lfn, row.did, row.data_type, row.seed, row.bytes, row.adler32, row.parent_tid) for row in rows
    ]


def readers_of_the_same(
    session: Session, request_id: str, configuration: str, lfns: Iterable[str]
) -> dict[str, set[int]]:
    """Other requests of this configuration that read some of these files -> seeds of those files; trials left out."""
    current = (RevisionRow.request_id == RequestRow.request_id) & (RevisionRow.revision == RequestRow.revision)
    wanted = (
        select(InputFileRow.request_id, InputFileRow.seed)
        .join(RequestRow, RequestRow.request_id == InputFileRow.request_id)
        .join(RevisionRow, current)
        .where(
            InputFileRow.lfn == func.any(cast(list(lfns), ARRAY(Text))),
            InputFileRow.request_id != request_id,
            RevisionRow.configuration == configuration,
            RequestRow.trial_of.is_(None),
        )
        .distinct()
    )
    found: dict[str, set[int]] = {}
    for other, seed in session.execute(wanted.order_by(InputFileRow.request_id, InputFileRow.seed)):
        found.setdefault(other, set()).add(seed)
    return found
