"""A task made by hand is linked to its request, and the rest of the chain runs by itself, to the certificate."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect

from prodsys.actions.closing.collection import CertifyAnswer, ensure_collected
from prodsys.actions.core.dry_run import run_dry
from prodsys.actions.queries.showing import show_audit, show_request
from prodsys.actions.requests.importing import import_intake
from prodsys.actions.runs.run_ownership import enter
from prodsys.actions.submission.adopting import adopt
from prodsys.actions.submission.submitting import ensure_submitted
from prodsys.errors import DatasetConflict, InvalidTransition, NotAdoptable, NotAllowed, SpecInvalid, TaskUnknown
from prodsys.intake.result import Accepted, Intake
from prodsys.ledger.requests import get_spec
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import DatasetRow
from prodsys.ledger.tasks import list_tasks
from prodsys.model.names import Did, dag_id_of
from prodsys.model.plan import LOG, Plan, build_plan
from prodsys.model.request import RequestSpec
from prodsys.model.statuses import FINAL, RecordedStatus
from prodsys.panda.task_map import StepOrder, build_reco_map, build_sim_map
from tests.contract.chain.driving import Course, patiently
from tests.contract.chain.site import BOOK, EVENTS, Site
from tests.contract.chain.test_submission import jedi_paused
from tests.publishing import take_place

pytestmark = pytest.mark.timeout(900)  # whole chains, on a machine that may be busy
FIRST = 800_001  # seeds of these requests, far from those that clones take


@pytest.fixture
def site(sites: dict[str, Site], started: object) -> Site:
    """The site whose PanDA registers nowhere; its scenario is in force."""
    return sites["none"]


def running_in_the_book(site: Site, number: int, seeds: int = 3, **changes: object) -> str:
    """A request of history that runs, as an import leaves it."""
    first = FIRST + 10 * number
    with transaction(site.sessions) as session:
        book = get_spec(session, BOOK)
    wanted = {
        "request_id": f"DEMO2025-{number}",
        "seeds": f"{first}-{first + seeds - 1}",
        "events_per_file": EVENTS,
        "events": seeds * EVENTS,
        "chain": "SIM-RECO",
        "recorded_status": RecordedStatus.RUNNING,
    }
    spec = RequestSpec.checked(book.model_dump(mode="json") | wanted | changes)
    assert not import_intake(site.context(), Intake((Accepted(spec, "book.csv", 1),))).faults
    return spec.request_id


def plan_of(site: Site, request_id: str) -> Plan:
    with transaction(site.sessions) as session:
        return build_plan(get_spec(session, request_id), 1, site.catalogue)


def order_by_hand(site: Site, request_id: str, kind: str, name: str, prefix: str) -> StepOrder:
    """What a person types into a form for one step."""
    plan = plan_of(site, request_id)
    step, profile = plan.step(kind), site.catalogue.profile
    return StepOrder(
        task_name=name,
        vo=profile.vo,
        campaign="by hand",
        working_group="somebody",
        processing_type=step.processing_type,
        transform=step.transform,
        script=step.script,
        image=step.image,
        queue=step.queue,
        destination=step.rse,
        cloud=site.catalogue.sites.cloud,
        priority=800,
        cores=1,
        ram_mb=2000,
        max_attempts=3,
        events_per_job=step.events_per_job,
        seeds=tuple(range(plan.seeds[0].first, plan.seeds[0].last + 1)),
        outputs={one: f"{prefix}.{one}" for one in step.outputs if one != LOG},
        log_dataset=f"{prefix}.log",
    )


def made_by_hand(site: Site, task_map: dict[str, Any], parent: int | None = None) -> int:
    """Submitted past the ledger; JEDI has refined it."""
    panda = site.panda_client()
    jedi_task_id = panda.submit(task_map, parent)

    def refined() -> bool | None:
        try:
            return bool(panda.get_task(jedi_task_id).task_name) or None
        except TaskUnknown:
            return None

    patiently(refined, f"task {jedi_task_id}")
    return jedi_task_id


def drive(site: Site, request_id: str, revision: int = 1) -> CertifyAnswer:
    """What the DAG of the request does."""
    run = (dag_id_of(request_id), f"{request_id}-r{revision}")
    take_place(site.sessions, request_id)
    answer = enter(site.context(), request_id, revision, *run)
    assert answer.drive, answer.message
    course = Course(site, request_id)
    for kind in ("SIM", "RECO"):
        course.run_task(kind)
        course.settle(kind)
    return course.close()


def certificate(answer: CertifyAnswer) -> dict[str, Any]:
    return json.loads(Path(answer.path).read_text(encoding="utf-8"))


def test_a_running_request_of_the_book_goes_on_to_its_certificate(site: Site) -> None:
    request_id = running_in_the_book(site, 970)
    plan, name = plan_of(site, request_id), "MC2025_S2-970-SIM.by-hand"
    prefix = plan.sample.dataset("SIM", "X", 7).removesuffix(".X")
    task = made_by_hand(site, build_sim_map(order_by_hand(site, request_id, "SIM", name, prefix)))
    ctx = site.context()
    assert run_dry(ctx, lambda hands: adopt(hands, request_id, "SIM", task)).answer.state == "ready"
    assert show_request(ctx, request_id)["state"] == "recorded"

    answer = adopt(ctx, request_id, "SIM", task)
    assert (answer.state, answer.attempt, answer.seeds, answer.new) == ("ready", 7, "809701-809703", True)
    assert {one.what for one in answer.differences} <= {"name", "user"}
    assert adopt(ctx, request_id, "SIM", task) == replace(answer, differences=(), new=False)
    assert [one["action"] for one in show_audit(ctx, request_id)].count("adopt") == 1

    body = certificate(drive(site, request_id))
    assert (body["verdict"], body["seeds_delivered"], body["events_delivered"]) == ("full", "809701-809703", 15)
    assert [(one["step"], one["task_name"]) for one in body["tasks"]] == [("SIM", name), ("RECO", f"{request_id}.RECO")]
    assert body["tasks"][0]["jedi_task_id"] == task
    written = {one["did"].rpartition(":")[2] for one in body["datasets"] if one["step"] == "SIM"}
    assert written == {f"{prefix}.S", f"{prefix}.P", f"{prefix}.log"}
    assert len(site.panda_client().find_tasks(f"{request_id}.SIM")) == 0  # nothing was submitted beside it


def test_history_keeps_the_partition_in_which_its_data_stand(site: Site) -> None:
    request_id = running_in_the_book(site, 971, seeds=2)
    prefix = plan_of(site, request_id).sample.dataset("SIM", "X").removesuffix(".X").replace("MC2025_S2.", "MC2025_S1.")
    order = order_by_hand(site, request_id, "SIM", f"{request_id}.SIM.2", prefix)
    task = made_by_hand(site, build_sim_map(order))
    answer = adopt(site.context(), request_id, "SIM", task)
    assert answer.attempt == 2
    assert ("partition", "MC2025_S1") in {(one.what, one.theirs) for one in answer.differences}
    assert show_request(site.context(), request_id)["revision"] == 2

    body = certificate(drive(site, request_id, revision=2))
    assert {one["did"].partition(":")[0] for one in body["datasets"]} == {"MC2025_S1"}
    assert body["verdict"] == "full"


def test_both_steps_made_by_hand_are_linked_one_after_the_other(site: Site) -> None:
    request_id = running_in_the_book(site, 972, seeds=2)
    sample = plan_of(site, request_id).sample
    prefixes = {kind: sample.dataset(kind, "X").removesuffix(".X") for kind in ("SIM", "RECO")}
    sim_order = order_by_hand(site, request_id, "SIM", f"{request_id}.by-hand.SIM", prefixes["SIM"])
    sim, ctx = made_by_hand(site, build_sim_map(sim_order)), site.context()
    reco_order = order_by_hand(site, request_id, "RECO", f"{request_id}.by-hand.RECO", prefixes["RECO"])
    reco_map = build_reco_map(replace(reco_order, inputs=dict(sim_order.outputs)))
    with pytest.raises(SpecInvalid, match="adopt the task of SIM first"):
        adopt(ctx, request_id, "RECO", sim)
    adopt(ctx, request_id, "SIM", sim)
    take_place(site.sessions, request_id)
    assert enter(ctx, request_id, 1, dag_id_of(request_id), f"{request_id}-r1").drive
    course = Course(site, request_id)
    course.run_task("SIM")
    course.settle("SIM")
    reco = made_by_hand(site, reco_map, parent=sim)
    assert adopt(ctx, request_id, "RECO", reco).seeds == "809721-809722"
    course.run_task("RECO")
    course.settle("RECO")
    twice = order_by_hand(site, request_id, "RECO", "by.hand.972", "MC2025_S2.by.hand.972")
    second = made_by_hand(site, build_reco_map(replace(twice, inputs=dict(sim_order.outputs))), parent=sim)
    with pytest.raises(NotAdoptable, match="seeds 809721-809722 are delivered already"):
        adopt(ctx, request_id, "RECO", second)
    body = certificate(course.close())
    assert [one["jedi_task_id"] for one in body["tasks"]] == [sim, reco]
    with transaction(site.sessions) as session:
        assert [task.adopted for _, task in list_tasks(session, request_id)] == [True, True]


def test_a_reconstruction_submitted_before_its_simulation_ended_is_refused(site: Site) -> None:
    request_id, ctx = running_in_the_book(site, 977, seeds=2), site.context()
    early, sim = (
        made_by_hand(site, build_sim_map(order_by_hand(site, request_id, "SIM", one, f"MC2025_S2.{one}")))
        for one in ("by.hand.977.early", "by.hand.977.SIM")
    )
    with jedi_paused(site):
        adopt(ctx, request_id, "SIM", sim)
        assert ctx.panda.get_status(sim) not in FINAL
        with pytest.raises(
            NotAdoptable, match=rf"it reads what SIM \(task {sim}, \w+\) still writes.*pause it and adopt"
        ):
            adopt(ctx, request_id, "RECO", early)


def test_what_an_adopted_task_left_out_is_run_by_an_attempt_of_ours(site: Site) -> None:
    request_id = running_in_the_book(site, 978)
    prefix = plan_of(site, request_id).sample.dataset("SIM", "X").removesuffix(".X")
    order = order_by_hand(site, request_id, "SIM", "by.hand.978", prefix)
    task = made_by_hand(site, build_sim_map(replace(order, seeds=order.seeds[2:])))
    answer = adopt(site.context(), request_id, "SIM", task)
    assert (answer.seeds, answer.attempt) == ("809783", 1)
    assert "without 809781-809782" in {one.theirs for one in answer.differences}
    body = certificate(drive(site, request_id))
    assert (body["verdict"], body["seeds_delivered"]) == ("full", "809781-809783")
    names = [one["task_name"] for one in body["tasks"] if one["step"] == "SIM"]
    assert names == ["by.hand.978", f"{request_id}.SIM.2"]


def test_odd_names_join_the_containers_and_what_comes_after_those_were_closed_is_named(site: Site) -> None:
    request_id, prefix = running_in_the_book(site, 979, seeds=2), "MC2025_S2.by-hand_979"
    task = made_by_hand(site, build_sim_map(order_by_hand(site, request_id, "SIM", "by.hand.979", prefix)))
    adopt(site.context(), request_id, "SIM", task)
    body = certificate(drive(site, request_id))
    container = plan_of(site, request_id).sample.step_container("SIM", "S")
    client = site.rucio_client()
    assert body["verdict"] == "full"
    assert [one.name for one in client.list_children(Did("MC2025_S2", container))] == [f"{prefix}.S"]

    late = Did("MC2025_S2", f"{prefix}.late.S")
    client.ensure_dataset(late)
    with transaction(site.sessions) as session:
        like = session.get_one(DatasetRow, f"MC2025_S2:{prefix}.S")
        same = {one.key: getattr(like, one.key) for one in inspect(DatasetRow).column_attrs}
        session.add(DatasetRow(**same | {"did": str(late)}))
    with pytest.raises(DatasetConflict, match=rf"{container} .*closed and lacks {late.name}: have an administrator"):
        ensure_collected(site.context(), request_id)


def test_a_task_for_an_approved_request_launches_it(site: Site) -> None:
    site.approved("DEMO2025-973", seed_count=2)
    order = order_by_hand(site, "DEMO2025-973", "SIM", "DEMO2025-973.SIM", "MC2025_S2.by.hand.973")
    task = made_by_hand(site, build_sim_map(order))
    answer = adopt(site.context(), "DEMO2025-973", "SIM", task)
    assert (answer.state, answer.attempt) == ("ready", 1)
    assert [one.what for one in answer.differences].count("dataset") == 3
    take_place(site.sessions, "DEMO2025-973")
    assert enter(site.context(), "DEMO2025-973", 1, dag_id_of("DEMO2025-973"), "DEMO2025-973-r1").drive
    assert ensure_submitted(site.context(), "DEMO2025-973", "SIM") == (task,)


def test_what_does_not_fit_is_refused_with_every_difference(site: Site) -> None:
    request_id = running_in_the_book(site, 974)
    order = order_by_hand(site, request_id, "SIM", "by.hand.974", "MC2025_S2.by.hand.974")
    wrong = replace(order, seeds=(*order.seeds[1:], 1), image="/cvmfs/other.sif", events_per_job=4)
    task, ctx = made_by_hand(site, build_sim_map(wrong)), site.context()
    with pytest.raises(NotAdoptable) as caught:
        adopt(ctx, request_id, "SIM", task)
    assert sorted(one.partition(":")[0] for one in caught.value.differences) == ["events a job", "image", "seeds"]
    assert show_request(ctx, request_id)["state"] == "recorded"
    with pytest.raises(TaskUnknown):
        adopt(ctx, request_id, "SIM", 10**9)
    with pytest.raises(SpecInvalid, match="has no MERGE"):
        adopt(ctx, request_id, "MERGE", task)
    with pytest.raises(InvalidTransition, match="the book calls it done, not running"):
        adopt(ctx, BOOK, "SIM", task)
    with pytest.raises(NotAllowed):
        adopt(ctx.acting_as("visitor", "viewer"), request_id, "SIM", task)


def test_seeds_of_an_attempt_of_ours_are_not_given_to_another(site: Site) -> None:
    request_id = "DEMO2025-975"
    site.approved(request_id, seed_count=2)
    ctx = site.context()
    take_place(site.sessions, request_id)
    assert enter(ctx, request_id, 1, dag_id_of(request_id), f"{request_id}-r1").drive
    [ours] = patiently(lambda: ensure_submitted(ctx, request_id, "SIM"), "our own task")
    order = order_by_hand(site, request_id, "SIM", "by.hand.975", "MC2025_S2.by.hand.975")
    task = made_by_hand(site, build_sim_map(order))
    with pytest.raises(NotAdoptable, match=rf"are those of {request_id}\.SIM \(task {ours}\)"):
        adopt(ctx, request_id, "SIM", task)
    with pytest.raises(NotAdoptable, match=f"it is the task of {request_id} SIM"):
        adopt(ctx, running_in_the_book(site, 976), "SIM", ours)
