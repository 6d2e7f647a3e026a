"""The whole stack, once for all system tests, driven as a newcomer drives it: by commands, in a home of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from prodsys.actions.core.context import Context, make_context
from prodsys.settings import REPOSITORY, Settings, read_settings

COMMAND_MAX_S = 600


@dataclass(frozen=True)
class Stack:
    """A running stack."""

    home: Path

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PRODSYS_", "AIRFLOW"))}
        return kept | {"PRODSYS_HOME": str(self.home)}

    @property
    def settings(self) -> Settings:
        return read_settings(self.environment)

    def prodsys(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command as a person would."""
        done = subprocess.run(
            [str(REPOSITORY / "bin" / "prodsys"), *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_MAX_S,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(
                f"prodsys {' '.join(arguments)} exited {done.returncode}:\n{done.stdout}\n{done.stderr}"
            )
        return done

    def json(self, *arguments: str) -> Any:
        """Run a command with ``--json``."""
        return json.loads(self.prodsys(*arguments, "--json").stdout)

    def context(self, who: str = "manager", *roles: str) -> Context:
        """Hands on this stack."""
        return make_context(who, frozenset(roles or ("manager",)), self.settings)

    def pid(self, program: str) -> int:
        """Process id of a program, as the stack's status tells it."""
        done = self.prodsys("stack", "status", "--json", check=False)  # exits 1 while something is down
        rows = json.loads(done.stdout)["programs"]
        return next(row["pid"] for row in rows if row["name"] == program)

    def password(self, name: str) -> str:
        return (self.home / "secrets" / f"airflow-{name}.password").read_text().strip()


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """A stack in a short, closed folder: everything must work there too."""
    home = Path(tempfile.mkdtemp(prefix="prodsys-"))
    running = Stack(home / "home")
    failed = True
    try:
        running.prodsys("stack", "up")
        yield running
        failed = False
    finally:
        if failed:
            print(running.prodsys("stack", "status", check=False).stdout)
        running.prodsys("stack", "down", check=False)
        if os.environ.get("PRODSYS_KEEP_HOME") != "1":
            shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def demo(stack: Stack) -> dict[str, Any]:
    """The demonstration has run; its report."""
    done = stack.prodsys("demo")
    print(done.stdout)
    return json.loads((stack.home / "demo" / "report.json").read_text())


@pytest.fixture
def wait_until() -> Callable[..., Any]:
    """Wait until a function gives something true; fail with what it gave last."""

    def wait(look: Callable[[], Any], timeout_s: float, what: str) -> Any:
        end = time.monotonic() + timeout_s
        while not (found := look()):
            assert time.monotonic() < end, f"{what} did not happen within {timeout_s} s; last seen: {found!r}"
            time.sleep(0.5)
        return found

    return wait
