"""Where it happens: a ledger and a PanDA with a PostgreSQL server each, JEDI, and requests ready to be sent."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import psycopg

from prodsys.actions.core.context import Context
from prodsys.actions.planning.planning import approve, plan
from prodsys.actions.requests.cloning import CloneOrder, clone
from prodsys.actions.requests.importing import import_intake
from prodsys.actions.runs.run_ownership import enter
from prodsys.intake.files import read_files
from prodsys.ledger.migrate import migrate
from prodsys.ledger.session import make_engine
from prodsys.model.names import dag_id_of
from prodsys.settings import REPOSITORY
from sandbox.stack.postgres import PostgresHandle, start_cluster, start_postgres
from tests.chaos.worker import Place
from tests.contract.panda.sandbox_target import Sandbox
from tests.publishing import take_place

SPEED = 300  # times as fast as the recorded PanDA
TIMES = {"call_timeout_s": 2.0, "answer_max_s": 2.5, "doubt_max_s": 5.0}
PATIENT = {"call_timeout_s": 30.0, "answer_max_s": 45.0, "doubt_max_s": 60.0}  # where no answer gets lost
BOOK = "PROD2025-012"  # the request of history that all others are cloned from
SHEET = REPOSITORY / "include" / "demo" / "requests_sheet.csv"
SEEDS = 2
USER = "prodmgr"
START_MAX_S = 60.0
SWITCH_TIMEOUT_S = 10.0


class Server:
    """A PostgreSQL server that can be killed and comes up again at the same address.

    It ends with the thread that started it, so that one thread starts it every time and lives until `stop`.
    """

    def __init__(self, folder: Path) -> None:
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="starts-postgres")
        self._handle: PostgresHandle = self._starter.submit(start_postgres, folder, durable=True).result()

    def create(self, database: str, template: str | None = None) -> str:
        """Make a database, a copy of the template if one is named; its address."""
        return self._handle.create_database(database, template)

    def replace(self, database: str, template: str) -> None:
        """Put a copy of another database in the place of this one; whoever was connected is cut off."""
        self._handle.drop_database(database)
        self._handle.create_database(database, template)

    def kill(self) -> None:
        """As `kill -9` of the whole server."""
        os.kill(self._handle.pid, signal.SIGKILL)
        self._handle.stop()

    def start(self) -> None:
        """Bring it up again and wait until it answers."""
        self._handle = self._starter.submit(start_cluster, self._handle.cluster, self._handle.log).result()

    def stop(self) -> None:
        """End it as its operator does."""
        self._handle.stop()
        self._starter.shutdown()


class Requests:
    """Numbers of requests, each given out once."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def ready(self, count: int, ctx: Context) -> list[str]:
        """New requests that a run drives and nobody has submitted yet."""
        ids = [f"DEMO2027-{next(self._numbers):03d}" for _ in range(count)]
        drive(ctx, ids)
        return ids


def drive(ctx: Context, ids: Iterable[str]) -> None:
    """Clone, plan and approve requests, and let a run drive each."""
    for request_id in ids:
        clone(ctx, BOOK, request_id, CloneOrder(seed_count=SEEDS, events_per_file=1, chain="SIM-RECO"))
        approve(ctx, request_id, plan(ctx, request_id).digest)
        take_place(ctx.sessions, request_id)
        answer = enter(ctx, request_id, 1, dag_id_of(request_id), f"{request_id}-r1")
        assert answer.drive, answer.message


@dataclass
class Stage:
    """All parts, and a turn for those who stop one of them."""

    folder: Path
    ledger: Server
    panda_database: Server
    panda: Sandbox
    ledger_url: str
    panda_url: str
    times: dict[str, float]
    panda_speed: float
    requests: Requests = field(default_factory=Requests)
    one_at_a_time: threading.RLock = field(default_factory=threading.RLock)

    def place(self) -> Place:
        """Where a worker works."""
        return Place(self.ledger_url, self.panda.url, self.panda.issuer.token(USER), self.times)

    def hands(self, times: Mapping[str, float] | None = None) -> Context:
        """Hands of the manager; the times of the workers, unless others are given [s]."""
        return replace(self.place(), who="manager", times=dict(times or self.times)).hands("manager")

    def ready_requests(self, count: int, ctx: Context | None = None) -> list[str]:
        """New requests that a run drives and nobody has submitted yet."""
        return self.requests.ready(count, ctx or self.hands())

    def switch_jedi(self, act: str) -> None:
        """`pause` or `resume` JEDI, as ``prodsys sandbox`` does."""
        httpx.post(f"{self.panda.url}/sandbox/jedi/{act}", timeout=SWITCH_TIMEOUT_S).raise_for_status()

    def rows(self, sql: str, **values: object) -> list[tuple[Any, ...]]:
        """Rows of PanDA's own tables; asked again while its database is down."""
        until = time.monotonic() + START_MAX_S
        while True:
            try:
                with psycopg.connect(self.panda_url, connect_timeout=5) as connection:
                    return connection.execute(sql, values).fetchall()
            except psycopg.OperationalError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)

    def submissions(self, name: str) -> list[int]:
        """Ids of the submissions under a task name that PanDA's server has stored, lowest first."""
        found = self.rows(
            "select jedi_task_id from submission where params ->> 'taskName' = %(name)s order by 1", name=name
        )
        return [int(row[0]) for row in found]


def fill_ledger(url: str, ctx: Context) -> None:
    """Make the tables and record the history that requests are cloned from."""
    migrate(url)
    import_intake(ctx, read_files([SHEET], ctx.catalogue))


@contextmanager
def open_stage(folder: Path, speed: float = SPEED, **settings: str) -> Iterator[Stage]:
    """Yield a stage with everything up; ``settings`` are those of the PanDA sandbox."""
    with ExitStack() as stack:
        ledger, database = (_server(stack, folder / name) for name in ("ledger", "panda_database"))
        panda_url = database.create("panda")
        sandbox_folder = folder / "panda"
        sandbox_folder.mkdir()
        panda = Sandbox(sandbox_folder, panda_url, speed=speed, SITES="", JOBS="simulated", **settings)
        stack.callback(panda.stop)
        panda.start()
        ledger_url = ledger.create("ledger")
        plain = panda_url.replace("+psycopg", "")
        stage = Stage(folder, ledger, database, panda, ledger_url, plain, dict(TIMES), speed)
        fill_ledger(ledger_url, stage.hands())
        stack.callback(lambda: make_engine(ledger_url).dispose())
        yield stage


def _server(stack: ExitStack, folder: Path) -> Server:
    server = Server(folder)
    stack.callback(server.stop)
    return server
