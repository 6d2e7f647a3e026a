"""A whole chain under each of PanDA's plug-ins: the stock refiner or one that keeps names, the stock DDM client or not.

What is compared is read back from PanDA and from Rucio.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import select, update

from prodsys.actions.settlement.settling import settle_step
from prodsys.actions.submission.output_datasets import known_outputs, planned_outputs
from prodsys.actions.submission.submitting import ensure_submitted
from prodsys.actions.submission.waiting import record_status
from prodsys.errors import OutputsUnknown, TaskUnknown
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import StepRow, TaskRow
from prodsys.ledger.tasks import list_step_tasks, seeds_of_task
from prodsys.model.names import Did
from prodsys.model.outputs import types_of
from prodsys.model.plan import LOG
from prodsys.model.reading import read_panda_name
from prodsys.model.statuses import JobStatus, RequestState, TaskStatus, Verdict
from prodsys.panda.client import OUTPUT_TYPES
from prodsys.panda.task_map import datasets_of_map
from sandbox.panda import tables as t
from sandbox.stack.postgres import PostgresHandle
from tests.contract.chain.conftest import make_site
from tests.contract.chain.driving import acquire_run, patiently
from tests.contract.chain.productions import Order, Production, prepare, rules_of
from tests.contract.chain.site import EVENTS, Site
from tests.rucio_fixture import RucioServer

pytestmark = pytest.mark.timeout(1200)  # the first test waits for four productions


@dataclass(frozen=True)
class Combination:
    """Plug-ins of one PanDA, and the production that runs there."""

    refiner: str
    ddm: str
    adder: str
    order: Order


COMBINATIONS = {
    "keep-lenient": Combination("keep", "lenient", "rucio", Order(1961)),
    "stock-lenient": Combination("stock", "lenient", "rucio", Order(1962, queue="SPD_JINR", twice=True)),
    "keep-stock": Combination(
        "keep", "stock", "none", Order(1963, "none", queue="SPD_PNPI", fail_thrice=(1,), accept_percent=100, rounds=1)
    ),
    "stock-stock": Combination("stock", "stock", "rucio", Order(1964, fail_thrice=(0,), accept_percent=100, rounds=1)),
}


@pytest.fixture(scope="module")
def places(
    sites: dict[str, Site], postgres: PostgresHandle, rucio_server: RucioServer, tmp_path_factory: Any
) -> Iterator[dict[str, Site]]:
    """Yield a site for each combination; the usual one is that of the other tests."""
    with ExitStack() as stack:
        found = {"keep-lenient": sites["rucio"]}
        for name, one in COMBINATIONS.items():
            if name not in found:
                folder = tmp_path_factory.mktemp(name.replace("-", "_"))
                settings = {"name": name.replace("-", "_"), "REFINER": one.refiner, "DDM": one.ddm}
                found[name] = stack.enter_context(make_site(one.adder, postgres, rucio_server, folder, **settings))
        yield found


@pytest.fixture(scope="module")
def running(places: dict[str, Site]) -> Iterator[dict[str, Future[Production]]]:
    """Yield every production, on its way."""
    prepared = {name: prepare(places[name], name, one.order) for name, one in COMBINATIONS.items()}
    for name, production in prepared.items():
        if rules := rules_of(production):
            places[name].sandbox.play(*rules)
    with ThreadPoolExecutor(max_workers=len(prepared)) as pool:
        yield {name: pool.submit(production.run) for name, production in prepared.items()}


@pytest.fixture(params=COMBINATIONS)
def name(request: pytest.FixtureRequest) -> str:
    """Return the name of a combination."""
    return str(request.param)


@pytest.fixture
def production(name: str, running: dict[str, Future[Production]]) -> Production:
    """Return what became of a production."""
    return running[name].result(timeout=900)


def tasks(production: Production) -> list[TaskRow]:
    """Every task of a production, by step and attempt."""
    with transaction(production.site.sessions) as session:
        steps = session.scalars(select(StepRow).where(StepRow.request_id == production.request_id))
        return [task for step in steps for task in list_step_tasks(session, step.step_id)]


def test_the_chain_runs_to_a_full_certificate(production: Production) -> None:
    assert production.finished().state == RequestState.COMPLETE
    certificate = production.certificate()
    assert (certificate["verdict"], certificate["seeds_missing"]) == (Verdict.FULL, [])
    assert certificate["events_delivered"] == 3 * EVENTS
    replicas: Counter[str] = Counter()
    for one in certificate["datasets"]:
        if one["data_type"] == "R":
            replicas.update(one["replicas"])
    assert replicas == {"JINR_EOS": 3, "PNPI_EOS": 3}
    assert [len(production.handover(word)) for word in ("recofiles", "simfiles", "paramfiles")] == [3, 3, 3]
    if production.course.twice:
        assert not any(production.course.changed_again.values())


def test_the_ledger_knows_the_names_that_panda_shows_and_rucio_holds_them(name: str, production: Production) -> None:
    production.finished()
    panda, rucio = production.site.panda_client(), production.site.rucio_client()
    for task in tasks(production):
        shown = {one.name: one for one in panda.get_files(task.jedi_task_id or 0, OUTPUT_TYPES)}
        planned = planned_outputs(task)
        assert types_of(task.outputs) == known_outputs(task)
        assert set(types_of(task.outputs)) == set(shown)
        if name.startswith("keep"):
            assert types_of(task.outputs) == planned
            continue
        assert set(task.outputs) == set(planned.values())
        for real, one in shown.items():
            assert real.rpartition(".")[0] in planned
            assert real.endswith(f".{one.dataset_id}")
        for template in planned:
            assert rucio.dataset_info(Did(production.plan.partition, template)) is None
    for file in (one for kind in ("SIM", "RECO") for one in production.files(kind)):
        assert file.lfn in rucio.list_files(Did(production.plan.partition, file.dataset))


def test_every_dataset_that_counts_is_closed_in_its_container_with_its_rule(production: Production) -> None:
    production.finished()
    rucio, plan = production.site.rucio_client(), production.plan
    delivered = {(file.data_type, file.dataset) for kind in ("SIM", "RECO") for file in production.files(kind)}
    for data_type, dataset in delivered:
        did = Did(plan.partition, dataset)
        info = rucio.dataset_info(did)
        assert info is not None
        assert not info.open
        kind = "RECO" if ".RECO." in dataset else "SIM"
        container = Did(plan.partition, plan.sample.step_container(kind, data_type))
        assert did in rucio.list_children(container)
        assert rucio._rules_of(did)


def test_reco_reads_what_was_written_seed_by_seed(name: str, production: Production) -> None:
    production.finished()
    rucio = production.site.rucio_client()
    seed_of = {file.lfn: file.seed for file in production.files("SIM") if file.data_type != LOG}
    read: list[int] = []
    for task in (one for one in tasks(production) if ".RECO" in one.task_name):
        named = datasets_of_map(task.task_map, "input")
        assert sorted(named) == sorted(task.inputs.values())
        for dataset in named:
            files = rucio.list_files(read_panda_name(dataset))
            assert sorted(seed_of[lfn] for lfn in files) == list(seeds_of_task(task))
            assert all(fact.guid for fact in files.values()), "JEDI reads no file without a GUID"
        jobs = production.site.panda_client().get_jobs(task.jedi_task_id or 0)
        for job in (one for one in jobs if one.status is JobStatus.FINISHED):
            [seed] = {seed_of[file.lfn] for file in job.inputs}
            assert len(job.inputs) == 2
            read.append(seed)
    assert sorted(read) == list(production.seeds)
    if name == "stock-lenient":  # one queue: one instance each, which RECO reads under its real name
        [task] = [one for one in tasks(production) if ".RECO" in one.task_name]
        [sim] = [one for one in tasks(production) if ".SIM" in one.task_name]
        assert task.inputs == {kind: sim.outputs[kind][0] for kind in ("S", "P")}


def test_every_data_file_has_the_guid_that_panda_reports_and_its_events(production: Production) -> None:
    production.finished()
    panda, rucio = production.site.panda_client(), production.site.rucio_client()
    told = {
        file.lfn: file.guid
        for task in tasks(production)
        for job in panda.get_jobs(task.jedi_task_id or 0)
        if job.status is JobStatus.FINISHED
        for file in job.outputs
    }
    facts = rucio.list_files(Did.parse(production.plan.request_container))
    files = [one for kind in ("SIM", "RECO") for one in production.files(kind) if one.data_type != LOG]
    assert len(files) == 9
    for file in files:
        assert len(told[file.lfn]) == 32
        assert (facts[file.lfn].guid, facts[file.lfn].events) == (told[file.lfn], EVENTS)
        assert file.guid == told[file.lfn]


def test_a_place_stands_in_the_map_only_when_a_person_asked_for_it(production: Production) -> None:
    production.finished()
    asked = production.order.queue
    storage = production.site.rse_of(asked) if asked else None
    for task in tasks(production):
        templates = [*task.task_map["jobParameters"], task.task_map["log"]]
        written = [one for one in templates if one.get("param_type") in ("output", "log")]
        assert task.task_map.get("site") == asked
        assert {one.get("destination") for one in written} == {storage}
        jobs = production.site.panda_client().get_jobs(task.jedi_task_id or 0)
        assert {job.site for job in jobs} <= ({asked} if asked else {"SPD_JINR", "SPD_PNPI"})


def test_a_new_attempt_fills_instances_of_its_own_and_reco_reads_the_right_ones(
    running: dict[str, Future[Production]],
) -> None:
    production = running["stock-stock"].result(timeout=900)
    production.finished()
    first, second = [one for one in tasks(production) if ".SIM" in one.task_name]
    assert (first.status, second.status, seeds_of_task(second)) == ("finished", "done", production.seeds[:1])
    assert not set(known_outputs(first)) & set(known_outputs(second))
    writers = {file.seed: file.dataset for file in production.files("SIM", "S")}
    assert writers[production.seeds[0]] in second.outputs["S"]
    assert all(writers[seed] in first.outputs["S"] for seed in production.seeds[1:])
    assert len(set(writers.values())) >= 2


def test_pandas_own_retry_fills_the_same_datasets(running: dict[str, Future[Production]]) -> None:
    production = running["keep-stock"].result(timeout=900)
    production.finished()
    [sim] = [one for one in tasks(production) if ".SIM" in one.task_name]
    assert (sim.status, sim.retries) == ("done", 1)


# --- names that nobody can match --------------------------------------------------------------------------------------
def _rename_outputs(site: Site, jedi_task_id: int) -> None:
    """Another refiner's names, in PanDA's own tables."""
    engine = t.connect(site.sandbox.database_url)
    with engine.begin() as connection:
        d, f = t.dataset.c, t.job_file.c
        outputs = (d.jedi_task_id == jedi_task_id) & d.type.in_(("output", "log"))
        ids = select(d.dataset_id).where(outputs)
        connection.execute(update(t.job_file).where(f.dataset_id.in_(ids)).values(dataset=f.dataset + "_der7"))
        connection.execute(update(t.dataset).where(outputs).values(name=d.name + "_der7"))
    engine.dispose()


def test_a_name_that_cannot_be_matched_is_an_error_at_the_first_look_and_nothing_runs_again(
    places: dict[str, Site],
) -> None:
    site, request_id = places["stock-lenient"], "DEMO2025-1965"
    site.approved(request_id)
    ctx = site.context()
    acquire_run(ctx, request_id)
    [jedi_task_id] = ensure_submitted(ctx, request_id, "SIM")
    ended = _until(ctx, jedi_task_id, {TaskStatus.DONE})
    _rename_outputs(site, jedi_task_id)
    for _ in range(2):
        with pytest.raises(OutputsUnknown, match=r"_der7, neither planned"):
            record_status(ctx, jedi_task_id, ended)
        with pytest.raises(OutputsUnknown):
            settle_step(ctx, request_id, "SIM")
    with transaction(site.sessions) as session:
        [step, *_] = session.scalars(select(StepRow).where(StepRow.request_id == request_id).order_by(StepRow.ordinal))
        assert (step.rounds, step.verdict, len(list_step_tasks(session, step.step_id))) == (0, None, 1)


def _until(ctx: Any, jedi_task_id: int, wanted: set[TaskStatus]) -> TaskStatus:
    def look() -> TaskStatus | None:
        try:
            status = ctx.panda.get_status(jedi_task_id)
        except TaskUnknown:
            return None
        return status if status in wanted else None

    return patiently(look, f"task {jedi_task_id} as {', '.join(wanted)}")
