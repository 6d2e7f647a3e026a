"""Starting, stopping and looking at the stack of one home."""

from __future__ import annotations

import fcntl
import itertools
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from sandbox.stack.airflow_environment import airflow_environment
from sandbox.stack.errors import PartFailed, StackError
from sandbox.stack.files import write_files
from sandbox.stack.home import Home, current_home
from sandbox.stack.leftovers import end_leftovers, processes_of
from sandbox.stack.migration import ensure_databases, migration_steps, run_logged
from sandbox.stack.plan import PORT_NAMES, Plan
from sandbox.stack.ports import choose_ports, read_ports
from sandbox.stack.programs import Program, make_programs
from sandbox.stack.status import StackStatus, last_words, look_at
from sandbox.stack.steps import Result, Step, run_steps
from sandbox.stack.supervision import Supervisor
from sandbox.stack.template import copy_template, is_current, record_digest

POLL_S = 0.3
LOOKS_A_STATE = 5  # checks a program gets for each time that supervisor is asked about it
STOP_TIMEOUT_S, POLITE_S = 60, 5
TIMELINE = "timeline.json"
Report = Callable[[Result], None]


def _silent(_: Result) -> None:
    """Report nothing."""


def up(home: Home | None = None, report: Report = _silent, *, wait: bool = True) -> StackStatus:
    """Start what is not up; return when all of it works, or when no more can be done.

    Parameters
    ----------
    home : Home
        Default: ``$PRODSYS_HOME``.
    report : callable
        Is told the result of each step as it ends; the whole is kept in ``run/timeline.json``.
    wait : bool
        False: return when everything was told to start.

    Raises
    ------
    StackError
        Nothing could be started. (A single program that does not come up is told by the status.)
    """
    home = home or current_home()
    home.create()
    with _alone(home):
        plan, supervisor = _ensure_supervisor(home)
        results: dict[str, Result] = {}
        if not (plan.cluster.data / "PG_VERSION").exists():
            results |= run_steps([Step("database-template", lambda: copy_template(plan, report))], report)
        if not any(result.error for result in results.values()):
            results |= run_steps(_steps(plan, supervisor, wait=wait), report)
        _keep_timeline(home, results)
        _raise_if_nothing_started(results)
        return status(home)


def down(home: Home | None = None) -> None:
    """Stop all programs, the database last; nothing being up is fine."""
    home = home or current_home()
    if not home.run.exists():
        return
    with _alone(home):
        plan = Plan(home, read_ports(home.ports))
        supervisor = Supervisor(plan)
        if supervisor.answers():
            others = [name for name in supervisor.states() if name not in ("scheduler", "postgres")]
            for names in (["scheduler"], others, ["postgres"]):  # the scheduler's tasks end with all they need still up
                _stop(supervisor, names)
            supervisor.shut_down()
            _wait_until(lambda: not supervisor.answers(), STOP_TIMEOUT_S)
        end_leftovers(home.root)


def status(home: Home | None = None) -> StackStatus:
    """What is up now; nothing is changed."""
    home = home or current_home()
    plan = Plan(home, read_ports(home.ports))
    if not set(PORT_NAMES) <= set(plan.ports):
        return StackStatus(home.root, [])
    supervisor = Supervisor(plan)
    if not supervisor.answers():
        left_over = [process.pid for process in processes_of(home.root)]
        return StackStatus(home.root, look_at(make_programs(plan), {}, home.log), left_over)
    return StackStatus(home.root, look_at(make_programs(plan), supervisor.states(), home.log))


def restart(program: str, home: Home | None = None) -> None:
    """Stop a program, start it again and wait until it works.

    Raises
    ------
    StackError
        No such program, or the stack is not up.
    PartFailed
        It does not come up.
    """
    home = home or current_home()
    plan = Plan(home, read_ports(home.ports))
    supervisor = Supervisor(plan)
    if not supervisor.answers():
        raise StackError(f"no stack is up in {home.root}: start it with make up")
    known = {one.name: one for one in make_programs(plan)}
    if program not in known:
        raise StackError(f"there is no program {program!r}; known: {', '.join(known)}")
    _stop(supervisor, [program])
    _start(supervisor, known[program], home, wait=True)


