"""A real Rucio server for tests: REST, daemons and token issuer, one a test session, started when first asked for.

The catalogue lies on the PostgreSQL server of ``tests.postgres_fixture``; the parts are those of the sandbox.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from prodsys.ddm.client import RucioClient
from prodsys.model.names import Did
from sandbox.iam.clients import Client, write_clients
from sandbox.iam.keys import Signer, ensure_key
from sandbox.iam.server import CLIENTS_FILE, KEY_FILE
from sandbox.rucio.configuration import RucioSettings, server_environment, write_configuration, write_layout
from sandbox.stack.ports import free_port
from sandbox.stack.postgres import PostgresHandle

REPOSITORY = Path(__file__).resolve().parents[1]
RUCIO_ENVIRONMENT = Path(os.environ.get("SANDBOX_RUCIO_ENVIRONMENT", REPOSITORY / ".venvs" / "rucio"))
START_MAX_S = 90
STOP_MAX_S = 20
CALL_TIMEOUT_S = 20
ACCOUNT = "production"
ROOT_PASSWORD = "of-a-server-that-lives-for-one-test-session"
GROUPS = ("spd", "spd/production")  # what gives the production role in PanDA
_NUMBERS = itertools.count(1)


class Program:
    """A server process that can be stopped and started again; it dies with this process."""

    def __init__(self, command: list[str], environment: Mapping[str, str], log: Path) -> None:
        self._command, self._environment, self.log = command, dict(environment), log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        setpriv = shutil.which("setpriv")
        prefix = [setpriv, "--pdeathsig", "TERM"] if setpriv else []
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*prefix, *self._command], env=self._environment, cwd=self.log.parent, stdout=log, stderr=log
            )

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_MAX_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_MAX_S)
        self._process = None

    def wait_for(self, address: str) -> None:
        until = time.monotonic() + START_MAX_S
        while time.monotonic() < until:
            if self._process is None or self._process.poll() is not None:
                break
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(address, timeout=CALL_TIMEOUT_S).is_success:
                    return
            time.sleep(0.1)
        tail = self.log.read_text(errors="replace")[-2000:]
        pytest.fail(f"{self._command[0]} does not serve {address}; its log {self.log} ends:\n{tail}")


@dataclass
class CallList:
    """A journal in memory."""

    lines: list[dict[str, object]] = field(default_factory=list)

    def record(self, *, service: str, call: str, target: str, duration_s: float, outcome: str, detail: str) -> None:
        self.lines.append(
            {"service": service, "call": call, "target": target, "outcome": outcome, "detail": detail, "s": duration_s}
        )

    def calls(self, outcome: str | None = None) -> list[str]:
        return [str(line["call"]) for line in self.lines if outcome in (None, line["outcome"])]


@dataclass
class RucioServer:
    """The running server; ``server`` and ``pump`` may be stopped and started."""

    url: str
    rse_root: Path
    signer: Signer
    server: Program
    pump: Program

    def token(self, lifetime_s: int = 3600, subject: str = ACCOUNT, audience: str = "rucio") -> str:
        """A token of the robot."""
        claims = {"sub": subject, "scope": "openid wlcg", "aud": audience, "name": subject}
        return self.signer.sign(claims, lifetime_s)

    def client(
        self,
        token: Callable[[], str] | None = None,
        journal: CallList | None = None,
        url: str = "",
        timeout_s: float = 20,
    ) -> RucioClient:
        """A client of ours; by default with a token that lives for an hour."""
        if token is None:
            fixed = self.token()
            return RucioClient(url or self.url, ACCOUNT, lambda: fixed, timeout_s, journal)
        return RucioClient(url or self.url, ACCOUNT, token, timeout_s, journal)

    def did(self, kind: str = "S", scope: str = "MC2025_S1") -> Did:
        """A DID that was never used."""
        stamp = f"{os.getpid()}x{next(_NUMBERS)}x{time.time_ns() // 1_000_000}"
        return Did(scope, f"{scope}.t{stamp}.27GeV-UU.TEST2025-001.SIM.1.{kind}")

    def restart(self) -> None:
        """Start the server after a stop and wait until it serves."""
        self.server.start()
        self.server.wait_for(f"{self.url}/ping")


@pytest.fixture(scope="session")
def rucio_server(postgres: PostgresHandle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RucioServer]:
    """Yield a Rucio server with the sandbox's accounts, scopes and storages, its daemons running."""
    if not (RUCIO_ENVIRONMENT / "bin" / "gunicorn").exists():
        pytest.fail(f"there is no Rucio server in {RUCIO_ENVIRONMENT}: run make setup")
    folder = tmp_path_factory.mktemp("rucio")
    base = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ} | {"LANG": "C.UTF-8"}
    issuer, signer = _issuer(folder, base)
    settings = RucioSettings(
        folder=folder / "server",
        environment=RUCIO_ENVIRONMENT,
        database_url=postgres.create_database(f"rucio_{next(_NUMBERS)}"),
        root_password=ROOT_PASSWORD,
        issuer=signer.issuer,
        client_secrets={"rucio": "unused", "rucio-admin": "unused"},
    )
    write_configuration(settings)
    write_layout(settings, REPOSITORY / "include" / "specs" / "sites.yaml", folder / "rse", (ACCOUNT,))
    environment = {**base, **server_environment(settings, REPOSITORY), "PYTHONUNBUFFERED": "1"}
    port = free_port()
    server = Program(_gunicorn(port), environment, folder / "server.log")
    pump = Program([_python(), "-m", "sandbox.rucio.server.pump"], environment, folder / "pump.log")
    running = RucioServer(f"http://127.0.0.1:{port}", folder / "rse", signer, server, pump)
    try:
        issuer.wait_for(f"{signer.issuer}health")
        running.restart()
        pump.start()
        yield running
    finally:
        for program in (pump, server, issuer):
            program.stop()


@pytest.fixture
def rucio(rucio_server: RucioServer) -> RucioClient:
    """A client of ours, acting as the robot."""
    return rucio_server.client()


def _python() -> str:
    return str(RUCIO_ENVIRONMENT / "bin" / "python")


def _gunicorn(port: int) -> list[str]:
    options = ["--no-control-socket", "--workers", "1", "--threads", "8", "--graceful-timeout", "3"]
    address = ["--bind", f"127.0.0.1:{port}"]
    return [str(RUCIO_ENVIRONMENT / "bin" / "gunicorn"), *options, *address, "sandbox.rucio.server.wsgi:application"]


def _issuer(folder: Path, base: Mapping[str, str]) -> tuple[Program, Signer]:
    secrets = folder / "secrets"
    secrets.mkdir(mode=0o700)
    write_clients(secrets / CLIENTS_FILE, {ACCOUNT: Client(secret="unused", name=ACCOUNT, groups=GROUPS)})
    port = free_port()
    signer = Signer(ensure_key(secrets / KEY_FILE), f"http://127.0.0.1:{port}/")
    path = os.pathsep.join([str(REPOSITORY / "plugins"), str(REPOSITORY)])
    command = [sys.executable, "-m", "sandbox.iam.server", "--port", str(port), "--secrets", str(secrets)]
    program = Program(command, {**base, "PYTHONPATH": path}, folder / "iam.log")
    program.start()
    return program, signer
