"""The schemas of the four databases, each made by the tool of whoever owns it, side by side."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from sandbox.rucio.configuration import server_environment
from sandbox.stack.airflow_environment import airflow_environment
from sandbox.stack.errors import PartFailed
from sandbox.stack.home import REPOSITORY
from sandbox.stack.plan import DATABASES, Plan
from sandbox.stack.postgres import end_idle_transactions, ensure_database, ensure_role
from sandbox.stack.programs import rucio_python, rucio_settings
from sandbox.stack.steps import Step

TIMEOUT_S = 300
IDLE_TRANSACTION_MAX_S = 60  # longer than any of the programs thinks between two statements


def run_logged(part: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
    """Run a command to its end; its words go to the log.

    Raises
    ------
    PartFailed
        It failed or took too long; the reason is its last line.
    """
    with log.open("w", encoding="utf-8") as output:
        try:
            code = subprocess.run(
                command, env=environment, stdout=output, stderr=output, cwd="/", timeout=TIMEOUT_S, check=False
            ).returncode
        except subprocess.TimeoutExpired as error:
            raise PartFailed(part, f"not ready after {TIMEOUT_S} s", log) from error
    if code:
        lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        raise PartFailed(part, lines[-1].strip() if lines else f"ended with code {code}", log)


def ensure_databases(plan: Plan) -> None:
    """Make roles and empty databases, or give the roles the passwords of this home."""
    for name in DATABASES:
        ensure_role(plan.cluster, name, plan.role_password(name))
        ensure_database(plan.cluster, name, owner=name)
        end_idle_transactions(plan.cluster, name, IDLE_TRANSACTION_MAX_S)


def migration_steps(plan: Plan, after: tuple[str, ...]) -> list[Step]:
    """Return the steps that bring the schemas of Airflow, ledger and Rucio to their newest versions."""
    airflow = airflow_environment(plan)
    ledger = {**plan.base_environment, **plan.prodsys_environment}
    rucio = {**plan.base_environment, **server_environment(rucio_settings(plan), REPOSITORY)}
    python = sys.executable

    def step(name: str, command: Sequence[str], environment: Mapping[str, str]) -> Step:
        log = plan.home.log_of(name)
        return Step(name, lambda: run_logged(name, command, environment, log), after)

    return [
        step("airflow-schema", (python, "-m", "sandbox.stack.airflow_setup", "schema"), airflow),
        step("ledger-schema", (python, "-m", "prodsys.ledger.migrate"), ledger),
        step("rucio-schema", (rucio_python(), "-m", "sandbox.rucio.server.bootstrap"), rucio),
    ]
