"""``python -m tests.contract.chain.dag_run DAG_ID RESULT``: one run of a published DAG by `dag.test`, in a process.

Its airflow tasks are the real ones, so are the services that they call; the environment says where these are.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prodsys.settings import REPOSITORY
from tests.contract.chain.site import ROBOT, Site

RUN_MAX_S = 800
BUNDLE = {"name": "requests", "classpath": "prodsys.building.bundle.RequestBundle", "kwargs": {}}


@dataclass(frozen=True)
class Ran:
    """What became of a run: its state, and state and number of the last try of every airflow task."""

    dag_run_id: str
    state: str
    tasks: dict[str, tuple[str, int]]

    def states(self, beginning: str) -> set[str]:
        """States of the airflow tasks whose ids begin so."""
        return {state for task_id, (state, _) in self.tasks.items() if task_id.startswith(beginning)}


def environment(site: Site, folder: Path, airflow_url: str, panda_url: str, specs: Path) -> dict[str, str]:
    """Environment of Airflow at this site, with a database of its own."""
    password = folder / "airflow_password"
    password.write_text("unused")
    issuer = {"issuer": site.rucio.signer.issuer}
    connections = {
        "PRODSYS_LEDGER": site.database_url.replace("postgresql+psycopg", "postgres"),
        "PANDA_DEFAULT": _connection("panda", panda_url, {"origin": "spd.production", **issuer}),
        "RUCIO_DEFAULT": _connection("rucio", site.rucio.url, {"account": ROBOT, **issuer}),
    }
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PRODSYS_"))},
        **site.settings(folder),
        **{f"AIRFLOW_CONN_{name}": value for name, value in connections.items()},
        "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'plugins'}",
        "PANDA_BEHIND_REAL_LB": "1",
        "PRODSYS_SPECS": str(specs),
        "PRODSYS_RSE_ROOT": str(site.rucio.rse_root),
        "PRODSYS_AIRFLOW_URL": airflow_url,
        "PRODSYS_AIRFLOW_USER": "prodsys",
        "PRODSYS_AIRFLOW_PASSWORD_FILE": str(password),
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(folder / "no_plugins"),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([BUNDLE]),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(folder / "bundles"),
    }


def _connection(kind: str, host: str, extra: Mapping[str, str]) -> str:
    return json.dumps({"conn_type": kind, "host": host, "login": ROBOT, "password": "unused", "extra": extra})


def run_dag(variables: Mapping[str, str], folder: Path, dag_id: str) -> Ran:
    """Run the DAG to its end, whatever that is."""
    result, log = folder / "result.json", folder / "dag_run.log"
    result.unlink(missing_ok=True)
    python, common = sys.executable, {"env": dict(variables), "cwd": REPOSITORY, "timeout": RUN_MAX_S}
    with log.open("ab") as words:
        subprocess.run([python, "-m", "airflow", "db", "migrate"], stdout=words, stderr=words, check=True, **common)
        own = [python, "-m", "tests.contract.chain.dag_run", dag_id, str(result)]
        subprocess.run(own, stdout=words, stderr=words, check=False, **common)
    assert result.exists(), log.read_text(errors="replace")[-3000:]
    told = json.loads(result.read_text())
    return Ran(told["dag_run_id"], told["state"], {name: tuple(what) for name, what in told["tasks"].items()})


def main(dag_id: str, result: Path) -> None:
    """Run the newest version of the DAG and write down how it ended."""
    from airflow.dag_processing.dagbag import DagBag

    from prodsys.building.bundle import RequestBundle

    bundle: Any = RequestBundle(name="requests")
    bundle.initialize()
    bag = DagBag(dag_folder=str(bundle.path), bundle_path=bundle.path, bundle_name="requests")
    run = bag.dags[dag_id].test()
    tasks = {one.task_id: (str(one.state), one.try_number) for one in run.get_task_instances()}
    result.write_text(json.dumps({"dag_run_id": run.run_id, "state": str(run.state), "tasks": tasks}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
