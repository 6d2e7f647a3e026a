"""Which replication rules a partition's policy asks for. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from prodsys.model.names import Did

SECONDS_PER_DAY = 86_400


class ReplicationPolicy(Protocol):
    """What a policy says: ``PartitionSpec`` of the specs and ``PlannedRules`` of a plan do."""

    @property
    def rse_expression(self) -> str:
        """Rucio's expression for the storages."""

    @property
    def copies(self) -> int:
        """Copies of every file, each on another storage."""

    @property
    def lifetime_days(self) -> int | None:
        """None: kept."""

    @property
    def activity(self) -> str:
        """Rucio's name of the traffic."""


@dataclass(frozen=True)
class WantedRule:
    """One rule to make; lifetime in seconds, None for ever."""

    did: Did
    copies: int
    rse_expression: str
    lifetime_s: int | None
    activity: str


def plan_rules(policy: ReplicationPolicy, dids: Iterable[Did]) -> tuple[WantedRule, ...]:
    """One rule a dataset, in the order given, none twice."""
    lifetime_s = policy.lifetime_days * SECONDS_PER_DAY if policy.lifetime_days else None
    return tuple(
        WantedRule(did, policy.copies, policy.rse_expression, lifetime_s, policy.activity)
        for did in dict.fromkeys(dids)
    )
