"""A request whose steps are settled and whose data lie in a real Rucio: all that is left to do is to close it."""

from __future__ import annotations

import itertools
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete

from prodsys.actions.closing.collection import ensure_collected, ensure_rules
from prodsys.actions.core.context import Context
from prodsys.actions.planning.planning import approve, plan, publish_plan
from prodsys.actions.requests.cloning import CloneOrder, clone
from prodsys.actions.runs.launching import launch
from prodsys.actions.runs.run_ownership import enter
from prodsys.actions.submission.waiting import RuleSeen, record_rules, rules_to_wait_for
from prodsys.ddm.content import adler32
from prodsys.ddm.facts import FileFact
from prodsys.ddm.placement import hash_path
from prodsys.ddm.verbs import ensure_dataset_holds, rule_complete
from prodsys.ledger.requests import approved_plan, get_request, list_steps, move
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import DatasetRow, FileRow, PlanRow, SeedOutcomeRow, StepRow, TaskRow
from prodsys.ledger.tasks import to_multirange
from prodsys.model import seeds as seed_ranges
from prodsys.model.names import Did, dag_id_of
from prodsys.model.plan import Plan, PlannedDataset
from prodsys.model.request import digest_of
from prodsys.model.statuses import EventSource, IntentState, Verdict
from prodsys.model.transitions import Action
from tests.contract.actions.airflow_api import Airflow
from tests.rucio_fixture import RucioServer

SOURCE, EVENTS, SEEDS = "PROD2025-016", 20, 3
RULES_MAX_S = 90
_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Settled:
    """Hands, the request, and its run."""

    ctx: Context
    request_id: str
    run: tuple[str, str]


def new_id() -> str:
    """A request id that no test has used: names in Rucio are for ever, and one server serves all tests."""
    return f"DEMO2025-{600 + next(_NUMBERS)}"


def make_settled(ctx: Context, airflow: Airflow, server: RucioServer, body: dict[str, Any] | None = None) -> Settled:
    """Clone, plan, approve and launch a request with a new name, and let its data be there.

    With the body of a plan, that is what was approved, as a release before this one may have stored it.
    """
    request_id = body["request_id"] if body else new_id()
    clone(ctx, SOURCE, request_id, CloneOrder(seed_count=SEEDS, events_per_file=EVENTS))
    plan(ctx, request_id)
    airflow.digest = _approve_stored(ctx, request_id, body) if body else approve(ctx, request_id).digest
    launch(ctx, request_id)
    run = dag_id_of(request_id), f"{request_id}-r1"
    assert enter(ctx, request_id, 1, *run).drive
    with transaction(ctx.sessions) as session:
        planned, steps = approved_plan(session, request_id), list_steps(session, request_id)
    for step in steps:
        _settle(ctx, server, planned, step)
    return Settled(ctx, request_id, run)


def _approve_stored(ctx: Context, request_id: str, body: dict[str, Any]) -> str:
    """Digest of a plan that was approved before this release planned anything."""
    digest = digest_of(body)
    with transaction(ctx.sessions) as session:
        row = get_request(session, request_id, lock=True)
        session.execute(delete(PlanRow).where(PlanRow.request_id == request_id))
        key = {"request_id": request_id, "digest": digest, "revision": row.revision}
        stored = PlanRow(**key, body=body, planned_by=ctx.who, approved_by=ctx.who)
        session.add(stored)
        session.flush()
        move(row, Action.APPROVE)
        publish_plan(session, ctx.who, row, stored, Plan.model_validate(body))
    return digest


def _settle(ctx: Context, server: RucioServer, planned: Plan, step: StepRow) -> None:
    seeds = list(seed_ranges.iterate(planned.seeds))
    queue = ctx.catalogue.sites.queues[0]
    now = datetime.now(UTC)
    with transaction(ctx.sessions) as session:
        row = session.get_one(StepRow, step.step_id)
        row.verdict, row.asked, row.seeds_delivered, row.events = Verdict.FULL, len(seeds), len(seeds), EVENTS * SEEDS
        row.settled_at = row.data_ready_at = now
        task = _task(step, planned)
        session.add(task)
        session.flush()
        session.add_all(_outcome(step, task, seed, queue.name) for seed in seeds)
    rse = planned.step(step.kind).rse or queue.rse
    for dataset in planned.step(step.kind).datasets:
        facts = _write(server, Did.parse(dataset.did), rse, seeds)
        ensure_dataset_holds(ctx.rucio, Did.parse(dataset.did), facts, dict.fromkeys(facts, rse))
        _record(ctx, step, dataset, facts, seeds)


def _task(step: StepRow, planned: Plan) -> TaskRow:
    return TaskRow(
        step_id=step.step_id,
        attempt=1,
        task_name=planned.step(step.kind).task_name,
        seeds=to_multirange(planned.seeds),
        task_map={},
        intent=IntentState.CONFIRMED,
        jedi_task_id=9000 + step.step_id,
        status="done",
        job_count=SEEDS,
        final=True,
    )


def _outcome(step: StepRow, task: TaskRow, seed: int, site: str) -> SeedOutcomeRow:
    return SeedOutcomeRow(
        step_id=step.step_id,
        seed=seed,
        task_row_id=task.task_row_id,
        state="delivered",
        site=site,
        events=EVENTS,
        events_source=EventSource.COUNTED,
    )


def _write(server: RucioServer, did: Did, rse: str, seeds: list[int]) -> dict[str, FileFact]:
    """Files where their jobs would have left them."""
    facts = {}
    for number, _ in enumerate(seeds, start=1):
        lfn = f"{did.name}.{number:06d}.root"
        path = server.rse_root / rse / hash_path(Did(did.scope, lfn))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(200 + number))
        facts[lfn] = FileFact(200 + number, adler32(path))
    return facts


def _record(ctx: Context, step: StepRow, dataset: PlannedDataset, facts: dict[str, FileFact], seeds: list[int]) -> None:
    did = Did.parse(dataset.did)
    with transaction(ctx.sessions) as session:
        session.add(
            DatasetRow(
                did=dataset.did,
                request_id=step.request_id,
                step=step.kind,
                data_type=dataset.data_type,
                kind="dataset",
                files=len(facts),
                bytes=sum(fact.bytes for fact in facts.values()),
                events=EVENTS * len(seeds),
                closed=True,
            )
        )
        session.add_all(
            FileRow(
                lfn=lfn,
                step_id=step.step_id,
                seed=seed,
                data_type=dataset.data_type,
                dataset=did.name,
                panda_job_id=seed,
                bytes=fact.bytes,
                adler32=fact.adler32,
                events=EVENTS,
                events_source=EventSource.COUNTED,
            )
            for seed, (lfn, fact) in zip(seeds, facts.items(), strict=True)
        )


def bring_to_certificate(settled: Settled) -> None:
    """Containers, rules and replicas: only the certificate is missing."""
    ensure_collected(settled.ctx, settled.request_id)
    ensure_rules(settled.ctx, settled.request_id)
    until = time.monotonic() + RULES_MAX_S
    while not _all_there(settled):
        assert time.monotonic() < until, "the replicas did not come"
        time.sleep(0.2)


def _all_there(settled: Settled) -> bool:
    targets = rules_to_wait_for(settled.ctx, settled.request_id)
    found = settled.ctx.rucio.rule_states([target.rule_id for target in targets])
    seen = {rule_id: RuleSeen(info.state, info.locks_ok, info.error) for rule_id, info in found.items()}
    record_rules(settled.ctx, settled.request_id, seen)
    return all(rule_complete(found[target.rule_id], target.copies, target.length) for target in targets)
