"""Launching against an Airflow API that is busy, slow to show a DAG, or away."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from prodsys.actions.core.dry_run import run_dry
from prodsys.actions.planning.planning import approve, plan
from prodsys.actions.queries.showing import show_request
from prodsys.actions.requests.cloning import CloneOrder, clone
from prodsys.actions.runs.launching import dispatch, launch
from prodsys.errors import AirflowUnavailable


def test_a_busy_airflow_is_asked_again(approved, airflow):
    airflow.busy = 2
    assert launch(approved, "DEMO2025-016").started
    assert airflow.started == ["DEMO2025-016-r1"]


def test_a_dag_of_another_digest_is_not_started(approved, airflow):
    airflow.digest = "sha256:another"
    with pytest.raises(AirflowUnavailable, match="not shown"):
        launch(approved, "DEMO2025-016")
    assert airflow.started == []
    assert show_request(approved, "DEMO2025-016")["state"] == "ready"


def test_what_could_not_start_is_started_by_the_dispatcher_once_airflow_is_back(approved, airflow):
    airflow.busy = 10_000
    with pytest.raises(AirflowUnavailable):
        launch(approved, "DEMO2025-016")
    assert [answer.started for answer in dispatch(approved)] == [False]
    airflow.busy = 0
    assert [answer.started for answer in dispatch(approved)] == [True]
    assert dispatch(approved) == []
    assert airflow.started == ["DEMO2025-016-r1"]


def test_past_the_limit_a_request_waits_as_ready_and_the_most_urgent_comes_first(approved, airflow):
    policy = approved.catalogue.policy.model_copy(update={"running_limit": 1})
    ctx = replace(approved, catalogue=approved.catalogue.model_copy(update={"policy": policy}))
    for number, priority in ((17, 500), (18, 950)):
        order = CloneOrder(seed_count=3, events_per_file=20, priority=priority)
        clone(ctx, "PROD2025-016", f"DEMO2025-{number:03d}", order)
        plan(ctx, f"DEMO2025-{number:03d}")
        approve(ctx, f"DEMO2025-{number:03d}")
    assert launch(ctx, "DEMO2025-016").started
    assert not launch(ctx, "DEMO2025-017").started
    assert not launch(ctx, "DEMO2025-018").started
    assert [show_request(ctx, f"DEMO2025-{number:03d}")["state"] for number in (17, 18)] == ["ready", "ready"]
    assert [answer.request_id for answer in dispatch(ctx)] == ["DEMO2025-018", "DEMO2025-017"]
    assert airflow.started == ["DEMO2025-016-r1"]


def test_what_airflow_refuses_keeps_none_of_the_others_from_starting(approved, airflow):
    clone(approved, "PROD2025-016", "DEMO2025-017", CloneOrder(seed_count=3, events_per_file=20, priority=950))
    plan(approved, "DEMO2025-017")
    airflow.digest += " " + approve(approved, "DEMO2025-017").digest
    airflow.busy = 10_000
    for number in (16, 17):
        with pytest.raises(AirflowUnavailable):
            launch(approved, f"DEMO2025-{number:03d}")
    airflow.busy, airflow.refuses = 0, {"DEMO2025-017-r1"}
    answers = dispatch(approved)
    assert [(one.request_id, one.started) for one in answers] == [("DEMO2025-017", False), ("DEMO2025-016", True)]
    assert "forbidden" in answers[0].message


def test_a_rehearsal_waits_for_nobody(approved, airflow):
    times = approved.catalogue.profile.times.model_copy(update={"dag_visible_max_s": 60})
    profile = approved.catalogue.profile.model_copy(update={"times": times})
    patient = replace(approved, catalogue=approved.catalogue.model_copy(update={"profile": profile}))
    airflow.digest, began = "sha256:another", time.monotonic()
    answer = run_dry(patient, lambda hands: launch(hands, "DEMO2025-016")).answer
    assert "does not show its DAG yet" in answer.message
    assert time.monotonic() - began < 20
