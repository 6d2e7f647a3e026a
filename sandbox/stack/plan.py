"""The addresses and settings of one stack, worked out once from its home, its ports and its secrets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from prodsys.settings import Settings, read_settings
from sandbox.stack.home import REPOSITORY, Credentials, Home
from sandbox.stack.ports import LOOPBACK
from sandbox.stack.postgres import Cluster

DATABASES = ("airflow", "prodsys", "rucio", "panda")  # each with a role of the same name
PORT_NAMES = ("supervisor", "postgres", "iam", "rucio", "panda", "airflow")
VO, ROLE = "spd", "production"
ROBOT = "production"
SERVICE_USER = "prodsys"
PEOPLE = ("admin", "manager", "viewer")


@dataclass(frozen=True)
class Plan:
    """Everything that the programs of one stack must agree on."""

    home: Home
    ports: Mapping[str, int]
    postgres_settings: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def credentials(self) -> Credentials:
        """Secrets of this stack."""
        return Credentials(self.home.secrets)

    @cached_property
    def settings(self) -> Settings:
        """Settings a person gave: profile and specs."""
        return read_settings({**os.environ, "PRODSYS_HOME": str(self.home.root)})

    @cached_property
    def cluster(self) -> Cluster:
        """The PostgreSQL server."""
        password = self.credentials.get("postgres.password")
        return Cluster(self.home.folder("pg") / "data", self.ports["postgres"], password, self.postgres_settings)

    def url(self, name: str) -> str:
        """Address of a web service, without a slash at its end."""
        return f"http://{LOOPBACK}:{self.ports[name]}"

    @property
    def issuer(self) -> str:
        """Address of the token issuer; its slash belongs to its name."""
        return self.url("iam") + "/"

    def role_password(self, role: str) -> str:
        """Password of a database role."""
        return self.credentials.get(f"postgres-{role}.password")

    def database_url(self, name: str, driver: str = "postgresql+psycopg") -> str:
        """Address of a database for its own role; ``SANDBOX_<NAME>_DATABASE_URL`` may name another server."""
        outside = os.environ.get(f"SANDBOX_{name.upper()}_DATABASE_URL")
        return outside or self.cluster.url(name, name, self.role_password(name), driver)

    def client_secret_file(self, client: str) -> Path:
        """File with the secret of a client of the issuer."""
        self.credentials.get(f"iam-{client}.secret")
        return self.credentials.path(f"iam-{client}.secret")

    def token_file(self, audience: str) -> Path:
        """File with a token of the robot for an audience, kept valid while the stack is up."""
        return self.credentials.path(f"{audience}.token")

    @cached_property
    def prodsys_environment(self) -> dict[str, str]:
        """``PRODSYS_*`` of the processes that act for people: Airflow's, and commands."""
        self.credentials.get(f"airflow-{SERVICE_USER}.password")
        return {
            "PRODSYS_HOME": str(self.home.root),
            "PRODSYS_PROFILE": self.settings.profile,
            "PRODSYS_STANDING_INTERVAL_S": self.settings.get("STANDING_INTERVAL_S", "10") or "10",
            "PRODSYS_SPECS": str(self.settings.specs),
            "PRODSYS_DATABASE_URL": self.database_url("prodsys"),
            "PRODSYS_PANDA_URL": self.url("panda"),
            "PRODSYS_PANDA_VO": VO,
            "PRODSYS_PANDA_ORIGIN": f"{VO}.{ROLE}",
            "PRODSYS_PANDA_MONITOR_URL": self.url("panda"),
            "PRODSYS_RUCIO_URL": self.url("rucio"),
            "PRODSYS_RUCIO_ACCOUNT": ROBOT,
            "PRODSYS_IAM_ISSUER": self.issuer,
            "PRODSYS_IAM_CLIENT_ID": ROBOT,
            "PRODSYS_IAM_CLIENT_SECRET_FILE": str(self.client_secret_file(ROBOT)),
            "PRODSYS_AIRFLOW_URL": self.url("airflow"),
            "PRODSYS_AIRFLOW_USER": SERVICE_USER,
            "PRODSYS_AIRFLOW_PASSWORD_FILE": str(self.credentials.path(f"airflow-{SERVICE_USER}.password")),
            "PRODSYS_RSE_ROOT": str(self.home.folder("rse")),
        }

    def prodsys_settings(self, *names: str) -> dict[str, str]:
        """Some of the ``PRODSYS_*``: a program is told what it needs, and no password of others."""
        return {f"PRODSYS_{name}": self.prodsys_environment[f"PRODSYS_{name}"] for name in ("HOME", *names)}

    @cached_property
    def base_environment(self) -> dict[str, str]:
        """What every program gets besides its own: nothing of the caller's but where things are."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "USER", "LOGNAME", "TMPDIR") if name in os.environ}
        python = {"PYTHONPATH": f"{REPOSITORY / 'plugins'}:{REPOSITORY}", "PYTHONUNBUFFERED": "1"}
        # Airflow's processes retitle themselves; SPT_NOENV keeps the mark by which what is left of a stack is found.
        mark = {"SANDBOX_STACK_HOME": str(self.home.root), "SPT_NOENV": "1"}
        return {**kept, **python, "LANG": "C.UTF-8", "NO_PROXY": "*", **mark}
