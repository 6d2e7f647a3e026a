"""Ids of requests: which are free, and which a recurring template keeps for requests that it will make."""

from __future__ import annotations

from sqlalchemy import BigInteger, cast, func, select, text
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.orm import Session

from prodsys.ledger.tables import RecurringRow, RequestRow
from prodsys.model.names import RequestId


def lock_ids(session: Session, prefix: str) -> None:
    """Let one transaction at a time give out ids of a prefix (a courtesy; the primary key is the proof)."""
    session.execute(text("select pg_advisory_xact_lock(hashtextextended(:key, 2))"), {"key": prefix})


def next_free_id(session: Session, prefix: str, year: int) -> str:
    """The lowest id above all that people were given for this prefix and year, outside of all templates.

    Gaps are not filled: names of PanDA and Rucio are for ever, and the gap may be a request that was never recorded.
    """
    number = func.substring(RequestRow.request_id, r"-(\d+)$")
    wanted = select(func.max(cast(number, BigInteger)))
    of_people = RequestRow.template.is_(None), RequestRow.request_id.like(f"{prefix}{year:04d}-%")
    top = session.scalar(wanted.where(*of_people))
    return str(RequestId(prefix, year, _outside_templates(session, prefix, int(top or 0) + 1)))


def _outside_templates(session: Session, prefix: str, number: int) -> int:
    kept = session.scalars(select(RecurringRow.numbers).where(RecurringRow.id_prefix == prefix))
    for numbers in sorted(kept, key=lambda one: one.lower or 0):
        if (numbers.lower or 0) <= number < (numbers.upper or 0):
            number = numbers.upper or 0
    return number


def template_keeping(session: Session, request_id: str) -> RecurringRow | None:
    """The template whose range holds the number of this id, whatever its year; None when the id is anybody's."""
    asked = RequestId.parse(request_id)
    holds_it = RecurringRow.numbers.contains(Range(asked.number, asked.number + 1))
    return session.scalars(select(RecurringRow).where(RecurringRow.id_prefix == asked.prefix, holds_it)).first()
