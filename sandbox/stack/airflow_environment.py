"""Airflow's settings, as environment variables; nothing else configures it.

Why a value differs from Airflow's default stands beside it.
"""

from __future__ import annotations

import json

from sqlalchemy.engine import make_url

from sandbox.stack.home import REPOSITORY, random_fernet_key
from sandbox.stack.plan import ROBOT, ROLE, VO, Plan
from sandbox.stack.ports import LOOPBACK

FILES_REFRESH_S, REQUESTS_REFRESH_S = 15, 2
LOGIN_RATE = "60 per minute"  # the default (5 in 40 s) stops a browser test that opens a session for each role
BUNDLES = [
    {
        "name": "dags-folder",
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {"refresh_interval": FILES_REFRESH_S},
    },
    {
        "name": "requests",
        "classpath": "prodsys.building.bundle.RequestBundle",
        "kwargs": {"refresh_interval": REQUESTS_REFRESH_S},
    },
]


def airflow_environment(plan: Plan) -> dict[str, str]:
    """Environment of every Airflow process, with the connections of the package."""
    sections = {**_core(plan), **_services(plan), **_patience()}
    variables = {
        f"AIRFLOW__{section.upper()}__{name.upper()}": value
        for section, values in sections.items()
        for name, value in values.items()
    }
    home = {"AIRFLOW_HOME": str(plan.home.folder("airflow"))}
    return {
        **plan.base_environment,
        **plan.prodsys_environment,
        **home,
        **variables,
        **connections(plan),
        **PANDA_CLIENT,
    }


# panda-client looks up a CERN host name when it is imported, unless told that it need not.
PANDA_CLIENT = {"PANDA_BEHIND_REAL_LB": "1"}


def _core(plan: Plan) -> dict[str, dict[str, str]]:
    secrets = plan.credentials
    return {
        "core": {
            "executor": "LocalExecutor",
            "parallelism": "6",
            "max_active_tasks_per_dag": "16",
            "auth_manager": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
            "dags_folder": str(REPOSITORY / "dags"),
            "plugins_folder": str(REPOSITORY / "plugins"),
            "load_examples": "False",
            "dags_are_paused_at_creation": "False",
            "min_serialized_dag_update_interval": "1",  # at 30 s, a change soon after another is lost
            "test_connection": "Enabled",
            "hostname_callable": "sandbox.stack.airflow_host.loopback",
            "fernet_key": secrets.get("airflow-fernet.key", random_fernet_key),
            "execution_api_server_url": plan.url("airflow") + "/execution/",
        },
        "database": {"sql_alchemy_conn": plan.database_url("airflow"), "sql_alchemy_pool_size": "5"},
        "fab": {
            "auth_rate_limit": LOGIN_RATE,
            "config_file": str(REPOSITORY / "sandbox" / "stack" / "webserver_config.py"),
        },
        "logging": {"base_log_folder": str(plan.home.folder("airflow") / "logs")},
        "usage_data_collection": {"enabled": "False"},
        "metrics": {"statsd_on": "False"},
        "traces": {"otel_on": "False"},
    }


def _services(plan: Plan) -> dict[str, dict[str, str]]:
    secrets = plan.credentials
    return {
        "api": {
            "host": LOOPBACK,
            "port": str(plan.ports["airflow"]),
            "base_url": plan.url("airflow"),
            "workers": "1",
            "secret_key": secrets.get("airflow-api.key"),
            "expose_config": "False",
        },
        "api_auth": {"jwt_secret": secrets.get("airflow-jwt.key")},
        "execution_api": {"jwt_expiration_time": "3600"},
        "dag_processor": {
            "dag_bundle_config_list": json.dumps(BUNDLES),
            "dag_bundle_storage_path": str(plan.home.folder("airflow") / "bundles"),
            "refresh_interval": str(FILES_REFRESH_S),
            "bundle_refresh_check_interval": "1",
            "min_file_process_interval": "120",  # a file that changed is parsed at once all the same
            "parsing_processes": "2",
        },
        "triggerer": {"capacity": "2000"},
    }


def _patience() -> dict[str, dict[str, str]]:
    """Values with which an api-server that is away for 40 s fails no task, and a killed scheduler is noticed soon."""
    return {
        "scheduler": {"orphaned_tasks_check_interval": "60", "task_instance_heartbeat_timeout": "120"},
        "workers": {
            "max_failed_heartbeats": "20",
            "execution_api_retries": "12",
            "execution_api_retry_wait_max": "10",
        },
    }


def connections(plan: Plan) -> dict[str, str]:
    """Airflow's connections, derived from the settings of the package."""
    return {f"AIRFLOW_CONN_{name.upper()}": json.dumps(row) for name, row in _connection_rows(plan).items()}


def _connection_rows(plan: Plan) -> dict[str, dict[str, object]]:
    """Return the rows by connection id; the secret of the robot stays in its file, which the hooks know."""
    robot = {"login": ROBOT}
    panda = {"origin": f"{VO}.{ROLE}", "issuer": plan.issuer}
    rucio = {"account": ROBOT, "issuer": plan.issuer}
    return {
        "prodsys_ledger": _postgres_row(plan.prodsys_environment["PRODSYS_DATABASE_URL"]),
        "panda_default": {"conn_type": "panda", "host": plan.url("panda"), **robot, "extra": panda},
        "rucio_default": {"conn_type": "rucio", "host": plan.url("rucio"), **robot, "extra": rucio},
    }


def _postgres_row(url: str) -> dict[str, object]:
    parts = make_url(url)
    return {
        "conn_type": "postgres",
        "host": parts.host,
        "port": parts.port,
        "login": parts.username,
        "password": parts.password,
        "schema": parts.database,
    }