def clean(home: Home | None = None) -> None:
    """Stop the stack and remove all its state; environments and caches stay."""
    home = home or current_home()
    down(home)
    if home.root.exists() and not (home.run.is_dir() and home.secrets.is_dir()):
        raise StackError(
            f"{home.root} does not look like a home of the stack (no run/, no secrets/): remove it yourself"
        )
    shutil.rmtree(home.root, ignore_errors=False) if home.root.exists() else None


def _ensure_supervisor(home: Home) -> tuple[Plan, Supervisor]:
    """Plan of the stack that is up, or of a new one with the supervisor started and all files written."""
    plan = Plan(home, read_ports(home.ports))
    supervisor = Supervisor(plan)
    if supervisor.answers():
        return plan, supervisor
    end_leftovers(home.root)
    plan = Plan(home, choose_ports(PORT_NAMES, home.ports))
    write_files(plan)
    supervisor = Supervisor(plan)
    supervisor.write(make_programs(plan))
    supervisor.start()
    return plan, supervisor


def _steps(plan: Plan, supervisor: Supervisor, *, wait: bool) -> list[Step]:
    def step(program: Program) -> Step:
        waits = wait or program.name == "postgres"
        return Step(program.name, lambda: _start(supervisor, program, plan.home, wait=waits), program.after)

    return [*map(step, make_programs(plan)), *_database_steps(plan), _people_step(plan)]


def _database_steps(plan: Plan) -> list[Step]:
    if is_current(plan.home):
        return [Step("databases", lambda: ensure_databases(plan), ("postgres",))]
    migrations = migration_steps(plan, after=("roles",))
    names = tuple(step.name for step in migrations)
    first = Step("roles", lambda: ensure_databases(plan), ("postgres",))
    return [first, *migrations, Step("databases", lambda: record_digest(plan.home), names)]


def _people_step(plan: Plan) -> Step:
    command = (sys.executable, "-m", "sandbox.stack.airflow_setup", "people")
    log = plan.home.log_of("airflow-people")
    return Step(
        "airflow-people",
        lambda: run_logged("airflow-people", command, airflow_environment(plan), log),
        ("databases",),
    )


def _start(supervisor: Supervisor, program: Program, home: Home, *, wait: bool) -> None:
    supervisor.start_program(program.name)
    if not wait:
        return
    deadline = time.monotonic() + program.start_timeout_s
    log, looks = home.log_of(program.name), itertools.count()
    while (trouble := program.check()) is not None:
        state = supervisor.states()[program.name] if next(looks) % LOOKS_A_STATE == 0 else None
        if state and state.word in ("fatal", "exited"):
            raise PartFailed(program.name, f"it ends at once: {last_words(log) or state.reason}", log)
        if time.monotonic() > deadline:
            raise PartFailed(program.name, f"not ready after {program.start_timeout_s} s: {trouble}", log)
        time.sleep(POLL_S)


def _stop(supervisor: Supervisor, names: Sequence[str]) -> None:
    for name in names:
        supervisor.stop_program(name)
    left = list(names)

    def all_stopped() -> bool:
        states = supervisor.states()
        left[:] = [name for name in left if states[name].pid is not None]
        return not left

    if not _wait_until(all_stopped, POLITE_S):
        for name in set(left) - {
            "scheduler"
        }:  # Python programs lose a SIGTERM now and then to an `except` that catches everything
            supervisor.ask_again(name)
        _wait_until(all_stopped, STOP_TIMEOUT_S)


def _wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return met


def _keep_timeline(home: Home, results: dict[str, Result]) -> None:
    rows = [
        {
            "step": one.name,
            "began_s": round(one.began_s, 1),
            "ended_s": round(one.ended_s, 1),
            "error": str(one.error or ""),
        }
        for one in results.values()
    ]
    (home.run / TIMELINE).write_text(json.dumps(rows, indent=1), encoding="utf-8")


def _raise_if_nothing_started(results: dict[str, Result]) -> None:
    first = next(iter(results.values()), None)
    if first is not None and first.error is not None and first.name in ("database-template", "postgres"):
        raise first.error


@contextmanager
def _alone(home: Home) -> Iterator[None]:
    """Keep another start or stop of the same home out."""
    with (home.run / "control.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(f"another start or stop of {home.root} is going on") from None
        yield
