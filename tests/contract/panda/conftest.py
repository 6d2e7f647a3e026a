"""Targets of the contract suite: the recordings, and the sandbox or the live server that PANDA_URL names.

For a live server: PANDA_URL, PANDA_VO (``spd:production`` or ``spd.production``), PANDA_TOKEN; if there is one,
PANDA_TOKEN_NOROLE (without the production group), and PANDA_SITE (a queue that runs jobs, default SPD_LOCAL). What it
cannot show is skipped with a reason of `skips`; any other skip is a failure. CONTRACT_REPORT: a file for the table.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from sandbox.stack.postgres import PostgresHandle
from tests.contract.panda import recordings
from tests.contract.panda.cleaning import clean_up
from tests.contract.panda.deadline import LIVE_S
from tests.contract.panda.listener import Listener
from tests.contract.panda.outcome import Outcome
from tests.contract.panda.playing import SCENARIOS, Playing
from tests.contract.panda.replayer import Replayed
from tests.contract.panda.report import REPORT, TOPICS
from tests.contract.panda.sandbox_target import Sandbox, free_port
from tests.contract.panda.side_by_side import Running
from tests.contract.panda.skips import (
    NO_FAILURES,
    NO_SECOND_TOKEN,
    NOT_OURS,
    NOT_RECORDED,
    TOO_QUICK,
    TOO_SLOW,
    complaint,
    skip,
)
from tests.contract.panda.target import Server
from tests.contract.panda.targets import (
    NAME,
    TARGETS,
    Target,
    TargetUnusable,
    live_target,
    sandbox_target,
    secrets,
    stop_session,
)

Outcomes = Callable[[str], list[Outcome]]
TIMEOUT_S = LIVE_S + 240
"""No test may hang longer [s]; the session's own clock ends its waits earlier."""


STOMP_PORT = free_port()
_SECRETS: list[str] = []


