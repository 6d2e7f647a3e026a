"""Queries over findings, and over where comparisons go on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from prodsys.ledger.tables import FindingRow, LookRow

CHANGING = ("request_id", "severity", "what", "cause", "advice")  # told anew each time
Key = tuple[str, str, str]  # look, subject, fact


def record_findings(session: Session, found: Mapping[Key, Mapping[str, str]]) -> dict[Key, FindingRow]:
    """The rows of what was seen now: those that stand already are seen once more, the others are new."""
    if not found:
        return {}
    rows = [{"look": look, "subject": subject, "fact": fact, **seen} for (look, subject, fact), seen in found.items()]
    wanted = insert(FindingRow).values(rows)
    changed = {name: wanted.excluded[name] for name in CHANGING} | {"last_seen": func.now()}
    kept = wanted.on_conflict_do_update(
        index_elements=["look", "subject", "fact"], index_where=text("closed_at is null"), set_=changed
    )
    refreshed = {"populate_existing": True}
    stored = session.scalars(kept.returning(FindingRow), execution_options=refreshed)
    return {(row.look, row.subject, row.fact): row for row in stored}


def close_other_facts(session: Session, seen: Collection[Key]) -> None:
    """Close what was seen before about the same subjects and is not so any more."""
    about = {(look, subject) for look, subject, _ in seen}
    standing = select(FindingRow).where(FindingRow.closed_at.is_(None))
    standing = standing.where(FindingRow.look.in_({look for look, _ in about}))
    standing = standing.where(FindingRow.subject.in_({subject for _, subject in about}))
    for row in session.scalars(standing) if about else ():
        if (row.look, row.subject) in about and (row.look, row.subject, row.fact) not in seen:
            row.closed_at = datetime.now(UTC)


def close_subjects(session: Session, looks: Collection[str], subjects: Collection[str]) -> None:
    """Close what these comparisons found about these subjects: they agree now."""
    if looks and subjects:
        gone = (FindingRow.look.in_(looks), FindingRow.subject.in_(subjects), FindingRow.closed_at.is_(None))
        session.execute(update(FindingRow).where(*gone).values(closed_at=func.now()))


def close_others(session: Session, looks: Collection[str], kept: Select[Any]) -> None:
    """Close what these comparisons found about subjects that are not among these (any more)."""
    gone = (FindingRow.look.in_(looks), FindingRow.subject != "", FindingRow.subject.not_in(kept))
    session.execute(update(FindingRow).where(*gone, FindingRow.closed_at.is_(None)).values(closed_at=func.now()))


def close_unseen(session: Session, looks: Collection[str], seen: Collection[int]) -> None:
    """Close what these comparisons, which looked at everything, did not see any more."""
    gone = (FindingRow.look.in_(looks), FindingRow.finding_id.not_in(seen), FindingRow.closed_at.is_(None))
    if looks:
        session.execute(update(FindingRow).where(*gone).values(closed_at=func.now()))


def decide_finding(session: Session, row: FindingRow, who: str, reason: str) -> None:
    """Write down who decided a finding, and why."""
    row.decided_by, row.decided_at, row.reason = who, datetime.now(UTC), reason
    session.flush()


def list_findings(session: Session, request_id: str | None = None) -> list[FindingRow]:
    """Findings that wait for a person, the oldest first."""
    wanted = select(FindingRow).where(FindingRow.closed_at.is_(None), FindingRow.decided_at.is_(None))
    if request_id is not None:
        wanted = wanted.where(FindingRow.request_id == request_id)
    return list(session.scalars(wanted.order_by(FindingRow.finding_id)))


def decided_facts(session: Session, look: str, subjects: Collection[str]) -> dict[str, list[str]]:
    """Subject -> facts about it that a person has decided, whether they are still seen or not."""
    wanted = select(FindingRow.subject, FindingRow.fact)
    wanted = wanted.where(FindingRow.look == look, FindingRow.subject.in_(subjects), FindingRow.decided_at.is_not(None))
    found: dict[str, list[str]] = {}
    for subject, fact in session.execute(wanted) if subjects else ():
        found.setdefault(subject, []).append(fact)
    return found


def get_look(session: Session, name: str) -> LookRow:
    """Where a comparison goes on; from the beginning when it was never made."""
    return session.get(LookRow, name) or LookRow(name=name, position="", seen_until=None)


def set_look(session: Session, name: str, position: str = "", seen_until: datetime | None = None) -> None:
    """Note where a comparison goes on."""
    values = {"name": name, "position": position, "seen_until": seen_until}
    changed = {"position": position, "seen_until": seen_until}
    session.execute(insert(LookRow).values(values).on_conflict_do_update(index_elements=["name"], set_=changed))
