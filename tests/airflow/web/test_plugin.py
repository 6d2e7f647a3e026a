"""The plugin file at Airflow: the application is made when the API server asks for it, and by nobody else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field

import pytest

from tests.airflow_environment import REPOSITORY

PROGRAM = """
import json, sys
from tests import airflow_environment
from airflow import plugins_manager
plugins_manager.ensure_plugins_loaded()
before = "prodsys.web.application" in sys.modules
apps, _ = plugins_manager.get_fastapi_plugins()
ours = [one for one in apps if one["name"] == "prodsys"]
info = [one for one in plugins_manager.get_plugin_info() if one["name"] == "prodsys"]
again, _ = plugins_manager.get_fastapi_plugins()
print(json.dumps([before, [one["url_prefix"] for one in ours], [type(one["app"]).__name__ for one in ours],
                  [one["app"] for one in info[0]["fastapi_apps"]]]))
"""


@dataclass
class Role:
    name: str


@dataclass
class FabUser:
    roles: list[Role] = field(default_factory=list)


@dataclass
class SimpleUser:
    role: str | None


def test_only_the_api_server_imports_the_panel():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'plugins'}"},
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    imported_before, prefixes, kinds, told = json.loads(done.stdout.splitlines()[-1])
    assert not imported_before
    assert (prefixes, kinds) == (["/prodsys"], ["FastAPI"])
    assert told == ["fastapi.applications.FastAPI"]


@pytest.mark.parametrize(
    ("user", "names"),
    [
        (FabUser([Role("Admin"), Role("Viewer")]), {"Admin", "Viewer"}),
        (FabUser(), set()),
        (SimpleUser("ADMIN"), {"ADMIN"}),
        (SimpleUser(None), set()),
        (object(), set()),
    ],
)
def test_roles_of_any_auth_manager_are_read(user, names):
    from prodsys_plugin import role_names

    assert role_names(user) == names
