"""Somebody acts on a task in PanDA's monitor when nobody looks: after the close, while closing, while it is settled."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from prodsys.actions.closing.collection import certify, ensure_collected, ensure_rules
from prodsys.actions.closing.reopening import reopen_running, settle_again
from prodsys.actions.reconciliation.duplicate_task_watch import find_duplicate_tasks
from prodsys.actions.reconciliation.reconciling import reconcile
from prodsys.actions.submission.waiting import record_status, tasks_at_rest
from prodsys.errors import StepReopened
from prodsys.ledger.session import transaction
from prodsys.ledger.tasks import find_task, list_tasks
from prodsys.model.names import dag_id_of
from prodsys.model.statuses import DEAD, FINAL, RequestState, TaskStatus
from tests.contract.chain.driving import Course, acquire_run, patiently, wait_for_rules
from tests.contract.chain.productions import Production
from tests.contract.chain.test_adopting import made_by_hand
from tests.contract.chain.test_restarting import run_again, with_airflow


def retried(production: Production, until: frozenset[TaskStatus] | None = None) -> int:
    """Somebody retries its SIM in the monitor; the task, when it works again or has come so far."""
    task, panda = production.task("SIM").jedi_task_id, production.site.panda_client()
    assert task is not None
    panda.retry(task)

    def look() -> bool | None:
        status = panda.get_status(task)
        return (status in until if until else status not in FINAL) or None

    patiently(look, "the retry")
    return task


def causes(found: list, production: Production) -> list[str]:
    return [one.cause for one in found if one.request_id == production.request_id]


def test_a_retry_that_began_and_ended_between_two_looks_is_settled(produced) -> None:
    production = produced("retried-unseen")
    assert production.finished().state == RequestState.ACCEPTED
    task = retried(production, frozenset({TaskStatus.DONE}))
    with with_airflow(production) as (ctx, airflow):
        assert causes(reconcile(ctx, repair=True), production) == ["it went on after it had ended"]
        assert airflow.started == [f"{production.request_id}-r1.2"]
        assert not production.task("SIM").final
    assert run_again(production)["certificate_revision"] == 2
    assert production.task("SIM").final

    with transaction(production.site.sessions) as session:  # as who saw a retry while the certificate was written
        find_task(session, task).final = False
    with with_airflow(production) as (ctx, airflow):
        [cause] = causes(reconcile(ctx, repair=True), production)
        assert (cause, airflow.started) == (
            "it began again while the request was being closed",
            [f"{production.request_id}-r1.3"],
        )
        assert causes(reconcile(ctx, repair=True), production) == []


def test_no_certificate_is_written_over_a_task_that_works_again(produced) -> None:
    production = produced("retried-closing")
    request_id, ctx = production.request_id, production.site.context()
    assert production.finished().state == RequestState.ACCEPTED
    with with_airflow(production) as (hands, _):
        settle_again(hands, request_id, "an audit")
    acquire_run(ctx, request_id)
    course = Course(production.site, request_id)
    for kind in ("SIM", "RECO"):
        course.run_task(kind)
        course.settle(kind)
    ensure_collected(ctx, request_id)
    ensure_rules(ctx, request_id)
    wait_for_rules(ctx, request_id)
    retried(production)
    with with_airflow(production) as (hands, _):
        assert causes(reconcile(hands, repair=True), production) == ["somebody retried it in PanDA's monitor"]
        with pytest.raises(StepReopened, match=rf"{request_id} SIM: .* works again") as caught:
            certify(ctx, request_id, dag_id_of(request_id), f"{request_id}-r1")
        assert production.state == RequestState.CLOSING
        reopen_running(hands, request_id, str(caught.value))
    assert run_again(production)["certificate_revision"] == 2


def sim_tasks(production: Production) -> list[int]:
    with transaction(production.site.sessions) as session:
        found = list_tasks(session, production.request_id)
        return [task.jedi_task_id or 0 for step, task in found if step.kind == "SIM"]


def test_a_retry_of_seeds_that_another_open_attempt_has_is_heard_all_the_same(produced) -> None:
    production = produced("recovered")
    production.finished()
    first, second = sim_tasks(production)
    with transaction(production.site.sessions) as session:
        find_task(session, second).final = False
        find_task(session, first).status = TaskStatus.FAILED
    assert record_status(production.site.context(), first, TaskStatus.FINISHED) is None
    with transaction(production.site.sessions) as session:
        heard = find_task(session, first)
        assert (heard.status, heard.final) == (TaskStatus.FINISHED, True)
    assert tasks_at_rest(production.site.context(), production.request_id, "SIM")[1] is None


def test_a_retry_that_is_noticed_while_the_step_is_settled_is_not_overrun(produced) -> None:
    production = produced("recovered")
    production.finished()
    site, ctx = production.site, production.site.context()
    first, second = sim_tasks(production)

    class Meddled(type(ctx.panda)):  # type: ignore[misc]
        """A PanDA during whose answer about the second task the reconciler hears of a retry of the first."""

        def get_task(self, jedi_task_id: int):
            if jedi_task_id == second:
                with transaction(site.sessions) as session:
                    find_task(session, first).status = TaskStatus.RUNNING
            return super().get_task(jedi_task_id)

    def meddled() -> Meddled:
        client = site.panda_client()
        client.__class__ = Meddled
        return client

    _, still = tasks_at_rest(replace(ctx, clients=replace(ctx.clients, panda=meddled)), production.request_id, "SIM")
    assert still is not None
    assert (still.jedi_task_id, still.status) == (first, TaskStatus.RUNNING)
    tasks, still = tasks_at_rest(ctx, production.request_id, "SIM")
    assert still is None
    assert all(task.final for task in tasks)


def test_a_second_reconstruction_of_the_same_simulation_by_hand_is_named_and_not_killed(produced) -> None:
    production, ctx = produced("unregistered"), produced("unregistered").site.context()
    assert production.finished().state == RequestState.COMPLETE
    ours = production.task("RECO")
    renamed = json.dumps(ours.task_map).replace(f"{production.request_id}.RECO", "by.hand.second.RECO")
    by_hand = made_by_hand(production.site, json.loads(renamed))
    [told] = [one for one in find_duplicate_tasks(ctx, repair=True) if one.request_id == production.request_id]
    assert f"task {by_hand} (by.hand.second.RECO)" in told.what
    assert f"reads what {ours.task_name} reads" in told.what
    assert (told.repaired, told.cause) == (False, "a second task on the same input")
    assert ctx.panda.get_status(by_hand) not in DEAD
    ctx.panda.kill(by_hand)
