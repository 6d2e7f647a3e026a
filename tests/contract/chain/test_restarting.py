"""A request that has ended is opened again: recovered, retried, accepted, settled again; its certificate is revised."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from prodsys.actions.closing.reopening import accept, recover, retry, settle_again
from prodsys.actions.core.context import Context
from prodsys.actions.core.dry_run import run_dry
from prodsys.actions.reconciliation.reconciling import reconcile
from prodsys.actions.runs.run_ownership import note_failure
from prodsys.actions.settlement.settling import settle_step
from prodsys.actions.submission.submitting import ensure_submitted
from prodsys.actions.submission.waiting import recovery_granted, task_to_wait_for
from prodsys.errors import (
    AttemptOpen,
    DatasetConflict,
    InvalidTransition,
    NothingMissing,
    PandaUnavailable,
    TaskUnknown,
)
from prodsys.ledger.requests import get_step
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import PlanRow
from prodsys.ledger.tasks import list_outcomes, list_step_tasks, seeds_of_task
from prodsys.model.names import Did
from prodsys.model.outcome import SeedState
from prodsys.model.statuses import FINAL, RequestState, Verdict
from prodsys.orchestrator.client import AirflowClient
from tests.contract.actions.airflow_api import Airflow, serve
from tests.contract.chain.driving import Course, acquire_run, newest_run, patiently, wait_for_task
from tests.contract.chain.productions import SLOW_ONES, Order, Production, prepare
from tests.contract.chain.site import Site


@contextmanager
def with_airflow(production: Production) -> Iterator[tuple[Context, Airflow]]:
    """Yield hands that reach an Airflow which shows the DAG of this request and starts what it is asked to."""
    plan = next(row for row in production.rows(PlanRow) if row.approved_at)
    airflow = Airflow(digest=plan.digest, run_state="running")
    with serve(airflow) as url:
        ctx = production.site.context()
        clients = replace(ctx.clients, airflow=lambda: AirflowClient(url, "service", "p", 10))
        yield replace(ctx, clients=clients), airflow


def run_again(production: Production) -> dict:
    """Another run to the end; its certificate."""
    course = Course(production.site, production.request_id)
    answer = course.run()
    return json.loads(Path(answer.path).read_text(encoding="utf-8"))


def failed(production: Production) -> None:
    """As the operators: the run that stopped is noted, and lets go."""
    ctx = production.site.context()
    note_failure(ctx, production.request_id, *newest_run(ctx, production.request_id), str(production.error))


def test_what_was_complete_is_not_recovered_into_containers_that_are_closed(produced) -> None:
    production = produced("healed")
    assert production.finished().state == RequestState.COMPLETE

    def be_refused(hands):
        with pytest.raises(NothingMissing):
            recover(hands, production.request_id)
        with transaction(hands.sessions) as session:
            step = get_step(session, production.request_id, "SIM")
            list_outcomes(session, step.step_id)[0].state = SeedState.MISSING  # as when its file vanished since
        with pytest.raises(DatasetConflict, match=r"it is closed .*, nothing that is recovered can join it"):
            recover(hands, production.request_id)

    run_dry(production.site.context(), be_refused)


def test_a_closed_partial_is_recovered_into_the_same_containers_and_gets_a_new_revision(produced) -> None:
    production = produced("repaired")
    assert production.finished().state == RequestState.ACCEPTED
    before = production.certificate()
    [lost] = before["seeds_missing"]
    with with_airflow(production) as (ctx, airflow):
        answer = recover(ctx, production.request_id, "needed after all")
        assert (answer.state, airflow.started) == (RequestState.READY, [f"{production.request_id}-r1.2"])
        assert recover(ctx, production.request_id).message == "it is on its way already"
    after = run_again(production)
    assert (before["verdict"], after["verdict"]) == (Verdict.PARTIAL, Verdict.FULL)
    assert (before["certificate_revision"], after["certificate_revision"]) == (1, 2)
    assert production.state == RequestState.COMPLETE
    with transaction(production.site.sessions) as session:
        tasks = list_step_tasks(session, production.step("SIM").step_id)
    assert [seeds_of_task(task) for task in tasks][1:] == [(lost["seed"],)]
    client = production.site.rucio_client()
    container = next(one for one in after["containers"] if one.endswith(".SIM.S"))
    assert len(client.list_files(Did.parse(container))) == len(production.seeds)
    assert not client.dataset_info(Did.parse(container)).open


def test_a_complete_request_has_nothing_to_recover_and_a_failed_one_is_not_settled_again(produced) -> None:
    production = produced("registered")
    production.finished()
    with with_airflow(production) as (ctx, airflow):
        with pytest.raises((InvalidTransition, NothingMissing)):
            recover(ctx, production.request_id)
        with pytest.raises(InvalidTransition):
            retry(ctx, production.request_id)
        with pytest.raises(InvalidTransition):
            accept(ctx, production.request_id, "why not")
        assert airflow.started == []


def test_a_failed_request_is_accepted_with_what_came_by_a_person_with_a_reason(produced) -> None:
    production = produced("waived")
    failed(production)
    assert production.state == RequestState.FAILED
    with with_airflow(production) as (ctx, airflow):
        answer = accept(ctx, production.request_id, "one seed shows it")
        assert answer.state == RequestState.READY
        assert airflow.started == [f"{production.request_id}-r1.2"]
    certificate = run_again(production)
    assert production.state == RequestState.ACCEPTED
    assert (certificate["verdict"], len(certificate["seeds_missing"])) == (Verdict.PARTIAL, 2)
    assert {one["waived"] for one in certificate["seeds_missing"]} == {"manager: one seed shows it"}


def test_a_failed_request_whose_task_brought_nothing_is_recovered_by_a_person(produced) -> None:
    production = produced("lifeless")
    failed(production)
    with with_airflow(production) as (ctx, _):
        answer = recover(ctx, production.request_id)
    assert "SIM: seeds" in answer.message
    site, task = production.site, production.task("SIM")
    ctx = site.context()
    course = Course(site, production.request_id)
    acquire_run(ctx, production.request_id)
    course.run_task("SIM")
    with pytest.raises(Exception, match="stop as failed"):
        course.conclude("SIM")
    again = production.task("SIM")
    assert again.retries == 1 or again.attempt == task.attempt + 1, "a round was made of exactly these seeds"


def test_a_retry_runs_a_step_again_whose_task_ended_without_output(sites: dict[str, Site], started: object) -> None:
    production = prepare(sites["none"], "killed", Order(946, "none", seeds=2))
    ctx, request_id = production.site.context(), production.request_id
    acquire_run(ctx, request_id)
    [task] = patiently(lambda: _submitted(ctx, request_id), "the submission")
    patiently(lambda: _seen(ctx, request_id), "the task")
    failed(production)
    with with_airflow(production) as (hands, _):
        shown = run_dry(hands, lambda stage: retry(stage, request_id)).answer
        assert shown.message.startswith("goes on where it stands; started"), "it works"
        ctx.panda.kill(task)
        wait_for_task(ctx, request_id, "SIM")
        first, last = production.seeds
        assert retry(hands, request_id).message.startswith(
            f"goes on where it stands; runs again SIM: seeds {first}-{last}; "
        )
    acquire_run(ctx, request_id)
    assert recovery_granted(ctx, request_id, "SIM"), "the wait does not end at the task that was killed"
    settled = settle_step(ctx, request_id, "SIM")
    assert settled.wait.task_name == f"{request_id}.SIM.2"
    assert seeds_of_task(production.task("SIM")) == production.seeds


def test_recovery_waits_for_a_task_that_may_still_bring_its_seeds(sites: dict[str, Site], started: object) -> None:
    site, request_id = sites["none"], SLOW_ONES[3]
    site.approved(request_id)
    ctx = site.context()
    acquire_run(ctx, request_id)
    patiently(lambda: _submitted(ctx, request_id), "the submission")
    note_failure(ctx, request_id, f"prod__{request_id}", f"{request_id}-r1", "something else went wrong")
    patiently(lambda: _seen(ctx, request_id), "the task")
    with pytest.raises(AttemptOpen, match=rf"{request_id}\.SIM \("):
        recover(ctx, request_id)


def _submitted(ctx: Context, request_id: str) -> tuple[int, ...] | None:
    try:
        return ensure_submitted(ctx, request_id, "SIM")
    except PandaUnavailable:
        return None


def _seen(ctx: Context, request_id: str) -> bool | None:
    try:
        return ctx.panda.get_status(task_to_wait_for(ctx, request_id, "SIM").jedi_task_id) not in FINAL
    except TaskUnknown:
        return None


def test_a_task_retried_in_the_monitor_after_the_close_is_noticed_and_settled_again(produced) -> None:
    production = produced("retried-late")
    assert production.finished().state == RequestState.ACCEPTED
    jedi_task_id = production.task("SIM").jedi_task_id
    panda = production.site.panda_client()
    panda.retry(jedi_task_id)
    patiently(lambda: panda.get_status(jedi_task_id) not in FINAL or None, "the retry")
    with with_airflow(production) as (ctx, airflow):
        found = [one for one in reconcile(ctx, repair=True) if one.request_id == production.request_id]
        assert [one.cause for one in found] == ["somebody retried it in PanDA's monitor"]
        assert airflow.started == [f"{production.request_id}-r1.2"]
    certificate = run_again(production)
    assert certificate["certificate_revision"] == 2
    [missing] = certificate["seeds_missing"]
    late = production.seeds[2]
    assert missing["seed"] == late
    assert "PanDA wrote it later, at a retry of the task" in missing["reason"], "what we closed takes no late file"
    assert "`prodsys request recover` takes it into a further dataset" in missing["reason"]
    assert production.state == RequestState.ACCEPTED
    kept = {file.lfn for file in production.files("SIM") if file.seed == late}
    assert len(kept) == 3, "the files stay in the ledger"


def test_settling_again_where_nothing_changed_gives_the_same_sample(produced) -> None:
    production = produced("unregistered")
    before = production.certificate()
    with with_airflow(production) as (ctx, _):
        settle_again(ctx, production.request_id, "an audit")
    after = run_again(production)
    assert after["certificate_revision"] == before["certificate_revision"] + 1
    assert after["datasets"] == before["datasets"]
