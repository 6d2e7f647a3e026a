"""One process that does what the DAG of a request does with a step: submit it, and wait for it."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeVar

from prodsys.actions.core.context import Clients, Context
from prodsys.actions.submission.submitting import ensure_submitted
from prodsys.actions.submission.waiting import record_status, task_to_wait_for
from prodsys.errors import ServiceUnavailable, SettingMissing, TaskUnknown
from prodsys.intake.catalogue import load_catalogue
from prodsys.ledger.journal import LedgerJournal
from prodsys.ledger.session import make_session_factory
from prodsys.model.specs import Catalogue
from prodsys.model.statuses import FINAL, TaskStatus
from prodsys.panda.client import PandaClient
from prodsys.settings import REPOSITORY

T = TypeVar("T")
ORIGIN = "spd.production"
LOOK_AGAIN_S = 0.15
PATIENCE_S = 200.0
AT_WORK = FINAL | {TaskStatus.RUNNING}  # it has got all its jobs
Say = Callable[..., None]


@dataclass(frozen=True)
class Place:
    """Where a process works: ledger, PanDA and the times of its profile [s]."""

    ledger_url: str
    panda_url: str
    token: str
    times: dict[str, float]
    who: str = "worker"

    def hands(self, *roles: str) -> Context:
        """Hands of a service, or of a person with these roles."""
        catalogue = specs()
        times = catalogue.profile.times.model_copy(update=self.times)
        profile = catalogue.profile.model_copy(update={"times": times})
        sessions = make_session_factory(self.ledger_url)

        def panda() -> PandaClient:
            journal = LedgerJournal(sessions, self.who)
            return PandaClient(self.panda_url, ORIGIN, lambda: self.token, times.call_timeout_s, journal)

        def nobody() -> NoReturn:
            raise SettingMissing("PRODSYS_RUCIO_URL", "there are PanDA and the ledger alone")

        return Context(
            who=self.who,
            roles=frozenset(roles or {"service"}),
            catalogue=catalogue.model_copy(update={"profile": profile}),
            sessions=sessions,
            clients=Clients(panda, nobody, nobody),
            home=Path("/nowhere"),
            monitor_url=self.panda_url,
        )


@functools.cache
def specs() -> Catalogue:
    """The specs of the repository, sandbox profile."""
    return load_catalogue(REPOSITORY / "include" / "specs", "sandbox")


def work(ctx: Context, request_id: str, kind: str, say: Say) -> None:
    """Submit until there is an id, wait until its task has jobs; what may be tried again is tried again."""
    ids = persist(lambda: ensure_submitted(ctx, request_id, kind))
    say("submitted", ids=ids)
    status = follow(ctx, request_id, kind)
    say("works", status=status)


def persist(act: Callable[[], T]) -> T:
    """What the act gives in the end; as Airflow's retries."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            return act()
        except ServiceUnavailable:
            if time.monotonic() > until:
                raise
            time.sleep(LOOK_AGAIN_S)


def follow(ctx: Context, request_id: str, kind: str, enough: frozenset[TaskStatus] = AT_WORK) -> TaskStatus:
    """Last status of the step's task, looked at until it is one of those that are enough."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        status = persist(lambda: look(ctx, request_id, kind))
        if status in enough:
            return status
        time.sleep(LOOK_AGAIN_S)
    raise TimeoutError(f"the task of {request_id} {kind} did not become {' or '.join(sorted(enough))}")


def look(ctx: Context, request_id: str, kind: str) -> TaskStatus:
    """What PanDA says of the step's task now, noted in the ledger; ``unseen`` when another task took its place."""
    target = task_to_wait_for(ctx, request_id, kind)
    try:
        status = ctx.panda.get_status(target.jedi_task_id)
    except TaskUnknown:
        return TaskStatus.UNSEEN
    still = record_status(ctx, target.jedi_task_id, status)
    return status if still is None or still.jedi_task_id == target.jedi_task_id else TaskStatus.UNSEEN
