"""``prodsys stack``: start, stop and look at the sandbox of this machine."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sandbox.stack import control
from sandbox.stack.errors import StackError
from sandbox.stack.home import current_home
from sandbox.stack.plan import PEOPLE
from sandbox.stack.status import ProgramStatus, StackStatus
from sandbox.stack.steps import NotTried, Result
from sandbox.stack.supervision import log_tail

app = typer.Typer(help="The sandbox of this machine: start, stop, look.", no_args_is_help=True)
OUT, ERR = Console(soft_wrap=True), Console(stderr=True, soft_wrap=True)
COLOURS = {"healthy": "green", "starting": "yellow", "unhealthy": "red", "failed": "red", "stopped": "dim"}
LOG_LINES, TABLE_WIDTH = 50, 132
Found = TypeVar("Found")


@app.command()
def up(
    wait: Annotated[bool, typer.Option(help="Return only when everything works.")] = True,
) -> None:
    """Start what is not up. Exit 0: all of it works; 1: some does not, and the lines say which and why."""
    home = current_home()
    print(f"starting the sandbox in {home.root}")
    found = _or_exit(lambda: control.up(home, _report, wait=wait))
    if wait and not found.is_healthy:
        for program in found.programs:
            if program.state != "healthy":
                ERR.print(f"[red]{program.name}[/] is {program.state}: {escape(program.reason)}\n  log: {program.log}")
        raise typer.Exit(1)
    OUT.print(f"the sandbox is up: {_addresses(found)}")


@app.command()
def down() -> None:
    """Stop everything; the state stays."""
    began = time.monotonic()
    _or_exit(control.down)
    print(f"the sandbox is down ({time.monotonic() - began:.0f} s)")


@app.command()
def clean() -> None:
    """Stop everything and remove the state; environments and caches stay."""
    _or_exit(control.clean)
    print(f"{current_home().root} is gone")


@app.command()
def status(json_: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False) -> None:
    """Show what is up, where, since when, and its memory. Exit 0: all works; 1: not all; 3: nothing is up."""
    found = _or_exit(control.status)
    if json_:
        print(json.dumps(found.as_row(), indent=1))
    elif not found.programs:
        print(f"no sandbox was started in {found.home}")
    else:
        _print_status(found)
    raise typer.Exit(0 if found.is_healthy else 1 if found.is_up else 3)


@app.command()
def restart(program: str) -> None:
    """Stop a program, start it again, and wait until it works."""
    _or_exit(lambda: control.restart(program))
    print(f"{program} is up again")


@app.command()
def logs(program: str, lines: Annotated[int, typer.Option("--lines", "-n")] = LOG_LINES) -> None:
    """Print the end of a program's log."""
    path = current_home().log_of(program)
    if not path.exists():
        known = sorted(one.stem for one in path.parent.glob("*.log"))
        ERR.print(f"there is no log {path}; there are: {', '.join(known) or 'none'}")
        raise typer.Exit(2)
    print(f"{path}:\n{log_tail(path, lines)}")


def _or_exit(action: Callable[[], Found]) -> Found:
    try:
        return action()
    except StackError as error:
        ERR.print(f"[red]error:[/] {escape(str(error))}")
        raise typer.Exit(1) from error


def _report(result: Result) -> None:
    took = f"[{result.ended_s:5.1f} s] {result.name}"
    if result.error is None:
        print(f"{took} ({result.ended_s - result.began_s:.1f} s)", flush=True)
    elif isinstance(result.error, NotTried):
        print(f"{took}: left out, it needs {', '.join(result.error.missing)}", flush=True)
    else:
        print(f"{took}: FAILED: {result.error}", flush=True)


def _addresses(found: StackStatus) -> str:
    return ", ".join(f"{one.name} {one.address}" for one in found.programs if one.address.startswith("http"))


def _print_status(found: StackStatus) -> None:
    table = Table("program", "state", "pid", "since", "MB", "address", box=None, pad_edge=False, show_edge=False)
    for one in found.programs:
        state = f"[{COLOURS[one.state]}]{one.state}[/]"
        table.add_row(one.name, state, str(one.pid or ""), _since(one), _megabytes(one.memory_bytes), one.address)
    Console(width=max(OUT.width, TABLE_WIDTH)).print(table)
    for one in found.programs:
        if one.reason:
            OUT.print(f"{one.name}: {escape(one.reason)}")
    if found.left_over:
        pids = ", ".join(map(str, found.left_over))
        OUT.print(f"[red]the supervisor is gone, its processes are left[/] ({pids}): make up or make down ends them")
    memory, home = _megabytes(sum(one.memory_bytes for one in found.programs)), current_home()
    print(f"home {home.root}, logs {home.log}/<program>.log, memory {memory} MB")
    print(f"passwords of {', '.join(PEOPLE)}: {home.secrets}/airflow-<name>.password")


def _since(one: ProgramStatus) -> str:
    if one.since is None:
        return ""
    age = timedelta(seconds=int(time.time() - one.since))
    return f"{datetime.fromtimestamp(one.since):%d %b %H:%M:%S} ({age})"


def _megabytes(number: int) -> str:
    return f"{number / 1e6:.0f}"


if __name__ == "__main__":
    app()
