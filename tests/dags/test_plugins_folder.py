"""What Airflow finds when it scans plugins/: one plugin, and none of our rooms under a bare name."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.airflow_environment import REPOSITORY

PROGRAM = """
import json, sys
from tests import airflow_environment
from airflow import plugins_manager
plugins_manager.ensure_plugins_loaded()
names = [plugin.name for plugin in plugins_manager._get_plugins()[0]]
errors = plugins_manager.get_import_errors()
folder = str(airflow_environment.REPOSITORY / "plugins")
bare = [name for name, module in sys.modules.items() if (getattr(module, "__file__", None) or "").startswith(folder)
        and not name.startswith("prodsys")]
print(json.dumps([names, errors, bare]))
"""


def test_airflow_loads_our_one_plugin_and_leaves_the_rooms_alone() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'plugins'}"},
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    names, errors, bare = json.loads(done.stdout.splitlines()[-1])
    assert "prodsys" in names
    assert errors == {}
    assert [name for name in bare if name != "prodsys_plugin"] == []
