"""The sandbox's PanDA without its processes, and workers that stop between any two of their steps.

Server and refiner are the sandbox's own code over a real PostgreSQL; what is left out is HTTP, and time: it passes when
the test says so. A worker is a thread that runs only while it is let; killed, it is gone at the point where it stood.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select, text
from sqlalchemy.exc import OperationalError

from prodsys.actions.core.context import Clients, Context
from prodsys.errors import PandaUnavailable, ServiceUnavailable
from prodsys.ledger.session import SessionFactory
from prodsys.panda.client import PandaClient
from prodsys.panda.wire import NoAnswer, Reply
from sandbox.panda import tables as t
from sandbox.panda.api.arguments import bind_arguments
from sandbox.panda.api.auth import Identity
from sandbox.panda.api.calls import ENDPOINTS, Call
from sandbox.panda.api.envelope import dump_json
from sandbox.panda.jobs.catalogue import OwnTables
from sandbox.panda.server import MODULES
from sandbox.panda.settings import Settings
from sandbox.panda.store import find_task
from sandbox.panda.tasks import registrar
from sandbox.panda.tasks.execute import complete_commands, execute_commands
from sandbox.panda.tasks.finish import finish_tasks
from sandbox.panda.trouble.in_force import ScenarioInForce
from sandbox.panda.trouble.scenario import ScenarioFile
from tests.contract.jedi.conftest import AT_ONCE

assert MODULES  # importing them fills the list of endpoints
SUBMIT = "task/submit"
STEP_MAX_S = 60.0
US, SOMEBODY = "prodmgr", "somebody"


class Killed(BaseException):
    """The process is gone; nobody catches it."""


@dataclass
class Network:
    """What lies between workers and PanDA: each trouble strikes once."""

    refuse: bool = False  # the next submission does not reach PanDA
    lose: bool = False  # the answer to the next one is lost
    delay: bool = False  # the next one arrives when `late` is delivered, its sender hears nothing
    late: list[dict[str, Any]] = field(default_factory=list)

    def calm(self) -> None:
        """No more trouble."""
        self.refuse = self.lose = self.delay = False


class InProcessPanda:
    """PanDA's server and JEDI, cycle by cycle."""

    def __init__(self, url: str, folder: Path) -> None:
        self.engine: Engine = t.connect(url)
        t.create_schema(self.engine)
        self._settings = Settings(database_url=url, rse_root=folder, work=folder, adder="none", jobs="simulated")
        self._scenario = ScenarioInForce(self.engine, ScenarioFile(None))
        self._rules = registrar.RefineRules("spd")
        self._before = 0  # the last task that is not counted any more

    def call(self, path: str, arguments: Mapping[str, Any], *, query: bool, user: str = US) -> Reply:
        """The server's reply to one call."""
        found = ENDPOINTS[path]
        given = {key: [str(value)] for key, value in arguments.items()} if query else dict(arguments)
        identity = Identity(user, production=True, vo="spd")
        call = Call(self.engine, self._settings, self._scenario, identity)
        reply = found.function(call, **bind_arguments(found.function, given, query))
        data = json.loads(dump_json(reply.data))
        return Reply(success=reply.success, message=reply.message, data=data)

    def submit(self, task_map: Mapping[str, Any], user: str = US) -> int:
        """Id of a task that somebody sends beside us."""
        return int(self.call(SUBMIT, {"task_parameters": dict(task_map)}, query=False, user=user)["data"])

    def refine(self) -> None:
        """Refine all that waits, in its order."""
        registrar.register_submissions(self.engine, AT_ONCE)
        registrar.refine_registered(self.engine, AT_ONCE, self._rules, OwnTables())
        self.execute()

    def refine_two_at_once(self) -> None:
        """Two refiners take the two oldest at the same moment and see nothing of each other."""
        registrar.register_submissions(self.engine, AT_ONCE)
        with self.engine.connect() as connection:
            wanted = (
                select(t.task.c.jedi_task_id).where(t.task.c.status == "registered").order_by(t.task.c.jedi_task_id)
            )
            ids = list(connection.execute(wanted.limit(2)).scalars())
        if len(ids) < 2:
            return
        with self.engine.begin() as one, self.engine.begin() as other:
            for connection, jedi_task_id in ((one, ids[0]), (other, ids[1])):
                row = find_task(connection, jedi_task_id, lock=True)
                assert row is not None
                registrar._refine_one(connection, row, AT_ONCE, self._rules, None)

    def execute(self) -> None:
        """Carry out kills, and end what is to be ended."""
        execute_commands(self.engine, AT_ONCE)
        complete_commands(self.engine, AT_ONCE)
        finish_tasks(self.engine, OwnTables())

    def clear(self) -> None:
        """Begin anew: what is there stays shown, as in a real PanDA, and is not counted any more."""
        self._before = max((one["jedi_task_id"] for one in self.rows()), default=self._before)

    def rows(self) -> list[dict[str, Any]]:
        """All submissions since it began anew, with what became of them."""
        sql = """select s.jedi_task_id, s.user_name, s.params, t.status, t.task_name from submission s
            left join task t using (jedi_task_id) where s.jedi_task_id > :before order by 1"""
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(sql), {"before": self._before}).mappings()]


