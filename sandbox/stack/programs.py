"""The programs of the sandbox: a list of declarations; order and health follow from it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from prodsys.intake.yaml_file import load_yaml
from sandbox.rucio.configuration import RucioSettings, server_environment
from sandbox.stack import health
from sandbox.stack.airflow_environment import airflow_environment
from sandbox.stack.errors import StackError
from sandbox.stack.home import REPOSITORY
from sandbox.stack.plan import VO, Plan
from sandbox.stack.ports import LOOPBACK
from sandbox.stack.privileges import choose_runner

RUCIO_ENVIRONMENT = REPOSITORY / ".venvs" / "rucio"
RUCIO_SUBJECTS = ("production", "panda")
GUNICORN = ("--no-control-socket", "--workers", "1", "--threads", "8", "--timeout", "120", "--graceful-timeout", "3")
HANDED_ON = (  # SANDBOX_PANDA_* that whoever starts the stack may set
    "ADDER", "SPEED", "SCENARIO", "RHYTHMS", "SITES", "JOBS",
    "REFINER", "DDM", "REFINERS", "ATTEMPT_SUFFIX", "MAX_QUEUED_JOBS", "STOMP_PORT",
)  # fmt: skip
Check = Callable[[], str | None]


@dataclass(frozen=True)
class Program:
    """One process that supervisor runs; ``check`` says what is wrong with it, or None."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    check: Check = field(repr=False)
    after: tuple[str, ...] = ()
    address: str = ""
    start_timeout_s: int = 90
    stop_signal: str = "TERM"
    stop_wait_s: int = 15


def make_programs(plan: Plan) -> list[Program]:
    """Return every program of a stack, in the order in which a person would start them."""
    return [_postgres(plan), *_iam(plan), *_rucio(plan), *_panda(plan), *_airflow(plan)]


