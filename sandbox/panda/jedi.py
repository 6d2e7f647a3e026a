"""JEDI in small: ``python -m sandbox.panda.jedi`` does all the work in the background.

Three threads: the cycles of JEDI itself (may be paused), the worker nodes, the adder. All state is in the tables; a
second process waits until the first one is gone.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from sandbox.panda.adder import Adder
from sandbox.panda.catalogue import Catalogue, OwnTables
from sandbox.panda.execute import execute_commands
from sandbox.panda.feed import feed_defined, revive_pending
from sandbox.panda.finish import finish_tasks
from sandbox.panda.generate import activate_jobs, generate_jobs
from sandbox.panda.registrar import refine_registered, register_submissions
from sandbox.panda.rhythms import Rhythms, read_rhythms
from sandbox.panda.run_jobs import Runner
from sandbox.panda.scenario import ScenarioFile, ScenarioInvalid
from sandbox.panda.settings import Settings, SettingsInvalid, load_sites, read_settings
from sandbox.panda.store import read_switch
from sandbox.panda.tables import connect, create_schema

log = logging.getLogger("sandbox.panda.jedi")

_ONE_JEDI_LOCK = 7_263_002
_LEAST_PERIOD_S = 0.2
_TURN_CHECK_S = 5.0


@dataclass
class Cycle:
    """Something to be done again and again."""

    name: str
    period_s: float
    act: Callable[[], object]
    next_at: float = field(default=0.0)

    @property
    def is_due(self) -> bool:
        """Whether its time has come."""
        return time.monotonic() >= self.next_at

    def run(self) -> None:
        """Do it; trouble is logged and tried again next time."""
        self.next_at = time.monotonic() + self.period_s
        try:
            self.act()
        except (DBAPIError, ScenarioInvalid, OSError) as error:
            log.error("%s: %s", self.name, " ".join(str(error).split())[:500])
        except Exception:  # a fault in one cycle must not stop the others; it is logged with its trace
            log.exception("%s failed", self.name)


class Jedi:
    """All cycles over one database."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        rhythms = read_rhythms(settings.speed, settings.rhythms)
        sites = load_sites(settings)
        scenario = ScenarioFile(settings.scenario)
        catalogue = make_catalogue(settings)
        self._engine = engine
        self._stopped = threading.Event()
        self._runner = Runner(engine, rhythms, sites, settings.work, scenario)
        adder = Adder(engine, sites, catalogue, scenario)
        quick = max(rhythms.activate_s / 2, _LEAST_PERIOD_S)
        self._own = _jedi_cycles(settings, engine, rhythms, catalogue)
        self._nodes = [Cycle("jobs", quick, self._runner.cycle), Cycle("activate", quick, self._activate(rhythms))]
        self._adder = [Cycle("adder", rhythms.add_s, adder.cycle)]
        self._own.append(
            Cycle("generate", rhythms.generate_s, lambda: generate_jobs(engine, rhythms, sites, settings.url))
        )

    def _activate(self, rhythms: Rhythms) -> Callable[[], None]:
        return lambda: activate_jobs(self._engine, rhythms)

    def run(self, turn: Connection) -> bool:
        """Work until `stop`, or until the connection that holds the right to work breaks; whether it was the first."""
        threads = [
            threading.Thread(target=self._loop, args=(cycles, pausable), name=name)
            for name, cycles, pausable in (
                ("jedi", self._own, True),
                ("nodes", self._nodes, False),
                ("adder", self._adder, False),
            )
        ]
        for thread in threads:
            thread.start()
        kept = True
        while kept and not self._stopped.wait(_TURN_CHECK_S):
            kept = _still_ours(turn)
        self.stop()
        for thread in threads:
            thread.join()
        self._runner.stop()
        return kept

    def stop(self) -> None:
        """Let the loops end."""
        self._stopped.set()

    def _loop(self, cycles: list[Cycle], pausable: bool) -> None:
        for cycle in cycles:
            cycle.period_s = max(cycle.period_s, _LEAST_PERIOD_S)
        pause = _LEAST_PERIOD_S / 4
        while not self._stopped.wait(pause):
            due = [cycle for cycle in cycles if cycle.is_due]
            pause = max(min(cycle.next_at for cycle in cycles) - time.monotonic(), _LEAST_PERIOD_S / 4)
            if due and pausable and self._paused():
                pause = _LEAST_PERIOD_S
                continue
            for cycle in due:
                cycle.run()

    def _paused(self) -> bool:
        try:
            with self._engine.connect() as connection:
                return bool(read_switch(connection, "jedi_paused", False))
        except DBAPIError as error:
            log.error("the database does not answer: %s", " ".join(str(error).split())[:300])
            return True


def _jedi_cycles(settings: Settings, engine: Engine, rhythms: Rhythms, catalogue: Catalogue) -> list[Cycle]:
    def refine() -> None:
        register_submissions(engine, rhythms)
        refine_registered(engine, rhythms, settings.vo, catalogue)

    return [
        Cycle("commands", rhythms.command_s, lambda: execute_commands(engine, rhythms)),
        Cycle("refine", rhythms.refine_s, refine),
        Cycle("pending", rhythms.feed_s, lambda: revive_pending(engine, rhythms)),
        Cycle("feed", rhythms.feed_s, lambda: feed_defined(engine, rhythms, catalogue)),
        Cycle("finish", rhythms.finish_s, lambda: finish_tasks(engine, catalogue)),
    ]


def make_catalogue(settings: Settings) -> Catalogue:
    """Return the catalogue the settings name; Rucio's client is loaded only when it is wanted."""
    if settings.adder == "none":
        return OwnTables()
    from sandbox.panda.rucio_catalogue import RucioCatalogue

    return RucioCatalogue(settings)


def _still_ours(turn: Connection) -> bool:
    try:
        turn.execute(text("select 1"))
    except DBAPIError as error:
        log.error("the database was gone, another JEDI may work now: %s", " ".join(str(error).split())[:200])
        return False
    return True


def wait_for_turn(engine: Engine, stopped: threading.Event) -> Connection | None:
    """Connection that holds the right to be the one JEDI of this database; None when stopped first."""
    connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    while not stopped.is_set():
        if connection.execute(text("select pg_try_advisory_lock(:key)"), {"key": _ONE_JEDI_LOCK}).scalar_one():
            return connection
        log.info("another JEDI works on this database, waiting")
        stopped.wait(1.0)
    return None


def main() -> int:
    """Run until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        settings = read_settings()
        engine = connect(settings.database_url)
        create_schema(engine)
        jedi = Jedi(settings, engine)
    except (SettingsInvalid, DBAPIError) as error:
        log.error("%s", error)
        return 1
    stopped = threading.Event()

    def stop(*_: object) -> None:
        stopped.set()
        jedi.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    turn = wait_for_turn(engine, stopped)
    if turn is None:
        return 0
    log.info("JEDI works, speed %s, adder %s", settings.speed, settings.adder)
    return 0 if jedi.run(turn) else 1


if __name__ == "__main__":
    sys.exit(main())
