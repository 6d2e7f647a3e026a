"""Figures of simulated jobs follow the experiment's history."""

from __future__ import annotations

import statistics
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from sandbox.panda.jobs.believable import FIGURES, SimulatedJob, Step, build_report, usual_wall_s
from sandbox.panda.jobs.simulate import events_of, report_of

SIM_BYTES, RECO_BYTES = 18358.86e9 / 10000, 18536.20e9 / 9992


def _job(step: Step = "SIM", **changes: Any) -> SimulatedJob:
    files = [
        ("x.S.000001.root", "x.S", "output"),
        ("x.P.000001.root", "x.P", "output"),
        ("x.log.1.tgz", "x.log", "log"),
    ]
    known: dict[str, Any] = {
        "events": 4000,
        "missing": 0,
        "input_bytes": 0,
        "wall_s": 10.0,
        "speed": 1.0,
        "files": files,
    }
    return SimulatedJob(attempt_key="x|0|0", step=step, **{**known, **changes})


@pytest.mark.parametrize(
    ("step", "wall_s", "log_mb"),
    [("SIM", (24612 + 24899 + 23316 + 22496) / 4, 0.193), ("RECO", 18 * 60, 0.507)],
)
def test_the_means_are_those_of_the_history(step: Step, wall_s: float, log_mb: float) -> None:
    figures = FIGURES[step]
    assert figures.wall_s_an_event * 4000 == pytest.approx(wall_s)
    assert figures.log_bytes / 1e6 == pytest.approx(log_mb, rel=0.01)


def test_a_thousand_sim_files_lie_within_one_percent_and_differ() -> None:
    sizes = []
    for number in range(1000):
        name = f"x.S.{number:06d}.root"
        report = build_report(_job(files=[(name, "x.S", "output")]), failed=False)
        sizes.append(report["files"][name]["size"])
    assert all(abs(size / SIM_BYTES - 1) < 0.01 for size in sizes)
    assert statistics.fmean(sizes) == pytest.approx(SIM_BYTES, rel=0.001)
    assert len(set(sizes)) > 950


def test_reco_follows_its_input_and_its_events() -> None:
    files = [("y.R.000001.root", "y.R", "output")]
    whole = build_report(_job("RECO", files=files, input_bytes=round(SIM_BYTES)), failed=False)
    half = build_report(_job("RECO", files=files, events=2000), failed=False)
    assert whole["files"]["y.R.000001.root"]["size"] == pytest.approx(RECO_BYTES, rel=0.01)
    assert half["files"]["y.R.000001.root"]["size"] == pytest.approx(RECO_BYTES / 2, rel=0.01)


def test_a_failed_job_leaves_its_log_alone() -> None:
    report = build_report(_job(), failed=True)
    assert list(report["files"]) == ["x.log.1.tgz"]
    assert report["n_events"] == 0


def test_missing_events_are_missing_in_every_output() -> None:
    report = build_report(_job(missing=3), failed=False)
    assert report["n_events"] == 3997
    assert [one["events"] for one in report["files"].values() if "events" in one] == [3997, 3997]


def test_times_follow_events_and_the_key_alone() -> None:
    assert (
        usual_wall_s("SIM", 4000, "x|1|0") == usual_wall_s("SIM", 4000, "x|1|0") != usual_wall_s("SIM", 4000, "x|2|0")
    )
    assert usual_wall_s("SIM", 2000, "x|1|0") == pytest.approx(usual_wall_s("SIM", 4000, "x|1|0") / 2)
    walls = [usual_wall_s("SIM", 4000, f"x|{slot}|0") for slot in range(2000)]
    assert statistics.fmean(walls) == pytest.approx(FIGURES["SIM"].wall_s_an_event * 4000, rel=0.01)
    assert 0.09 < statistics.stdev(walls) / statistics.fmean(walls) < 0.13


@pytest.mark.parametrize(
    ("slot", "parameters", "events"),
    [(0, "simu.C --seed=1 --n=4000", 4000), (25, "reco.C", 25), (0, "reco.C", 4000), (100, "x --nevents=50", 50)],
)
def test_events_are_those_of_the_parameters_else_of_the_slot(slot: int, parameters: str, events: int) -> None:
    assert events_of(slot, parameters) == events


def _row(**attributes: Any) -> Any:
    began = datetime(2026, 11, 21, 12)
    return SimpleNamespace(panda_id=7, site="Q", start_time=None, state_change_time=began, attributes=attributes)


def test_a_job_without_a_plan_or_with_a_silent_pilot_has_lost_its_heartbeat() -> None:
    for row in (_row(), _row(due=1.0, silent="sent")):
        report, errors = report_of(row, [])
        assert report["lost"]
        assert errors["jobDispatcherErrorCode"] == 102
        assert errors["jobDispatcherErrorDiag"] == "lost heartbeat : 2026-11-21 12:00:00"
