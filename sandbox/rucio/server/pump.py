"""All daemons a rule needs, in one process: ``python -m sandbox.rucio.server.pump``.

Every daemon is Rucio's own and runs once, when a look at the tables says that it has work or when its time has come.
That moves a rule in about a second and costs nearly nothing while nothing moves. After each turn the pump touches the
file named by ``SANDBOX_RUCIO_HEARTBEAT``, which tells the stack that it is alive.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import rucio.daemons.common
from rucio.db.sqla import models
from rucio.db.sqla.constants import DatabaseOperationType, RuleState
from rucio.db.sqla.session import db_session
from sqlalchemy import Select, exists, select
from sqlalchemy.exc import SQLAlchemyError

from sandbox.rucio.server import local_copy
from sandbox.rucio.server.bootstrap import is_built

LOG = logging.getLogger("pump")
LOOK_S = 0.3
Work = Callable[[], object]


@dataclass
class Daemon:
    """One of Rucio's daemons: what it does once, how to see that it has work, and how often it runs anyway."""

    name: str
    once: Work
    has_work: str | None = None
    every_s: float | None = None
    due_at: float = field(default=0.0)

    def wants_to_run(self, waiting: dict[str, bool], now: float) -> bool:
        """Whether there is work for it, or its time has come."""
        if self.has_work is not None and waiting[self.has_work]:
            return True
        return self.every_s is not None and now >= self.due_at

    def run(self) -> None:
        """Run once; an error is logged and the next turn tries again."""
        try:
            self.once()
        except Exception:  # the border to Rucio: whatever a daemon throws must not stop the others
            LOG.exception("%s failed", self.name)
        if self.every_s is not None:
            self.due_at = time.monotonic() + self.every_s


def work_question() -> Select[tuple[bool, ...]]:
    """One statement that tells which kinds of work wait."""
    kinds = {
        "transfers": exists(select(models.Request.id)),
        "dids": exists(select(models.UpdatedDID.id)),
        "injection": exists(select(models.ReplicationRule.id).where(models.ReplicationRule.state == RuleState.INJECT)),
        "collections": exists(select(models.UpdatedCollectionReplica.id)),
        "accounts": exists(select(models.UpdatedAccountCounter.account)),
        "storage": exists(select(models.UpdatedRSECounter.rse_id)),
        "subscriptions": exists(select(models.Subscription.id)),
    }
    return select(*(kind.label(name) for name, kind in kinds.items()))


def look() -> dict[str, bool]:
    """Which kinds of work wait now."""
    with db_session(DatabaseOperationType.READ) as session:
        return dict(session.execute(work_question()).mappings().one())


def without_partition_wait() -> None:
    """Let daemons start at once: they wait for others to notice them, and here are no others."""
    original = rucio.daemons.common.db_workqueue

    def at_once(**options: object) -> object:
        return original(**{**options, "partition_wait_time": 0})

    rucio.daemons.common.db_workqueue = at_once


def make_daemons() -> Sequence[Daemon]:
    """Return the daemons in the order in which they hand work on; imported late, they bind `db_workqueue` at import."""
    from rucio.daemons.abacus.account import account_update
    from rucio.daemons.abacus.collection_replica import collection_replica_update
    from rucio.daemons.abacus.rse import rse_update
    from rucio.daemons.conveyor.finisher import finisher
    from rucio.daemons.conveyor.poller import poller
    from rucio.daemons.conveyor.submitter import submitter
    from rucio.daemons.judge.cleaner import rule_cleaner
    from rucio.daemons.judge.evaluator import re_evaluator
    from rucio.daemons.judge.injector import rule_injector
    from rucio.daemons.judge.repairer import rule_repairer
    from rucio.daemons.reaper.reaper import reaper
    from rucio.daemons.transmogrifier.transmogrifier import transmogrifier
    from rucio.daemons.undertaker.undertaker import undertaker

    tool = [local_copy.NAME]

    def submit() -> None:
        submitter(once=True, bulk=1000, group_bulk=200, transfertools=tool, filter_transfertool=None)

    def reap() -> None:
        reaper(rses=[], include_rses=None, exclude_rses=None, once=True, chunk_size=1000, scheme="file")

    return (
        Daemon("transmogrifier", lambda: transmogrifier(once=True, bulk=100), "subscriptions"),
        Daemon("judge-injector", lambda: rule_injector(once=True), "injection"),
        Daemon("judge-evaluator", lambda: re_evaluator(once=True, did_limit=1000), "dids"),
        Daemon("conveyor-submitter", submit, "transfers"),
        Daemon("conveyor-poller", lambda: poller(once=True, older_than=0, db_bulk=2000), "transfers"),
        Daemon("conveyor-finisher", lambda: finisher(once=True, db_bulk=2000, bulk=500), "transfers"),
        Daemon("abacus-collection-replica", lambda: collection_replica_update(once=True), "collections"),
        Daemon("abacus-account", lambda: account_update(once=True), "accounts"),
        Daemon("abacus-rse", lambda: rse_update(once=True), "storage"),
        Daemon("judge-cleaner", lambda: rule_cleaner(once=True), every_s=5),
        Daemon("undertaker", lambda: undertaker(once=True, chunk_size=100), every_s=15),
        Daemon("judge-repairer", lambda: rule_repairer(once=True), every_s=20),
        Daemon("reaper", reap, every_s=15),
    )


def turn(daemons: Sequence[Daemon]) -> None:
    """Look once and run who wants to; a database that is away is waited for."""
    try:
        waiting = look()
    except (SQLAlchemyError, rucio.common.exception.DatabaseException) as error:
        LOG.warning("the catalogue does not answer: %s", str(error).splitlines()[0])
        return
    for daemon in daemons:
        if daemon.wants_to_run(waiting, time.monotonic()):
            daemon.run()


def wait_for_catalogue(stop: threading.Event) -> None:
    """Return when the server has built the schema, or when told to stop."""
    while not stop.is_set():
        try:
            if is_built():
                return
        except SQLAlchemyError as error:
            LOG.info("waiting for the catalogue: %s", str(error).splitlines()[0])
        stop.wait(0.5)


def main() -> None:
    """Turn until told to stop."""
    sys.argv[:] = ["pump"]  # some daemons name themselves after it
    logging.basicConfig(level="WARNING", format="%(asctime)s %(name)s %(levelname)s %(message)s", stream=sys.stdout)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    without_partition_wait()
    local_copy.register()
    wait_for_catalogue(stop)
    daemons = make_daemons()
    heartbeat = Path(os.environ["SANDBOX_RUCIO_HEARTBEAT"])
    while not stop.is_set():
        turn(daemons)
        heartbeat.touch()
        stop.wait(LOOK_S)


if __name__ == "__main__":
    main()
