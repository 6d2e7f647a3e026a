"""Dry runs: an action is done as it stands, in one transaction that is rolled back, and touches nothing outside.

What it would have told PanDA, Rucio or Airflow is written down instead. What an action reads there it really reads, so
a rehearsal refuses what the act itself would refuse.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.orm import Session, sessionmaker

from prodsys.actions.context import Clients, Context
from prodsys.ledger.session import translated

READS = (
    "get_",
    "find_",
    "list_",
    "is_alive",
    "dag_ready",
    "import_errors",
    "event_log",
    "ensure_role",
    "dataset_info",
    "rule_state",
    "metadata",
    "replicas",
    "pfns",
)
"""How calls begin that change nothing outside."""
LOCK_WAIT_S = 5  # for somebody who changes what is rehearsed
SILENCE_S = 30  # while PanDA or Rucio is asked; others wait no longer than this for the rows a rehearsal has locked


@dataclass
class Rehearsal:
    """Hands for a dry run, and what they would have done."""

    ctx: Context
    effects: list[str] = field(default_factory=list)


class _Spectator:
    """A client whose calls that change something are written down instead of made."""

    def __init__(self, name: str, client: Any, effects: list[str]) -> None:
        self._name, self._client, self._effects = name, client, effects

    def __getattr__(self, call: str) -> Any:
        found = getattr(self._client, call)
        if not callable(found) or call.startswith(READS):
            return found
        return lambda *given, **named: self._note(call, given, named)

    def _note(self, call: str, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        shown = [str(one) for one in given] + [f"{name}={value}" for name, value in named.items()]
        self._effects.append(f"{self._name} {call.replace('_', ' ')} {' '.join(shown)}".rstrip())


@contextmanager
def rehearse(ctx: Context) -> Iterator[Rehearsal]:
    """Yield hands whose changes of the ledger are seen by themselves alone and undone at the end."""
    effects: list[str] = []
    engine = ctx.sessions.kw["bind"]
    with translated(), engine.connect() as connection, connection.begin() as outer:
        _bound(connection)
        sessions = sessionmaker(
            connection, class_=Session, expire_on_commit=False, join_transaction_mode="create_savepoint"
        )
        yield Rehearsal(replace(ctx, sessions=sessions, clients=_spectators(ctx, effects), rehearsing=True), effects)
        outer.rollback()


def _bound(connection: Connection) -> None:
    """Let the database end a rehearsal that waits too long for others, or keeps them waiting."""
    for name, seconds in (("lock_timeout", LOCK_WAIT_S), ("idle_in_transaction_session_timeout", SILENCE_S)):
        connection.execute(text("select set_config(:name, :value, true)"), {"name": name, "value": f"{seconds}s"})


def _spectators(ctx: Context, effects: list[str]) -> Clients:
    def watched(name: str) -> Any:
        return lambda: _Spectator(name, getattr(ctx, name), effects)

    return Clients(panda=watched("panda"), rucio=watched("rucio"), airflow=watched("airflow"))
