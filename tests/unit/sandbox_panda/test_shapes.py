"""Keys of the replies and places of files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.panda.api.describe_job import JOB_KEYS
from sandbox.panda.api.describe_task import DETAIL_KEYS, super_status
from sandbox.panda.jobs.payload import number_in
from sandbox.panda.jobs.storage import file_path
from sandbox.panda.settings import SettingsInvalid, load_sites, read_settings

DATA = Path(__file__).resolve().parents[2] / "data" / "panda"
NEEDED = {"SANDBOX_PANDA_DATABASE_URL": "x", "SANDBOX_PANDA_RSE_ROOT": "/r", "SANDBOX_PANDA_WORK": "/w"}


def _reply(method: str) -> Any:
    for line in (DATA / "seed_list.jsonl").read_text(encoding="utf-8").splitlines():
        call = json.loads(line)
        if call["path"].endswith(method):
            return call["response_body"]["data"]
    raise AssertionError(method)


def test_a_task_has_the_recorded_attributes_in_their_order() -> None:
    keys = [key for key in _reply("get_detailed_info") if not key.startswith(("nFiles", "pct", "raw_"))]
    assert keys == DETAIL_KEYS


def test_a_job_has_the_recorded_attributes_in_their_order() -> None:
    job = _reply("get_job_descriptions")[0]
    assert [key for key in job if key not in ("Files", "jobDuration", "extendedProdSourceLabel")] == JOB_KEYS


@pytest.mark.parametrize(
    ("status", "coarse"),
    [("ready", "registered"), ("pending", "registered"), ("finishing", "running"), ("done", "done")],
)
def test_coarse_statuses(status: str, coarse: str) -> None:
    assert super_status(status) == coarse


def test_files_lie_where_rucio_would_look() -> None:
    path = file_path(Path("/rse"), "MC2025_S2", "a.S.000001.root")
    assert path.parts[:3] == ("/", "rse", "MC2025_S2")
    assert len(path.parts[3]) == len(path.parts[4]) == 2
    assert file_path(Path("/rse"), "user.x", "f").parts[2:4] == ("user", "x")


def test_numbers_in_parameters() -> None:
    text = "simu.C --seed=40003 --first=160008001 --n=4000"
    assert [number_in(text, name) for name in ("seed", "first", "n", "other")] == [40003, 160008001, 4000, None]


def test_a_missing_setting_is_named() -> None:
    with pytest.raises(SettingsInvalid, match="SANDBOX_PANDA_DATABASE_URL"):
        read_settings({})
    with pytest.raises(SettingsInvalid, match="SANDBOX_PANDA_SPEED"):
        read_settings({**NEEDED, "SANDBOX_PANDA_SPEED": "0"})


def test_queues_come_from_a_list_or_a_map(tmp_path: Path) -> None:
    path = tmp_path / "sites.yaml"
    settings = read_settings({**NEEDED, "SANDBOX_PANDA_SITES": str(path)})
    path.write_text("queues: [{name: A, rse: R, slots: 2}]")
    assert load_sites(settings)["A"].folder == Path("/r/R")
    path.write_text("A: {rse: R, folder: /f}")
    assert load_sites(settings)["A"].folder == Path("/f")
    path.write_text("queues: [{name: A, rse: R, slots: 0}]")
    with pytest.raises(SettingsInvalid, match="queue"):
        load_sites(settings)
