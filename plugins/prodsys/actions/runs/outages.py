"""A run that waits for a service: said with the request while it lasts, so that people see why nothing moves."""

from __future__ import annotations

from sqlalchemy.orm import Session

from prodsys.actions.core.context import Context
from prodsys.actions.runs.run_ownership import active_run, joined
from prodsys.ledger.journal import write_audit
from prodsys.ledger.requests import get_request
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import RequestRow, RunRow
from prodsys.model.statuses import DRIVEN, RequestState

MOVING = DRIVEN - {RequestState.PAUSED}


def note_outage(ctx: Context, request_id: str, run: tuple[str, str], words: str, *, first: bool) -> None:
    """Put the words with the request that this run drives; the first time they stand in the audit log, too."""
    with transaction(ctx.sessions) as session:
        row, driver = _driven(session, request_id, run)
        if row is None or driver is None:
            return
        row.reason = joined(driver.note, words)
        if first:
            write_audit(session, ctx.who, "wait", request_id, dag_run_id=run[1], reason=words)


def note_return(ctx: Context, request_id: str, run: tuple[str, str], words: str) -> None:
    """Take the words back: what remains is what failed in the run before."""
    with transaction(ctx.sessions) as session:
        row, driver = _driven(session, request_id, run)
        if row is None or driver is None:
            return
        row.reason = driver.note
        write_audit(session, ctx.who, "go on", request_id, dag_run_id=run[1], reason=words)


def _driven(session: Session, request_id: str, run: tuple[str, str]) -> tuple[RequestRow | None, RunRow | None]:
    """The request, locked, and its run, when this run drives it; a paused one rests for another reason."""
    row = get_request(session, request_id, lock=True)
    driver = active_run(session, request_id)
    ours = driver is not None and (driver.dag_id, driver.dag_run_id) == run
    return (row, driver) if ours and RequestState(row.state) in MOVING else (None, None)
