"""The files that the programs of a stack read at their start, written anew at each start."""

from __future__ import annotations

import json
import os

from prodsys.intake.yaml_file import load_yaml
from prodsys.whole_files import write_whole
from sandbox.iam.clients import Client, write_clients
from sandbox.iam.server import CLIENTS_FILE
from sandbox.rucio.configuration import write_configuration, write_layout
from sandbox.stack.plan import PEOPLE, ROBOT, Plan
from sandbox.stack.programs import RUCIO_SUBJECTS, rucio_settings

SLOTS_MAX = 4  # jobs at once a queue: it is one machine


def write_files(plan: Plan) -> None:
    """Write what the programs read at their start, and ``prodsys.env``."""
    for person in PEOPLE:
        plan.credentials.get(f"airflow-{person}.password")
    write_clients(plan.home.secrets / CLIENTS_FILE, _clients(plan))
    settings = rucio_settings(plan)
    write_configuration(settings)
    write_layout(settings, plan.settings.specs / "sites.yaml", plan.home.folder("rse"), RUCIO_SUBJECTS)
    for stale in (settings.folder / "pump.heartbeat", plan.token_file("panda"), plan.token_file("rucio")):
        stale.unlink(missing_ok=True)  # signs of life of the last start
    _write_panda_files(plan)
    lines = [f"{name}={value}\n" for name, value in plan.prodsys_environment.items()]
    write_whole(plan.home.environment_file, "".join(lines))


def _clients(plan: Plan) -> dict[str, Client]:
    groups = {ROBOT: ("spd", "spd/production")}
    audiences = {ROBOT: ("panda", "rucio"), "panda": ("rucio",), "rucio": ("rucio",), "rucio-admin": ("rucio",)}
    return {
        name: Client(
            secret=plan.client_secret_file(name).read_text(encoding="utf-8").strip(),
            name=name,
            groups=groups.get(name, ()),
            audiences=asked,
        )
        for name, asked in audiences.items()
    }


def _write_panda_files(plan: Plan) -> None:
    """Write the queues of ``sites.yaml``, and an empty scenario unless there is one.

    Queues have this machine's size, or their own when their jobs are simulated and cost nothing.
    """
    folder = plan.home.folder("panda")
    simulated = os.environ.get("SANDBOX_PANDA_JOBS") == "simulated"
    table = load_yaml(plan.settings.specs / "sites.yaml")
    queues = [
        {
            "name": row["name"],
            "rse": row["rse"],
            "slots": row["slots"] if simulated else min(row["slots"], SLOTS_MAX),
            "cloud": table["cloud"],
            "status": "online" if row.get("enabled", True) else "offline",
        }
        for row in table["queues"]
    ]
    (folder / "sites.yaml").write_text(json.dumps({"queues": queues}, indent=1), encoding="utf-8")
    (folder / "work").mkdir(exist_ok=True)
