"""What comparisons leave behind: findings until somebody has decided, and where each comparison goes on."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Identity, Index
from sqlalchemy.orm import Mapped, mapped_column

from prodsys.ledger.rows.base import Base, now


class FindingRow(Base):
    """A disagreement between the ledger and another service; open until a person decides or its cause goes away."""

    __tablename__ = "finding"

    finding_id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    look: Mapped[str]  # comparison that found it
    subject: Mapped[str]  # what it is about: a rule, a dataset, a plan, a task; "" for the comparison itself
    fact: Mapped[str]  # what was seen; another fact about the same subject is another finding
    request_id: Mapped[str] = mapped_column(index=True)  # "" when it is about none
    severity: Mapped[str]
    what: Mapped[str]
    cause: Mapped[str]
    advice: Mapped[str]
    first_seen: Mapped[datetime] = now()
    last_seen: Mapped[datetime] = now()
    decided_by: Mapped[str | None]
    decided_at: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(default="", server_default="")
    closed_at: Mapped[datetime | None]  # it was not seen any more

    __table_args__ = (
        Index("uq_finding_standing", "look", "subject", "fact", unique=True, postgresql_where="closed_at is null"),
    )


class LookRow(Base):
    """Where a comparison goes on next time."""

    __tablename__ = "look"

    name: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[str] = mapped_column(default="", server_default="")  # last thing that was compared
    seen_until: Mapped[datetime | None]  # what changed up to then has been seen