class InProcessWire:
    """What a client of ours calls instead of HTTP; ``stop`` is called between its steps."""

    def __init__(
        self, panda: InProcessPanda, network: Network, stop: Callable[[str], None], noticed: Callable[[str, str], None]
    ) -> None:
        self._panda, self._network, self._stop, self._noticed = panda, network, stop, noticed

    def get(self, call: str, query: Mapping[str, object] | None = None, target: str = "") -> Reply:
        reply = self._panda.call(call, query or {}, query=True)
        self._noticed("asked", call)
        self._stop(f"after {call}")
        return reply

    def post(self, call: str, body: Mapping[str, object], target: str = "") -> Reply:
        self._stop(f"before {call}")
        if call == SUBMIT:
            return self._submit(body)
        return self._panda.call(call, body, query=False)

    def _submit(self, body: Mapping[str, object]) -> Reply:
        network = self._network
        if network.refuse:
            network.refuse = False
            raise PandaUnavailable("not reached")
        self._noticed("sent", str(body["task_parameters"]["taskName"]))  # type: ignore[index]
        if network.delay:
            network.delay = False
            network.late.append(dict(body))
            raise NoAnswer("timeout")
        reply = self._panda.call(SUBMIT, body, query=False)
        self._stop("before the reply")
        if network.lose:
            network.lose = False
            raise NoAnswer("connection lost")
        return reply


class StoppingSessions:
    """Sessions whose user stops after every commit; the answer to a commit may be lost."""

    def __init__(
        self,
        real: SessionFactory,
        stop: Callable[[str], None],
        noticed: Callable[[str, str], None],
        broken: Callable[[], bool],
    ) -> None:
        self.kw, self._real, self._stop, self._noticed, self._broken = real.kw, real, stop, noticed, broken

    @contextmanager
    def begin(self) -> Iterator[Any]:
        with self._real.begin() as session:
            yield session
        self._noticed("committed", "")
        if self._broken():
            raise OperationalError("commit", {}, Exception("the connection was lost"))
        self._stop("after a commit")


@dataclass
class Ledger:
    """What may go wrong between workers and the ledger, once."""

    lose_commit: bool = False

    def broken(self) -> bool:
        """Whether the answer to this commit is lost."""
        lost, self.lose_commit = self.lose_commit, False
        return lost


def hands(
    ctx: Context,
    panda: InProcessPanda,
    network: Network,
    sessions: Any,
    stop: Callable[[str], None] = lambda point: None,
    noticed: Callable[[str, str], None] = lambda event, about: None,
) -> Context:
    """Hands that work in this process."""

    def client() -> PandaClient:
        made = PandaClient("http://127.0.0.1:1", "spd.production", lambda: "none", 1)
        made._wire = InProcessWire(panda, network, stop, noticed)  # type: ignore[assignment]
        return made

    clients = Clients(client, ctx.clients.rucio, ctx.clients.airflow)
    return replace(ctx, clients=clients, sessions=sessions)


class Worker(threading.Thread):
    """One process that does one thing, step by step, when it is let."""

    def __init__(self, number: int, act: Callable[[Worker], object]) -> None:
        super().__init__(name=f"worker {number}", daemon=True)
        self._act = act
        self._go, self._stands = threading.Semaphore(0), threading.Semaphore(0)
        self._doomed = False
        self.number, self.at, self.over = number, "start", False
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        self._go.acquire()
        try:
            if not self._doomed:
                self._act(self)
        except (Killed, ServiceUnavailable):
            pass  # gone, or the next try will do it
        except BaseException as error:  # noqa: BLE001 - told to the test
            self.error = error
        finally:
            self.over, self.at = True, "end"
            self._stands.release()

    def stop(self, point: str) -> None:
        """Stand still at a point until the test lets this worker go on, or kills it."""
        self.at = point
        self._stands.release()
        self._go.acquire()
        if self._doomed:
            raise Killed

    def step(self, steps: int = 1) -> None:
        """Let it go on."""
        for _ in range(steps):
            if self.over:
                break
            self._go.release()
            assert self._stands.acquire(timeout=STEP_MAX_S), f"{self.name} hangs after {self.at}"
        if self.error is not None:
            raise self.error

    def kill(self) -> None:
        """End it where it stands."""
        self._doomed = True
        while not self.over:
            self.step()
