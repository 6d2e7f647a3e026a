"""The sandbox as a target: its two processes on a free port, with a database of their own."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.contract.panda.tokens import ISSUER, Issuer

REPOSITORY = Path(__file__).resolve().parents[3]
START_TIMEOUT_S = 60.0
NARROW = "SPD_NARROW"
IMPATIENT = {"unknown_s": 16, "finish_s": 12, "parent_s": 60, "soft_finish_s": 60, "pending_s": 40}
"""Rhythms that nobody wants to wait for, shorter than recorded [s]; all are divided by the speed."""


def free_port() -> int:
    """Port nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Sandbox:
    """Server and JEDI of the sandbox; both can be killed and started again."""

    def __init__(
        self, folder: Path, database_url: str, speed: float = 20.0, rse: str = "LOCAL_EOS", **settings: str
    ) -> None:
        self.folder, self.port = folder, free_port()
        self.database_url = database_url
        self.issuer = Issuer(folder)
        self.scenario = folder / "scenario.yaml"
        self.rse_root = folder / "rse"
        sites = folder / "sites.yaml"
        queues = [{"name": name, "rse": rse, "slots": slots} for name, slots in (("SPD_LOCAL", 8), (NARROW, 2))]
        sites.write_text(json.dumps(queues), encoding="utf-8")
        self.url = f"http://127.0.0.1:{self.port}"
        given = {
            "DATABASE_URL": database_url,
            "SPEED": str(speed),
            "ADDER": "none",
            "SITES": str(sites),
            "RSE_ROOT": str(self.rse_root),
            "WORK": str(folder / "work"),
            "SCENARIO": str(self.scenario),
            "IAM_ISSUER": ISSUER,
            "JWKS": str(self.issuer.jwks),
            "URL": self.url,
            **settings,
        }
        rhythms = folder / "rhythms.yaml"
        rhythms.write_text(json.dumps(IMPATIENT), encoding="utf-8")
        given["RHYTHMS"] = str(rhythms)
        path = f"{REPOSITORY / 'plugins'}:{REPOSITORY}"
        own = {f"SANDBOX_PANDA_{name}": value for name, value in given.items()}
        self._environment = {**os.environ, "PYTHONPATH": path, **own}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start what does not run, and wait until the server answers."""
        self.revive()
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._healthy():
            if time.monotonic() > deadline or self._processes["server"].poll() is not None:
                raise RuntimeError(f"the sandbox did not start, see {self.folder}/server.log")
            time.sleep(0.1)

    def revive(self) -> None:
        """Start what does not run."""
        self._start("server", "--port", str(self.port))
        self._start("jedi")

    def _start(self, part: str, *arguments: str) -> None:
        running = self._processes.get(part)
        if running is not None and running.poll() is None:
            return
        with (self.folder / f"{part}.log").open("ab") as log:
            self._processes[part] = subprocess.Popen(
                [sys.executable, "-m", f"sandbox.panda.{part}", *arguments],
                env=self._environment,
                cwd=REPOSITORY,
                stdout=log,
                stderr=log,
            )

    def _healthy(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def pid(self, part: str) -> int:
        """Id of one process."""
        return self._processes[part].pid

    def signal(self, part: str, number: signal.Signals) -> None:
        """Send one process a signal: SIGSTOP, SIGCONT."""
        self._processes[part].send_signal(number)

    def kill(self, part: str) -> None:
        """End one process at once, as `kill -9` does."""
        self._processes[part].send_signal(signal.SIGKILL)
        self._processes[part].wait(timeout=10)

    def stop(self) -> None:
        """End both processes."""
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=10)

    def play(self, *rules: dict[str, object]) -> None:
        """Let these scenario rules be in force from now on."""
        part = self.scenario.with_suffix(".part")
        part.write_text(json.dumps({"rules": list(rules)}), encoding="utf-8")
        part.rename(self.scenario)
