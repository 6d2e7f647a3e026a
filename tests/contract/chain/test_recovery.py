"""What is missing is run again, exactly that and once; then a person is asked. Seed by seed, on real services."""

import pytest

from prodsys.actions.settlement.step_questions import answer
from prodsys.errors import AnswerRefused
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import TaskRow
from prodsys.ledger.tasks import list_step_tasks, seeds_of_task
from prodsys.model.names import Did
from prodsys.model.outcome import SeedState
from prodsys.model.policy import Answer
from prodsys.model.statuses import RequestState, Verdict
from tests.contract.chain.site import EVENTS


def tasks_of(production, kind) -> list[TaskRow]:
    with transaction(production.site.sessions) as session:
        return list_step_tasks(session, production.step(kind).step_id)


def seeds_by_task(production, kind):
    return {task.task_name: seeds_of_task(task) for task in tasks_of(production, kind)}


def every_seed_has_one_column(production):
    """Asked = delivered + missing + waived in every step; nothing is said of other seeds."""
    for kind in ("SIM", "RECO"):
        rows = production.outcomes(kind)
        assert set(rows) == set(production.seeds)
        assert not [one for one in rows.values() if one.state == SeedState.DELIVERED and (one.waived or one.lost_in)]
        files = [file.seed for file in production.files(kind, "R" if kind == "RECO" else "S")]
        delivered = [seed for seed, one in rows.items() if one.state == SeedState.DELIVERED]
        assert sorted(set(files) & set(delivered)) == sorted(delivered)


def test_pandas_own_retry_of_the_same_task_where_its_outputs_are_open(produced):
    production = produced("retried-by-us")
    assert production.finished().state == RequestState.COMPLETE
    [task] = tasks_of(production, "SIM")
    assert (task.attempt, task.retries, task.retried_at) == (1, 1, None)
    assert [job.attempt for job in production.jobs("SIM") if job.seed == production.seeds[0]] == [1, 2, 3, 4]
    assert production.step("SIM").rounds == 1
    every_seed_has_one_column(production)


def test_where_panda_closed_its_outputs_a_new_attempt_runs_exactly_the_missing_seeds(produced):
    production = produced("recovered")
    assert production.finished().state == RequestState.COMPLETE
    first, second, third = production.seeds
    name = production.request_id
    assert seeds_by_task(production, "SIM") == {f"{name}.SIM": (first, second, third), f"{name}.SIM.2": (first, third)}
    assert seeds_by_task(production, "RECO") == {f"{name}.RECO": (second,), f"{name}.RECO.2": (first, third)}
    read = {task.task_name: set(task.inputs.values()) for task in tasks_of(production, "RECO")}
    plan = production.plan
    assert read[f"{name}.RECO.2"] == {plan.sample.dataset("SIM", one, attempt=2) for one in ("S", "P")}
    every_seed_has_one_column(production)


def test_the_outputs_of_every_attempt_join_the_same_containers_and_the_certificate(produced):
    production = produced("recovered")
    certificate, plan = production.certificate(), production.plan
    assert (certificate["verdict"], certificate["events_delivered"]) == (Verdict.FULL, 3 * EVENTS)
    assert [one["rounds"] for one in certificate["steps"]] == [1, 0]
    container = Did(plan.partition, plan.sample.step_container("SIM", "S"))
    held = production.site.rucio_client().list_files(container)
    assert len(held) == len(production.seeds)
    listed = [file["seed"] for one in certificate["datasets"] if one["data_type"] == "S" for file in one["files"]]
    assert sorted(listed) == list(production.seeds)
    assert len(production.handover("recofiles")) == len(production.seeds)


def test_a_seed_whose_file_was_lost_is_simulated_again_when_a_person_says_so(produced):
    """Its job finished: the policy's round is not for it."""
    production = produced("found-again")
    assert production.finished().state == RequestState.COMPLETE
    [question] = production.course.asked
    assert "They are not run again by themselves" in question.body
    name = production.request_id
    by_task = seeds_by_task(production, "SIM")
    assert len(by_task[f"{name}.SIM.2"]) == 1
    assert production.certificate()["seeds_missing"] == []
    every_seed_has_one_column(production)


def test_what_reco_lost_is_read_again_from_a_dataset_of_exactly_these_seeds(produced):
    production = produced("recovered-in-reco")
    assert production.finished().state == RequestState.COMPLETE
    by_task = seeds_by_task(production, "RECO")
    name = production.request_id
    assert set(by_task) == {f"{name}.RECO", f"{name}.RECO.2"}
    assert by_task[f"{name}.RECO.2"] == (production.seeds[1],)
    second = tasks_of(production, "RECO")[1]
    client, plan = production.site.rucio_client(), production.plan
    seeds = {file.lfn: file.seed for file in production.files("SIM")}
    for dataset in second.inputs.values():
        assert {seeds[lfn] for lfn in client.list_files(Did(plan.partition, dataset))} == {production.seeds[1]}
    assert second.parent_tid == tasks_of(production, "SIM")[0].jedi_task_id
    every_seed_has_one_column(production)


def test_after_the_policys_rounds_a_person_is_asked_and_decides(produced):
    production = produced("asked")
    assert production.finished().state == RequestState.ACCEPTED
    lost = production.seeds[1]
    first, second = production.course.asked
    assert (first.options, first.default) == (tuple(Answer), Answer.FAIL)
    assert f"seeds {lost}" in first.body
    assert "segmentation violation" in first.body
    assert second.question_id > first.question_id
    assert [seeds_of_task(task) for task in tasks_of(production, "SIM")[1:]] == [(lost,), (lost,)]
    every_seed_has_one_column(production)


def test_what_a_person_waived_is_in_the_certificate_with_name_and_reason(produced):
    production = produced("asked")
    [missing] = production.certificate()["seeds_missing"]
    assert (missing["seed"], missing["step"]) == (production.seeds[1], "SIM")
    assert missing["waived"] == "manager: good enough for the talk"
    sim, reco = production.certificate()["steps"]
    assert [(one["seeds_asked"], one["seeds_delivered"], one["seeds_waived"]) for one in (sim, reco)] == [(3, 2, 1)] * 2
    assert sim["rounds"] == 2
    lost = production.outcomes("RECO")[production.seeds[1]]
    assert (lost.lost_in, lost.task_row_id, lost.waived) == ("SIM", None, "manager: good enough for the talk")


def test_a_question_is_answered_once(produced):
    production = produced("asked")
    first = production.course.asked[0]
    ctx = production.site.context()
    assert answer(ctx, first.question_id, Answer.RECOVER, wake=False).answered_by == "manager"
    with pytest.raises(AnswerRefused, match="manager answered 'recover again'"):
        answer(ctx, first.question_id, Answer.ABORT, wake=False)
