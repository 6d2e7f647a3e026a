"""The harness of ``make chaos-submit`` in small: every named point once, and random moments."""

from __future__ import annotations

import json
import secrets

import pytest

from tests.chaos.harness import run
from tests.chaos.nursery import Nursery
from tests.chaos.stage import Stage
from tests.chaos.trials import NAMED

KILLS = 20


@pytest.mark.timeout(600)
def test_after_twenty_kills_each_request_has_one_task_and_every_seed_ran_once(
    stage: Stage, nursery: Nursery, tmp_path
) -> None:
    report = run(stage, nursery, KILLS, secrets.randbelow(1_000_000))
    print(report.table())
    assert report.faults == (), f"seed {report.seed}"
    assert report.kills >= KILLS
    assert {one.point for one in report.results} > {trial.point for trial in NAMED}
    report.write(tmp_path)
    written = json.loads((tmp_path / "chaos-submit.json").read_text())
    assert (written["seed"], written["kills"]) == (report.seed, report.kills)
    assert report.table() in (tmp_path / "chaos-submit.txt").read_text()
