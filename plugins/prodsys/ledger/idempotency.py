"""Idempotency keys: a call that comes a second time gets the answer of the first, for a day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from sqlalchemy import and_, delete, func, or_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from prodsys.errors import KeyBusy, KeyReused
from prodsys.ledger.session import SessionFactory, transaction
from prodsys.ledger.tables import IdempotencyRow

KEPT = timedelta(hours=24)
HELD = timedelta(minutes=15)  # longer than any action takes; a process that died lets go of its keys then


@dataclass(frozen=True)
class Call:
    """A call as its sender named it."""

    who: str
    key: str
    method: str
    path: str
    body_digest: str


@dataclass(frozen=True)
class StoredAnswer:
    """What was answered: status of HTTP, headers that matter, body."""

    status: int
    headers: dict[str, str]
    body: str


def claim_key(factory: SessionFactory, call: Call) -> str | StoredAnswer:
    """Make the key ours: what to keep its answer under; or the answer that was given before.

    Raises
    ------
    KeyReused
        The key belongs to another call.
    KeyBusy
        The same call is being worked on.
    """
    with transaction(factory) as session:
        session.execute(delete(IdempotencyRow).where(IdempotencyRow.claimed_at < func.now() - KEPT))
        holder = uuid4().hex
        if _take(session, call, holder):
            return holder
        row = session.get(IdempotencyRow, (call.who, call.key))
    if row is None:
        raise KeyBusy(call.key)  # it was let go a moment ago
    if (row.method, row.path, row.body_digest) != (call.method, call.path, call.body_digest):
        raise KeyReused(call.key)
    if row.status is None:
        raise KeyBusy(call.key)
    return StoredAnswer(row.status, row.headers, row.body)


def _take(session: Session, call: Call, holder: str) -> bool:
    """Whether the key was free, or its holder of the same call died before it answered."""
    row = IdempotencyRow
    values = {
        "method": call.method,
        "path": call.path,
        "body_digest": call.body_digest,
        "holder": holder,
        "held_until": func.now() + HELD,
        "claimed_at": func.now(),
        "status": None,
    }
    same = and_(row.method == call.method, row.path == call.path, row.body_digest == call.body_digest)
    died = and_(row.status.is_(None), row.held_until < func.now(), same)
    statement = (
        insert(row)
        .values(who=call.who, key=call.key, **values)
        .on_conflict_do_update(
            index_elements=[row.who, row.key], set_=values, where=or_(died, row.claimed_at < func.now() - KEPT)
        )
        .returning(row.holder)
    )
    return session.scalar(statement) == holder


def keep_answer(factory: SessionFactory, call: Call, holder: str, answer: StoredAnswer) -> None:
    """Keep the answer for the next call with this key."""
    with transaction(factory) as session:
        session.execute(
            update(IdempotencyRow)
            .where(*_held(call, holder))
            .values(status=answer.status, headers=answer.headers, body=answer.body)
        )


def let_go(factory: SessionFactory, call: Call, holder: str) -> None:
    """Forget a call that was refused or failed: it may be made again, mended, under the same key."""
    with transaction(factory) as session:
        session.execute(delete(IdempotencyRow).where(*_held(call, holder)))


def _held(call: Call, holder: str) -> tuple:
    return (
        IdempotencyRow.who == call.who,
        IdempotencyRow.key == call.key,
        IdempotencyRow.holder == holder,
        IdempotencyRow.status.is_(None),
    )
