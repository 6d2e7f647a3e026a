"""Supervisor (the PyPI package): its configuration, and talking to it over the loopback with a password."""

from __future__ import annotations

import getpass
import http.client
import resource
import shlex
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prodsys.whole_files import write_whole
from sandbox.stack.errors import PartFailed, StackError
from sandbox.stack.plan import Plan
from sandbox.stack.ports import LOOPBACK
from sandbox.stack.programs import Program

USER = "stack"
WANTED_FILES = 16384  # the triggerer holds one open log file per trigger
CALL_TIMEOUT_S = 10
START_TIMEOUT_S = 20
STAYS_UP_S = 5  # a program that ends sooner did not start; three such starts and it has failed
NOT_RUNNING, ALREADY_STARTED = 70, 60  # faults of supervisor


@dataclass(frozen=True)
class ProcessState:
    """What supervisor knows of a program."""

    name: str
    word: str
    pid: int | None
    since: float | None
    reason: str


class _Transport(xmlrpc.client.Transport):
    """XML-RPC with a timeout."""

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = super().make_connection(host)
        connection.timeout = CALL_TIMEOUT_S
        return connection


class Supervisor:
    """The supervisor of one stack."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.file = plan.home.run / "supervisord.conf"
        self.log = plan.home.log_of("supervisord")

    def answers(self) -> bool:
        """Whether the supervisor of this home is up."""
        if "supervisor" not in self._plan.ports:
            return False
        try:
            return bool(self._rpc().supervisor.getIdentification() == self._identity)
        except (OSError, xmlrpc.client.Error, http.client.HTTPException):
            return False

    def write(self, programs: Iterable[Program]) -> None:
        """Write the configuration, readable by its owner alone: it holds passwords."""
        sections = [self._own_sections(), *(self._section(program) for program in programs)]
        write_whole(self.file, "\n".join(sections))

    def start(self) -> None:
        """Start the supervisor in the background; no program yet.

        Raises
        ------
        PartFailed
            It did not come up.
        """
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self.file)]
        done = subprocess.run(
            command,
            env=self._plan.base_environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=START_TIMEOUT_S,
            check=False,
        )
        if done.returncode:
            raise PartFailed("supervisor", (done.stderr or done.stdout).strip(), self.log)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.answers():
            if time.monotonic() > deadline:
                raise PartFailed("supervisor", f"no answer after {START_TIMEOUT_S} s", self.log)
            time.sleep(0.05)

    def start_program(self, name: str) -> None:
        """Start a program unless it runs; do not wait for it."""
        self._tolerate(ALREADY_STARTED, self._rpc().supervisor.startProcess, name, False)

    def stop_program(self, name: str) -> None:
        """Ask a program to stop; do not wait for it."""
        self._tolerate(NOT_RUNNING, self._rpc().supervisor.stopProcess, name, False)

    def ask_again(self, name: str) -> None:
        """Send SIGTERM once more to a program that was asked to stop."""
        self._tolerate(NOT_RUNNING, self._rpc().supervisor.signalProcess, name, "TERM")

    def shut_down(self) -> None:
        """Stop the supervisor, with what it still runs."""
        try:
            self._rpc().supervisor.shutdown()
        except (OSError, http.client.HTTPException):
            return

    def states(self) -> dict[str, ProcessState]:
        """State of every program."""
        rows: Any = self._rpc().supervisor.getAllProcessInfo()
        return {row["name"]: _state(row) for row in rows}

    def _rpc(self) -> xmlrpc.client.ServerProxy:
        password = self._plan.credentials.get("supervisor.password")
        address = f"http://{USER}:{password}@{LOOPBACK}:{self._plan.ports['supervisor']}/RPC2"
        return xmlrpc.client.ServerProxy(address, transport=_Transport())

    @property
    def _identity(self) -> str:
        return str(self._plan.home.root)

    @staticmethod
    def _tolerate(code: int, call: Any, *arguments: Any) -> None:
        try:
            call(*arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != code:
                raise

    def _own_sections(self) -> str:
        run, password = self._plan.home.run, self._plan.credentials.get("supervisor.password")
        return _section(
            "supervisord",
            logfile=self.log,
            pidfile=run / "supervisord.pid",
            childlogdir=self._plan.home.log,
            identifier=self._identity,
            user=getpass.getuser(),
            minfds=_open_files(),
            umask="022",
        ) + _section(
            "inet_http_server",
            port=f"{LOOPBACK}:{self._plan.ports['supervisor']}",
            username=USER,
            password=password,
        ) + _section("rpcinterface:supervisor", **{
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface",
        })  # fmt: skip

    def _section(self, program: Program) -> str:
        environment = ",".join(f"{name}={_quoted(value)}" for name, value in sorted(program.environment.items()))
        return _section(
            f"program:{program.name}",
            command=shlex.join(program.command),
            environment=environment,
            directory="/",
            autostart="false",
            autorestart="true",
            startsecs=STAYS_UP_S,
            startretries=3,
            stopsignal=program.stop_signal,
            stopwaitsecs=program.stop_wait_s,
            killasgroup="true",
            redirect_stderr="true",
            stdout_logfile=self._plan.home.log_of(program.name),
            stdout_logfile_maxbytes="50MB",
            stdout_logfile_backups=1,
        )


def _section(name: str, **values: object) -> str:
    lines = [f"{key} = {str(value).replace('%', '%%')}" for key, value in values.items()]
    return "\n".join([f"[{name}]", *lines, "", ""])


def _quoted(value: str) -> str:
    """Return a value as supervisor reads it back: it knows quotes, but no escapes."""
    if "\n" in value or ("'" in value and '"' in value):
        raise StackError(f"supervisor cannot hand on an environment variable that begins with {value[:20]!r}")
    return f'"{value}"' if "'" in value else f"'{value}'"


def _open_files() -> int:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return WANTED_FILES if hard == resource.RLIM_INFINITY else min(hard, WANTED_FILES)


def _state(row: dict[str, Any]) -> ProcessState:
    word, pid = str(row["statename"]).lower(), int(row["pid"]) or None
    reason = str(row["spawnerr"] or row["description"] or "") if word not in ("running", "stopped") else ""
    return ProcessState(str(row["name"]), word, pid, float(row["start"]) if pid else None, reason)


def log_tail(path: Path, lines: int = 15) -> str:
    """Last lines of a log."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
