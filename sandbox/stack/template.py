"""A PostgreSQL data folder with all schemas in it, made once a version of the code and copied into every new home.

Making the schemas takes a good part of a minute on a small machine, copying takes none. The folder is named by the
digest of what the schemas follow from; ``make clean`` leaves it alone.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.rucio.configuration import write_configuration
from sandbox.stack.errors import PartFailed
from sandbox.stack.home import REPOSITORY, Home
from sandbox.stack.migration import ensure_databases, migration_steps
from sandbox.stack.plan import PORT_NAMES, Plan
from sandbox.stack.ports import choose_ports
from sandbox.stack.postgres import FORGETFUL_SETTINGS, SUPERUSER, Cluster, initialise, start_cluster
from sandbox.stack.privileges import choose_runner
from sandbox.stack.programs import rucio_settings
from sandbox.stack.steps import Result, run_steps

CACHE = REPOSITORY / ".venvs" / "cache"
DIGEST_NAME = "schemas.sha256"
FOLLOWS_FROM = (
    "requirements.txt",
    "sandbox/rucio/requirements.txt",
    "sandbox/rucio/configuration.py",
    "sandbox/rucio/server/bootstrap.py",
    "sandbox/stack/airflow_setup.py",
    "sandbox/stack/migration.py",
    "sandbox/stack/postgres.py",
    "sandbox/stack/template.py",
)
COPY_TIMEOUT_S = 120
Report = Callable[[Result], None]


def schema_digest() -> str:
    """Digest of everything the schemas follow from."""
    migrations = sorted((REPOSITORY / "include" / "sql" / "migrations").rglob("*.py"))
    digest = hashlib.sha256()
    for path in [*(REPOSITORY / name for name in FOLLOWS_FROM), *migrations]:
        digest.update(f"{path.relative_to(REPOSITORY)}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def copy_template(plan: Plan, report: Report) -> None:
    """Make this home's data folder as a copy of the template, which is made first when there is none."""
    with _locked(CACHE / "template.lock"):
        template = CACHE / f"pg-{schema_digest()[:16]}"
        if not template.exists():
            _make_template(template, report)
    _copy(template, plan.cluster.data)
    _take_over(plan.cluster)
    record_digest(plan.home)


def record_digest(home: Home) -> None:
    """Note that this home's schemas are those of the code."""
    (home.folder("pg") / DIGEST_NAME).write_text(schema_digest(), encoding="utf-8")


def is_current(home: Home) -> bool:
    """Whether this home's schemas are those of the code."""
    path = home.folder("pg") / DIGEST_NAME
    return path.exists() and path.read_text(encoding="utf-8") == schema_digest()


def _make_template(template: Path, report: Report) -> None:
    for old in CACHE.glob("pg-*"):
        shutil.rmtree(old)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix=".making-") as folder:
        plan = _temporary_plan(Home(Path(folder)))
        initialise(plan.cluster.data, plan.cluster.password, choose_runner())
        with start_cluster(plan.cluster, plan.home.log_of("postgres")):
            ensure_databases(plan)
            _migrate(plan, report)
        plan.cluster.data.rename(template)


def _temporary_plan(home: Home) -> Plan:
    home.create()
    plan = Plan(home, choose_ports(PORT_NAMES, home.ports), FORGETFUL_SETTINGS)
    write_configuration(rucio_settings(plan))
    return plan


def _migrate(plan: Plan, report: Report) -> None:
    results = run_steps(migration_steps(plan, after=()), report)
    for result in results.values():
        if result.error:
            raise _with_kept_log(plan.home, result)


def _with_kept_log(home: Home, result: Result) -> PartFailed:
    kept = CACHE / f"{result.name}.log"
    shutil.copyfile(home.log_of(result.name), kept)
    reason = result.error.reason if isinstance(result.error, PartFailed) else str(result.error)
    return PartFailed(result.name, reason, kept)


def _copy(source: Path, target: Path) -> None:
    partial = target.with_name("data.new")
    if partial.exists():
        shutil.rmtree(partial)
    subprocess.run(["cp", "-a", "--reflink=auto", str(source), str(partial)], check=True, timeout=COPY_TIMEOUT_S)
    partial.rename(target)


def _take_over(cluster: Cluster) -> None:
    """Give the copied server the password of this home, in single-user mode: no port is open meanwhile."""
    command = cluster.single_user_command(choose_runner())
    statement = f"alter role {SUPERUSER} password '{cluster.password}'\n"
    done = subprocess.run(
        command, input=statement, capture_output=True, text=True, cwd="/", timeout=COPY_TIMEOUT_S, check=False
    )
    if done.returncode or "ERROR" in done.stderr:
        raise PartFailed("postgres", f"the copied template refuses a new password: {done.stderr.strip()[-300:]}")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
