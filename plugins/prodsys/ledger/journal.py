"""Journal of calls to other services and audit lines of people's actions."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from prodsys.errors import LedgerUnavailable
from prodsys.ledger.session import ACCOUNT, SessionFactory, transaction
from prodsys.ledger.tables import AuditRow, CallRow

log = logging.getLogger(__name__)
DETAIL_LENGTH = 2000


@dataclass(frozen=True)
class LedgerJournal:
    """Writes one line a call, in a transaction of its own; a journal that fails never fails the call."""

    sessions: SessionFactory
    who: str

    def record(self, *, service: str, call: str, target: str, duration_s: float, outcome: str, detail: str) -> None:
        """One call: what was asked of whom, how long it took [s], how it ended; the texts hold no secret."""
        row = CallRow(
            who=self.who,
            service=service,
            call=call,
            target=target[:DETAIL_LENGTH],
            duration_s=duration_s,
            outcome=outcome,
            detail=detail[:DETAIL_LENGTH].replace("\x00", ""),
        )
        try:
            with transaction(self.sessions) as session:
                session.add(row)
        except (SQLAlchemyError, LedgerUnavailable) as error:
            log.warning("the journal missed a call of %s to %s %s: %s", self.who, service, call, error)


def write_audit(session: Session, who: str, action: str, request_id: str | None, **detail: Any) -> None:
    """One audit line, in the caller's transaction: it is there exactly when the change is."""
    if account := session.info.get(ACCOUNT):
        detail[ACCOUNT] = account
    session.add(AuditRow(who=who, action=action, request_id=request_id, detail=detail))
