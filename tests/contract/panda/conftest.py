"""Targets of the contract suite: the recordings, and the sandbox or the live server that PANDA_URL names.

For a live server: PANDA_URL (without ``/api/v1``), PANDA_VO (``spd:production`` or ``spd.production``), PANDA_TOKEN,
and if need be PANDA_SITE (a queue that runs jobs). What it cannot show is skipped with a reason of `skips`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from sandbox.stack.postgres import PostgresHandle
from tests.contract.panda import recordings
from tests.contract.panda.drivers import DRIVERS, NEEDS_FAILURES, RULES
from tests.contract.panda.outcome import Outcome
from tests.contract.panda.sandbox_target import NARROW, Sandbox
from tests.contract.panda.skips import NO_FAILURES, NOT_RECORDED, skip
from tests.contract.panda.target import Server

Outcomes = Callable[[str], list[Outcome]]
TARGETS = ["recordings", "live" if os.environ.get("PANDA_URL") else "sandbox"]


@pytest.fixture(scope="session")
def sandbox(postgres: PostgresHandle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Yield the running sandbox of this session, with the failures of the recordings."""
    target = Sandbox(tmp_path_factory.mktemp("panda"), postgres.create_database("panda_contract"), speed=20)
    target.play(*RULES)
    target.start()
    yield target
    target.stop()


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Server:
    """Return the server under test as the production robot sees it."""
    if "live" in TARGETS:
        origin = os.environ.get("PANDA_VO", "spd.production").replace(":", ".")
        return Server(os.environ["PANDA_URL"].rstrip("/"), os.environ["PANDA_TOKEN"], origin, patience_s=900)
    sandbox: Sandbox = request.getfixturevalue("sandbox")
    return Server(sandbox.url, sandbox.issuer.token(), "spd.production", narrow=NARROW)


@pytest.fixture(scope="session")
def _running(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[list[Outcome]]]]:
    """Yield all scenarios, started side by side when the first one is asked for."""
    server: Server = request.getfixturevalue("server")
    with ThreadPoolExecutor(max_workers=len(DRIVERS)) as pool:
        names = [name for name in DRIVERS if "live" not in TARGETS or name not in NEEDS_FAILURES]
        yield {name: pool.submit(DRIVERS[name], _another(server), name) for name in names}


def _another(server: Server) -> Server:
    return Server(server.url, server.token, server.origin, server.patience_s, server.narrow)


@pytest.fixture(params=TARGETS)
def target_name(request: pytest.FixtureRequest) -> str:
    """Return the name of the target of this test."""
    return str(request.param)


@pytest.fixture
def outcomes(target_name: str, request: pytest.FixtureRequest) -> Outcomes:
    """Return a function from a scenario's name to what became of its tasks at the target."""

    def read(scenario: str) -> list[Outcome]:
        if target_name == "recordings":
            return recordings.outcomes(scenario)
        if target_name == "live" and scenario in NEEDS_FAILURES:
            skip(NO_FAILURES)
        running: dict[str, Future[list[Outcome]]] = request.getfixturevalue("_running")
        return running[scenario].result(timeout=240)

    return read


@pytest.fixture
def answering(target_name: str, request: pytest.FixtureRequest) -> Server:
    """Return the target where it must be a server."""
    if target_name == "recordings":
        skip(NOT_RECORDED)
    server: Server = request.getfixturevalue("server")
    return server
