"""JEDI in small: ``python -m sandbox.panda.jedi`` does all the work in the background.

Its threads: the cycles of JEDI itself (may be paused), the worker nodes, the adder, what a scenario does, messages. All
state is in the tables; a second process waits until the first one is gone.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from sandbox.panda.jobs.adder import Adder
from sandbox.panda.jobs.catalogue import Catalogue, OwnTables
from sandbox.panda.jobs.run_jobs import Runner
from sandbox.panda.jobs.simulate import SimulatedNodes
from sandbox.panda.jobs.stock_ddm import CatalogueOfStorages, StockDdm
from sandbox.panda.messages.messenger import Messenger
from sandbox.panda.rhythms import Rhythms, read_rhythms
from sandbox.panda.settings import Settings, SettingsInvalid, Site, load_sites, read_settings
from sandbox.panda.store import read_switch
from sandbox.panda.tables import open_database
from sandbox.panda.tasks.cycles import Cycle, write_report
from sandbox.panda.tasks.execute import complete_commands, execute_commands
from sandbox.panda.tasks.feed import feed_defined, revive_pending
from sandbox.panda.tasks.finish import finish_tasks
from sandbox.panda.tasks.generate import activate_jobs, generate_jobs
from sandbox.panda.tasks.registrar import RefineRules, refine_registered, register_submissions
from sandbox.panda.tasks.throttle import throttle_tasks
from sandbox.panda.trouble.hands import SiteBlocks, act_for_others, break_maps, hold_back, note_windows
from sandbox.panda.trouble.in_force import ScenarioInForce
from sandbox.panda.trouble.scenario import ScenarioFile
from sandbox.panda.trouble.strikes import resting

log = logging.getLogger("sandbox.panda.jedi")

_ONE_JEDI_LOCK = 7_263_002
_LEAST_PERIOD_S = 0.2
_TURN_CHECK_S = 5.0
_TURN_RETRY_S = 0.3
_HANDS_S = 0.5


class Jedi:
    """All cycles over one database."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        rhythms = read_rhythms(settings.speed, settings.rhythms)
        sites = load_sites(settings)
        scenario = ScenarioInForce(engine, ScenarioFile(settings.scenario))
        catalogue = make_catalogue(settings, sites)
        self._engine = engine
        self._stopped = threading.Event()
        real = {name: site for name, site in sites.items() if site.jobs == "process"}
        self._runner = Runner(engine, rhythms, real, settings.work, scenario)
        simulated = SimulatedNodes(engine, rhythms, sites, scenario, settings.speed)
        adder = Adder(engine, sites, catalogue, scenario)
        quick = max(rhythms.activate_s / 2, _LEAST_PERIOD_S)
        self._own = _jedi_cycles(settings, engine, rhythms, catalogue, scenario)
        self._nodes = [Cycle("jobs", quick, self._runner.cycle), Cycle("activate", quick, self._activate(rhythms))]
        self._simulated = [Cycle("simulated jobs", quick, simulated.cycle)]
        self._adder = [Cycle("adder", rhythms.add_s, adder.cycle)]
        limit = settings.max_queued_jobs
        blocked = SiteBlocks(engine, scenario, sites)
        self._scenario = scenario
        self._hands = [
            Cycle("hands", _HANDS_S, lambda: act_for_others(engine, scenario)),
            Cycle("windows", _HANDS_S, lambda: note_windows(engine, scenario)),
        ]
        self._messenger = Messenger(settings, engine)
        self._messages = [Cycle("messages", _LEAST_PERIOD_S, self._messenger.cycle)]

        def generate() -> None:
            throttle_tasks(engine, rhythms, sites, limit)  # at once before, so that a full queue gets no more
            generate_jobs(engine, rhythms, sites, settings.url, blocked)

        self._own += [
            Cycle("generate", rhythms.generate_s, generate),
            Cycle("hold back", rhythms.generate_s, lambda: hold_back(engine, scenario)),
        ]

    def _activate(self, rhythms: Rhythms) -> Callable[[], None]:
        return lambda: activate_jobs(self._engine, rhythms)

    def run(self, turn: Connection) -> bool:
        """Work until `stop`, or until the connection that holds the right to work breaks; whether it was the first."""
        threads = [
            threading.Thread(target=self._loop, args=(cycles, pausable), name=name)
            for name, cycles, pausable in (
                ("jedi", self._own, True),
                ("nodes", self._nodes, False),
                ("simulated", self._simulated, False),
                ("adder", self._adder, False),
                ("hands", self._hands, False),
                ("messages", self._messages, False),
            )
        ]
        self._messenger.start()
        for thread in threads:
            thread.start()
        kept = True
        cycles = [*self._own, *self._nodes, *self._simulated, *self._adder, *self._hands, *self._messages]
        while kept and not self._stopped.wait(_TURN_CHECK_S):
            kept = _still_ours(turn)
            write_report(self._engine, cycles)
        self.stop()
        for thread in threads:
            thread.join()
        self._runner.stop()
        self._messenger.stop()
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
            if resting(self._scenario.current, self._scenario.moment()):
                return True
            with self._engine.connect() as connection:
                return bool(read_switch(connection, "jedi_paused", False))
        except DBAPIError as error:
            log.error("the database does not answer: %s", " ".join(str(error).split())[:300])
            return True