@pytest.fixture(scope="session")
def sandbox(postgres: PostgresHandle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Yield the running sandbox of this session, with the failures of the recordings."""
    target = Sandbox(
        tmp_path_factory.mktemp("panda"), postgres.create_database("panda_contract"), speed=20,
        STOMP_PORT=str(STOMP_PORT),
    )  # fmt: skip
    target.start()
    yield target
    target.stop()


@pytest.fixture(scope="session")
def listener(sandbox: Sandbox) -> Iterator[Listener]:
    """Yield a listener that hears all messages of the session's sandbox."""
    found = Listener(STOMP_PORT)
    yield found
    found.close()


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    """Yield the server under test; its tasks are ended with the session."""
    if NAME == "sandbox":
        found = sandbox_target(request.getfixturevalue("sandbox"), request.getfixturevalue("listener"))
    else:
        try:
            found = live_target(os.environ)
        except TargetUnusable as error:
            stop_session(error)
    _SECRETS.extend(secrets(found))
    yield found
    REPORT.say(clean_up(found))


@pytest.fixture(scope="session")
def server(target: Target) -> Server:
    """Return the server under test as the production robot sees it."""
    return target.server


@pytest.fixture(scope="session")
def running(target: Target) -> Iterator[Running]:
    """Yield the drivers in their threads."""
    found = Running(target, target.threads, target.clock)
    yield found
    found.end()


@pytest.fixture(scope="session")
def playing(target: Target, running: Running) -> Playing:
    """Return the recorded scenarios as they are played at the target."""
    return Playing(target, running)


@pytest.fixture(scope="session", autouse=True)
def _everything_begins(request: pytest.FixtureRequest) -> None:
    """Start all that the collected tests will wait for, side by side."""
    items = request.session.items
    wanted = {name for item in items for name in getattr(item, "fixturenames", ())}
    if not wanted & {"running", "playing", "outcomes"} or not any("panda" in str(item.path) for item in items):
        return
    playing: Playing = request.getfixturevalue("playing")
    running: Running = request.getfixturevalue("running")
    asked = {item.callspec.params.get("scenario") for item in items if hasattr(item, "callspec")}
    for scenario in SCENARIOS:
        if "outcomes" in wanted or scenario in asked:
            playing.start(scenario)
    for item in items:
        driver = getattr(getattr(item, "function", None), "driver", None)
        if driver:
            case = item.callspec.params.get("case") if hasattr(item, "callspec") else None
            running.start_driver(driver if case is None else f"{driver}[{case}]")


@pytest.fixture(params=TARGETS)
def target_name(request: pytest.FixtureRequest) -> str:
    """Return the name of the target of this test."""
    return str(request.param)


@pytest.fixture
def replayed(target_name: str, request: pytest.FixtureRequest) -> Callable[[str], list[Replayed]]:
    """Return a function from a scenario's name to its scripts as they were played at the target."""

    def read(scenario: str) -> list[Replayed]:
        if target_name == "recordings":
            return Playing.of_recording(scenario)
        playing: Playing = request.getfixturevalue("playing")
        if not playing.target.can_show(scenario):
            skip(NO_FAILURES)
        return playing.result(scenario)

    return read


@pytest.fixture
def outcomes(target_name: str, request: pytest.FixtureRequest, replayed: Callable[[str], list[Replayed]]) -> Outcomes:
    """Return a function from a scenario's name to what became of its tasks at the target."""

    def read(scenario: str) -> list[Outcome]:
        if target_name == "recordings":
            return recordings.outcomes(scenario)
        results = replayed(scenario)
        found = {recorded: one for result in results for recorded, one in result.outcomes.items()}
        wanted = [one.task_id for one in recordings.outcomes(scenario)]
        left_out = {reason for result in results for reason in result.left_out}
        if target_name == "live" and TOO_QUICK in left_out:
            skip(TOO_QUICK)
        if any(one not in found for one in wanted):
            skip(next((reason for reason in (TOO_SLOW, NO_SECOND_TOKEN) if reason in left_out), TOO_QUICK))
        return [found[one] for one in wanted]

    return read


@pytest.fixture
def answering(target_name: str, request: pytest.FixtureRequest) -> Server:
    """Return the target where it must be a server."""
    if target_name == "recordings":
        skip(NOT_RECORDED)
    server: Server = request.getfixturevalue("server")
    return server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of this suite the time a live server needs; what kills sandboxes of its own comes last."""
    for item in items:
        if "contract/panda" not in item.path.as_posix():
            continue
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))
        if NAME == "live" and item.path.stem not in TOPICS:
            item.add_marker(pytest.mark.skip(reason=NOT_OURS))
    items.sort(key=lambda item: "contract/panda" in item.path.as_posix() and item.path.stem not in TOPICS)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Turn a skip that its target cannot have into a failure; write the test's line of the table."""
    report: pytest.TestReport = yield  # type: ignore[assignment]
    if "contract/panda" not in item.path.as_posix():
        return report  # type: ignore[return-value]
    target = _target_of(item)
    if report.skipped and isinstance(report.longrepr, tuple):
        fault = complaint(report.longrepr[2].removeprefix("Skipped: "), target)
        if fault:
            report.outcome, report.longrepr = "failed", fault
    _mask(report)
    REPORT.note(item, report, target)
    return report  # type: ignore[return-value]


def _mask(report: pytest.TestReport) -> None:
    """Take tokens out of what pytest would print of a failure."""
    for token in _SECRETS:
        if report.failed and token in str(report.longrepr):
            report.longrepr = str(report.longrepr).replace(token, "<token>")
        report.sections = [(name, text.replace(token, "<token>")) for name, text in report.sections]


def _target_of(item: pytest.Item) -> str:
    callspec = getattr(item, "callspec", None)
    return str(callspec.params.get("target_name", NAME)) if callspec else NAME


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table of the suite; write it where CONTRACT_REPORT says."""
    if REPORT.rows:
        terminalreporter.section("PanDA contract")
        terminalreporter.write_line(REPORT.as_text())
        if path := os.environ.get("CONTRACT_REPORT"):
            REPORT.write(path)
