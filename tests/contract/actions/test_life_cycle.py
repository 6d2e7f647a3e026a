"""States, acts and rights of a request; dry runs; launches at a time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from prodsys.actions.closing.cleaning import abort_and_clean
from prodsys.actions.closing.reopening import retry
from prodsys.actions.core.dry_run import run_dry
from prodsys.actions.planning.planning import approve, plan
from prodsys.actions.queries.showing import show_audit, show_request
from prodsys.actions.runs.aborting import abort
from prodsys.actions.runs.controlling import archive, finish, set_priority, withdraw
from prodsys.actions.runs.launching import dispatch, launch
from prodsys.actions.runs.pausing import pause, resume
from prodsys.actions.runs.run_ownership import enter
from prodsys.actions.submission.intents import ensure_intents
from prodsys.errors import AirflowUnavailable, InvalidTransition, NotAllowed, SpecInvalid
from prodsys.ledger.publications import active_publications, current_version
from prodsys.ledger.requests import get_step
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import CertificateRow, RequestRow, TaskRow
from prodsys.ledger.tasks import to_multirange
from prodsys.model.names import dag_id_of
from prodsys.model.seeds import parse_seeds
from prodsys.model.statuses import IntentState

REQUEST = "DEMO2025-016"
SOON = timedelta(hours=1)


def state(ctx) -> str:
    return show_request(ctx, REQUEST)["state"]


def acts(ctx) -> list[str]:
    return [line["action"] for line in show_audit(ctx, REQUEST)]


def published(ctx) -> list[str]:
    with transaction(ctx.sessions) as session:
        return [one.request_id for one in active_publications(session, current_version(session))]


def put(ctx, **columns) -> None:
    with transaction(ctx.sessions) as session:
        row = session.get(RequestRow, REQUEST)
        for name, value in columns.items():
            setattr(row, name, value)


def test_a_launch_at_a_time_waits_as_delayed_and_starts_when_it_has_come(approved, airflow):
    later = datetime.now(UTC) + SOON
    assert not launch(approved, REQUEST, not_before=later).started
    assert not launch(approved, REQUEST, not_before=later).started  # said again, nothing changes
    assert (state(approved), acts(approved).count("delay")) == ("delayed", 1)
    assert dispatch(approved) == []
    put(approved, not_before=datetime.now(UTC))
    assert [answer.started for answer in dispatch(approved)] == [True]
    assert airflow.started == ["DEMO2025-016-r1"]


def test_a_delayed_request_can_be_launched_now_or_moved_to_another_time(approved, airflow):
    launch(approved, REQUEST, not_before=datetime.now(UTC) + SOON)
    launch(approved, REQUEST, not_before=datetime.now(UTC) + 2 * SOON)
    assert acts(approved).count("delay") == 2
    assert launch(approved, REQUEST).started
    assert state(approved) == "ready"


def test_a_time_that_is_past_means_now(approved):
    assert launch(approved, REQUEST, not_before=datetime.now(UTC) - SOON).started


def test_an_approval_can_be_taken_back_until_the_run_is_started(approved, airflow):
    assert published(approved) == [REQUEST]
    assert withdraw(approved, REQUEST, "the field map is wrong").state == "planned"
    assert published(approved) == []
    with pytest.raises(InvalidTransition, match="possible now: plan, approve, reject, abort"):
        launch(approved, REQUEST)
    plan(approved, REQUEST)
    approve(approved, REQUEST)
    assert published(approved) == [REQUEST]
    launch(approved, REQUEST)
    with pytest.raises(InvalidTransition, match="whose run was started"):
        withdraw(approved, REQUEST, "too late")


def test_an_approval_is_not_taken_back_from_what_has_run(approved, airflow):
    put(approved, state="failed", launched_at=datetime.now(UTC))
    airflow.busy = 10_000
    with pytest.raises(AirflowUnavailable):
        retry(approved, REQUEST)
    assert state(approved) == "ready"
    with pytest.raises(
        InvalidTransition, match=r"whose run was started or that has a task.*possible now: delay, abort"
    ):
        withdraw(approved, REQUEST, "its seeds are spent")
    assert published(approved) == [REQUEST]


def test_an_approval_is_not_taken_back_from_what_has_a_task_or_a_certificate(approved):
    put(approved, state="ready")
    with transaction(approved.sessions) as session:
        session.add(_adopted(get_step(session, REQUEST, "SIM").step_id))
    with pytest.raises(InvalidTransition, match="that has a task"):
        withdraw(approved, REQUEST, "a task was adopted")
    with transaction(approved.sessions) as session:
        session.query(TaskRow).delete()
        session.add(CertificateRow(request_id=REQUEST, certificate_revision=1, digest="d", body={}, path="c.json"))
    with pytest.raises(InvalidTransition):
        withdraw(approved, REQUEST, "it has delivered")


def _adopted(step_id: int) -> TaskRow:
    return TaskRow(
        step_id=step_id,
        attempt=1,
        task_name="made.by.hand",
        seeds=to_multirange(parse_seeds("1-3")),
        task_map={},
        adopted=True,
        intent=IntentState.CONFIRMED,
    )


def test_what_was_approved_and_never_run_leaves_the_bundle_when_it_is_archived(approved):
    abort(approved, REQUEST, "not needed")
    assert published(approved) == [REQUEST]
    archive(approved, REQUEST)
    assert published(approved) == []


def test_what_a_certificate_has_promised_is_not_cleaned_away_with_an_abort(approved):
    put(approved, state="ready")
    with transaction(approved.sessions) as session:
        session.add(CertificateRow(request_id=REQUEST, certificate_revision=1, digest="d", body={}, path="c.json"))
    with pytest.raises(InvalidTransition, match="what a certificate has promised"):
        abort_and_clean(approved, REQUEST, "enough")
    assert state(approved) == "ready"
    assert abort(approved, REQUEST, "enough").state == "aborted"


def test_what_has_ended_is_archived_and_leaves_the_bundle(approved):
    with pytest.raises(InvalidTransition):
        archive(approved, REQUEST)
    put(approved, state="complete", launched_at=datetime.now(UTC))
    assert archive(approved, REQUEST).state == "archived"
    assert archive(approved, REQUEST).state == "archived"
    assert (published(approved), acts(approved).count("archive")) == ([], 1)


def test_history_is_archived_without_a_plan(approved):
    assert archive(approved, "PROD2025-012").state == "archived"


def test_a_priority_is_changed_until_the_request_is_over(approved):
    assert set_priority(approved, REQUEST, 950).refused == {}
    set_priority(approved, REQUEST, 950)
    assert acts(approved).count("priority") == 1
    for wrong in (0, 1001, -1):
        with pytest.raises(SpecInvalid, match="from 1 to 1000"):
            set_priority(approved, REQUEST, wrong)
    put(approved, state="aborted")
    with pytest.raises(InvalidTransition, match="possible now: archive"):
        set_priority(approved, REQUEST, 900)


def test_a_priority_holds_for_tasks_that_are_yet_to_come(approved):
    set_priority(approved, REQUEST, 950)
    launch(approved, REQUEST)
    assert enter(approved, REQUEST, 1, dag_id_of(REQUEST), f"{REQUEST}-r1").drive
    [task] = ensure_intents(approved, REQUEST, "SIM")
    assert task.task_map["taskPriority"] == 950
    set_priority(approved, REQUEST, 960)
    [same] = ensure_intents(approved, REQUEST, "SIM")
    assert same.task_map["taskPriority"] == 950, "what is written down is what is sent"


def test_an_abort_that_overtakes_a_pause_leaves_no_dag_asleep(approved, airflow):
    put(approved, state="running")
    airflow.meanwhile = lambda: abort(approved, REQUEST, "enough")
    assert pause(approved, REQUEST).state == "aborted"
    assert airflow.paused[-1] is False


def test_pausing_rests_the_dag_and_resuming_wakes_it(approved, airflow):
    with pytest.raises(InvalidTransition):
        pause(approved, REQUEST)
    put(approved, state="running")
    assert pause(approved, REQUEST, "network maintenance").state == "paused"
    pause(approved, REQUEST)
    assert show_request(approved, REQUEST)["reason"] == "network maintenance"
    assert resume(approved, REQUEST).state == "running"
    assert airflow.paused == [True, True, False]
    assert (acts(approved).count("pause"), acts(approved).count("resume")) == (1, 1)


def test_a_resume_that_overtakes_a_pause_wins(approved, airflow):
    put(approved, state="running")
    airflow.meanwhile = lambda: resume(replace(approved, who="deputy"), REQUEST)
    assert pause(approved, REQUEST).state == "running"
    assert airflow.paused == [False, True, False]


def test_what_failed_while_it_was_paused_is_woken_before_it_is_started_again(approved, airflow):
    put(approved, state="running", launched_at=datetime.now(UTC))
    pause(approved, REQUEST)
    put(approved, state="failed")
    assert retry(approved, REQUEST).launch.started
    assert (airflow.paused, airflow.started) == ([True, False], ["DEMO2025-016-r1.2"])
    put(approved, state="failed")
    retry(approved, REQUEST)
    assert airflow.paused == [True, False]  # once


def test_the_dag_of_a_paused_request_is_woken_when_it_is_aborted_so_that_its_run_ends(approved, airflow):
    put(approved, state="running", launched_at=datetime.now(UTC))
    pause(approved, REQUEST)
    airflow.busy = 1
    with pytest.raises(AirflowUnavailable):
        abort(approved, REQUEST, "enough")
    assert state(approved) == "aborted"
    assert abort(approved, REQUEST, "enough").state == "aborted"
    assert airflow.paused == [True, False]


def test_a_rehearsal_says_what_would_happen_and_changes_nothing(approved, airflow):
    def start(hands):
        assert launch(hands, REQUEST).started
        return state(hands)

    rehearsal = run_dry(approved, start)
    assert rehearsal.answer == "ready"
    assert rehearsal.effects == [
        "airflow start run prod__DEMO2025-016 DEMO2025-016-r1 conf={} note=launched by manager"
    ]
    assert (state(approved), airflow.started, "launch" in acts(approved)) == ("approved", [], False)


def test_a_rehearsal_refuses_what_the_act_refuses(approved):
    with pytest.raises(InvalidTransition):
        run_dry(approved, lambda hands: finish(hands, REQUEST))
    with pytest.raises(NotAllowed):
        run_dry(replace(approved, roles=frozenset({"viewer"})), lambda hands: pause(hands, REQUEST))


def test_no_lock_is_left_by_a_rehearsal(approved):
    run_dry(approved, lambda hands: set_priority(hands, REQUEST, 901))
    with transaction(approved.sessions) as session:
        session.execute(text("set local lock_timeout = '200ms'"))
        assert session.get(RequestRow, REQUEST, with_for_update=True).priority == 900


@pytest.mark.parametrize("act", [pause, resume, finish, archive])
def test_who_may_only_look_changes_nothing(approved, act):
    with pytest.raises(NotAllowed):
        act(replace(approved, roles=frozenset({"viewer"})), REQUEST)