def _jedi_cycles(
    settings: Settings, engine: Engine, rhythms: Rhythms, catalogue: Catalogue, scenario: ScenarioInForce
) -> list[Cycle]:
    rules = RefineRules(settings.vo, settings.refiners, settings.attempt_suffix, settings.refiner == "stock")

    def refine() -> None:
        register_submissions(engine, rhythms)
        refine_registered(engine, rhythms, rules, catalogue)
        break_maps(engine, scenario)

    return [
        Cycle("commands", rhythms.command_s, lambda: execute_commands(engine, rhythms)),
        Cycle("second steps", rhythms.step_s, lambda: complete_commands(engine, rhythms)),
        Cycle("refine", rhythms.refine_s, refine),
        Cycle("pending", rhythms.feed_s, lambda: revive_pending(engine, rhythms)),
        Cycle("feed", rhythms.feed_s, lambda: feed_defined(engine, rhythms, catalogue)),
        Cycle("finish", rhythms.finish_s, lambda: finish_tasks(engine, catalogue)),
    ]


def make_catalogue(settings: Settings, sites: Mapping[str, Site]) -> Catalogue:
    """Return the catalogue the settings name, behind the DDM plug-in they name."""
    catalogue = _make_catalogue(settings, sites)
    return StockDdm(catalogue, settings.vo) if settings.ddm == "stock" else catalogue


def _make_catalogue(settings: Settings, sites: Mapping[str, Site]) -> CatalogueOfStorages:
    """Rucio's client is loaded only when it is wanted."""
    if settings.adder == "none" and not (settings.ddm == "stock" and settings.rucio_url):
        return OwnTables({site.rse for site in sites.values()})
    from sandbox.panda.jobs.rucio_catalogue import RucioCatalogue

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
        stopped.wait(_TURN_RETRY_S)
    connection.close()
    return None


class Work:
    """This process as JEDI: takes its turn, works, and begins anew when the database was away."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._settings, self._engine = settings, engine
        self._stopped = threading.Event()
        self._jedi = Jedi(settings, engine)

    def stop(self, *_: object) -> None:
        """End soon; a signal handler too."""
        self._stopped.set()
        self._jedi.stop()

    def run(self) -> None:
        """Work until `stop`."""
        while not self._stopped.is_set():
            try:
                self._work_once()
            except DBAPIError as error:
                log.error("the database does not answer: %s", " ".join(str(error).split())[:300])
                self._stopped.wait(_TURN_RETRY_S)

    def _work_once(self) -> None:
        turn = wait_for_turn(self._engine, self._stopped)
        if turn is None:
            return
        log.info("JEDI works, speed %s, adder %s", self._settings.speed, self._settings.adder)
        try:
            if not self._jedi.run(turn):
                turn.invalidate()
                self._jedi = Jedi(self._settings, self._engine)
        finally:
            turn.close()


def main() -> int:
    """Run until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        settings = read_settings()
        work = Work(settings, open_database(settings.database_url))
    except (SettingsInvalid, DBAPIError) as error:
        log.error("%s", error)
        return 1
    signal.signal(signal.SIGTERM, work.stop)
    signal.signal(signal.SIGINT, work.stop)
    work.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