def _postgres(plan: Plan) -> Program:
    cluster = plan.cluster
    return Program(
        name="postgres",
        command=tuple(cluster.command(choose_runner())),
        environment={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"} | _mark(plan),
        check=lambda: None if cluster.answers() else "takes no connection",
        address=f"{LOOPBACK}:{cluster.port}",
        stop_signal="INT",  # fast shutdown: open connections are closed
        stop_wait_s=30,
    )


def _mark(plan: Plan) -> dict[str, str]:
    return {"SANDBOX_STACK_HOME": str(plan.home.root)}


def _iam(plan: Plan) -> list[Program]:
    python, url = sys.executable, plan.url("iam")
    robot = plan.prodsys_settings("IAM_ISSUER", "IAM_CLIENT_ID", "IAM_CLIENT_SECRET_FILE")
    serve = ("-m", "sandbox.iam.server", "--port", str(plan.ports["iam"]), "--secrets", str(plan.home.secrets))
    tokens = [plan.token_file(audience) for audience in ("panda", "rucio")]
    return [
        Program("iam", (python, *serve), plan.base_environment, health.http(f"{url}/health"), address=plan.issuer),
        Program(
            name="tokens",
            command=(python, "-m", "sandbox.stack.tokens", *map(str, tokens)),
            environment={**plan.base_environment, **robot},
            check=lambda: health.tokens_valid(tokens),
            after=("iam",),
        ),
    ]


def rucio_settings(plan: Plan) -> RucioSettings:
    """Settings of this stack's Rucio server."""
    secrets = {client: plan.client_secret_file(client).read_text().strip() for client in ("rucio", "rucio-admin")}
    return RucioSettings(
        folder=plan.home.folder("rucio"),
        environment=RUCIO_ENVIRONMENT,
        database_url=plan.database_url("rucio"),
        root_password=plan.credentials.get("rucio-root.password"),
        issuer=plan.issuer,
        client_secrets=secrets,
    )


def rucio_python() -> str:
    """Interpreter of the Rucio server's environment.

    Raises
    ------
    StackError
        The environment does not exist.
    """
    python = RUCIO_ENVIRONMENT / "bin" / "python"
    if not python.exists():
        raise StackError(f"the Rucio server is not installed ({python} is missing): run make setup")
    return str(python)


def _rucio(plan: Plan) -> list[Program]:
    python, settings, url = rucio_python(), rucio_settings(plan), plan.url("rucio")
    environment = {**plan.base_environment, **server_environment(settings, REPOSITORY)}
    serve = ("-m", "gunicorn", *GUNICORN, "--bind", f"{LOOPBACK}:{plan.ports['rucio']}", "sandbox.rucio.server.wsgi")
    heartbeat = Path(environment["SANDBOX_RUCIO_HEARTBEAT"])
    return [
        Program(
            name="rucio-server",
            command=(python, *serve),
            environment=environment,
            check=health.http(f"{url}/ping"),
            after=("databases",),
            address=url,
        ),
        Program(
            name="rucio-daemons",
            command=(python, "-m", "sandbox.rucio.server.pump"),
            environment=environment,
            check=lambda: health.touched_lately(heartbeat),
            after=("databases",),
        ),
    ]


def _panda(plan: Plan) -> list[Program]:
    environment = {**plan.base_environment, **plan.prodsys_settings(), **panda_environment(plan)}
    url, module = plan.url("panda"), (sys.executable, "-m")
    return [
        Program(
            name="panda-server",
            command=(*module, "sandbox.panda.server", "--port", str(plan.ports["panda"])),
            environment=environment,
            check=health.http(f"{url}/health"),
            after=("databases", "iam"),
            address=url,
        ),
        Program(
            name="panda-jedi",
            command=(*module, "sandbox.panda.jedi"),
            environment=environment,
            check=lambda: health.holds_lock(plan.cluster, "panda"),
            after=("panda-server",),
        ),
    ]


def panda_environment(plan: Plan) -> dict[str, str]:
    """Settings of the PanDA sandbox."""
    folder = plan.home.folder("panda")
    own = {
        "DATABASE_URL": plan.database_url("panda"),
        "SITES": str(folder / "sites.yaml"),
        "RSE_ROOT": str(plan.home.folder("rse")),
        "WORK": str(folder / "work"),
        "SCENARIO": str(folder / "scenario.yaml"),
        "VO": VO,
        "IAM_ISSUER": plan.issuer,
        "IAM_CLIENT_ID": "panda",
        "IAM_CLIENT_SECRET_FILE": str(plan.client_secret_file("panda")),
        "RUCIO_URL": plan.url("rucio"),
        "RUCIO_ACCOUNT": "production",
        "URL": plan.url("panda"),
        "SPEED": str(profile_speed(plan)),
    }
    given = {name: os.environ[f"SANDBOX_PANDA_{name}"] for name in HANDED_ON if f"SANDBOX_PANDA_{name}" in os.environ}
    return {f"SANDBOX_PANDA_{name}": value for name, value in {**own, **given}.items()}


def profile_speed(plan: Plan) -> float:
    """By what PanDA's rhythms are divided, so that they fit the times of the profile."""
    path = plan.settings.specs / "profiles" / f"{plan.settings.profile}.yaml"
    return float(load_yaml(path).get("speed", 1))


def _airflow(plan: Plan) -> list[Program]:
    environment = airflow_environment(plan)
    url = plan.url("airflow")
    monitor = f"{url}/api/v2/monitor/health"

    def program(name: str, *words: str, after: str, check: Check) -> Program:
        command = (sys.executable, "-m", "airflow", name, *words)
        address = url if name == "api-server" else ""
        return Program(name, command, environment, check, after=(after,), address=address, start_timeout_s=180)

    # Logs are read from the disk here: the log servers of scheduler and triggerer would listen on every interface.
    return [
        program("api-server", after="databases", check=health.http(f"{url}/api/v2/version")),
        program("dag-processor", after="databases", check=health.airflow_job(monitor, "dag_processor")),
        program("triggerer", "--skip-serve-logs", after="databases", check=health.airflow_job(monitor, "triggerer")),
        # A task that the scheduler queues before the api-server answers fails.
        program("scheduler", "--skip-serve-logs", after="api-server", check=health.airflow_job(monitor, "scheduler")),
    ]
