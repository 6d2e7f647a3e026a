"""The harness of ``make chaos-submit`` in small: every named point once, and random moments."""

from __future__ import annotations

import json
import secrets
from random import Random

import pytest

from tests.chaos import trials
from tests.chaos.harness import Report, run, try_trial
from tests.chaos.nursery import Nursery
from tests.chaos.points import Point
from tests.chaos.stage import Stage
from tests.chaos.trials import NAMED, Trial, Trouble, killed_at

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


def _trouble(stage: Stage, nursery: Nursery, request_id: str) -> Trouble:
    return Trouble(stage, nursery, request_id, Random(1))


def test_a_point_that_no_process_comes_to_is_a_fault(stage: Stage, nursery: Nursery, request_id: str) -> None:
    never = Trial("worker: in doubt without a reason", killed_at(Point.DOUBT_COMMITTED))
    result = try_trial(_trouble(stage, nursery, request_id), never, 0)
    assert result.faults == ()
    report = Report(0, "", 0.0, (result,))
    assert report.faults == ("no process ever came to 'doubt committed': nothing was tried there",)


def test_a_process_that_comes_to_no_point_ends_its_trial_soon(
    stage: Stage, nursery: Nursery, request_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "POINT_MAX_S", 2.0)
    stage.switch_jedi("pause")  # nothing is confirmed
    try:
        with pytest.raises(TimeoutError, match="no process came to 'confirmed' within 2 s"):
            _trouble(stage, nursery, request_id).stopped_worker(Point.CONFIRMED)
    finally:
        stage.switch_jedi("resume")
