"""The certificate and the hand-over lists: built from the ledger, with replicas and rules read back from Rucio."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from prodsys.actions.core.context import Context
from prodsys.actions.runs.run_ownership import first_entry
from prodsys.errors import RucioUnavailable
from prodsys.ledger.requests import approved_plan, approved_plan_row, get_request, list_steps
from prodsys.ledger.seeds import from_range, reused_by
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import CertificateRow, DatasetRow, PlanRow, RequestRow, RuleRow, StepRow
from prodsys.ledger.tasks import list_files, list_outcomes, list_tasks
from prodsys.model import seeds as seed_ranges
from prodsys.model.certificate import (
    Certificate,
    CertifiedDataset,
    CertifiedFile,
    CertifiedInput,
    CertifiedRule,
    CertifiedStep,
    CertifiedTask,
    MissingSeed,
    ReusedSeeds,
)
from prodsys.model.names import CONTAINERS, DataKind, Did
from prodsys.model.outcome import SeedState
from prodsys.model.plan import LOG, Plan
from prodsys.model.reading import seeds_from
from prodsys.model.request import digest_of
from prodsys.model.statuses import EventSource, ReuseKind, RuleState, Verdict

LISTS = {"R": "recofiles", "S": "simfiles", "P": "paramfiles"}  # data type -> name of the list physicists know


def build_certificate(ctx: Context, request_id: str, dag_id: str, dag_run_id: str) -> Certificate:
    """The certificate of a request whose data lie where they should."""
    with transaction(ctx.sessions) as session:
        plan = approved_plan(session, request_id)
        datasets = _datasets(session, request_id)
        rules = _rules(session, request_id)
    _check_rules(rules)
    replicas = ctx.rucio.replicas(Did.parse(plan.request_container))
    with transaction(ctx.sessions) as session:
        return _assemble(session, ctx, plan, datasets, rules, replicas, (dag_id, dag_run_id))


def _datasets(session: Session, request_id: str) -> list[DatasetRow]:
    wanted = select(DatasetRow).where(DatasetRow.request_id == request_id).order_by(DatasetRow.did)
    return list(session.scalars(wanted))


def _rules(session: Session, request_id: str) -> list[RuleRow]:
    return list(session.scalars(select(RuleRow).where(RuleRow.request_id == request_id).order_by(RuleRow.did)))


def _check_rules(rules: Iterable[RuleRow]) -> None:
    for rule in rules:
        if rule.state != RuleState.OK or rule.locks_ok != rule.copies * rule.length or not rule.length:
            raise RucioUnavailable(f"rule {rule.rule_id} of {rule.did} is {rule.state} with {rule.locks_ok} locks")


def _check_copies(
    certified: Iterable[CertifiedDataset], rules: Iterable[RuleRow], replicas: Mapping[str, Mapping[str, str]]
) -> None:
    """Every file has the copies of its dataset's rule now, not only when the rule was looked at."""
    copies = {rule.did: rule.copies for rule in rules}
    for one in certified:
        for file in one.files:
            found = sorted(replicas.get(file.lfn, ()))
            if len(found) < copies.get(one.did, 1):
                where = f"it has {len(found)} of {copies.get(one.did, 1)} copies ({', '.join(found) or 'none'})"
                raise RucioUnavailable(f"{file.lfn} of {one.did} is not available: {where}")


def _assemble(
    session: Session,
    ctx: Context,
    plan: Plan,
    datasets: list[DatasetRow],
    rules: list[RuleRow],
    replicas: dict[str, dict[str, str]],
    run: tuple[str, str],
) -> Certificate:
    row, approval = get_request(session, plan.request_id), approved_plan_row(session, plan.request_id)
    steps = list_steps(session, plan.request_id)
    missing = tuple(_missing(session, steps))
    gone = {seed.seed for seed in missing}
    delivered = [seed for seed in seed_ranges.iterate(plan.seeds) if seed not in gone]
    certified = tuple(_dataset(session, steps, one, replicas) for one in datasets if one.kind == DataKind.DATASET)
    _check_copies(certified, rules, replicas)
    came = {
        "verdict": Verdict.PARTIAL if missing else Verdict.FULL,
        "seeds_delivered": seed_ranges.show(seed_ranges.from_seeds(delivered)),
        "seeds_missing": missing,
        "seeds_reused": _reused(session, plan.request_id),
        "events_delivered": sum(step.events or 0 for step in steps if step.kind == plan.steps[-1].kind),
        "bytes_delivered": sum(one.bytes for one in certified),
        "steps": tuple(_step(session, plan, step) for step in steps),
        "tasks": _tasks(session, ctx, plan.request_id),
        "inputs": _inputs(plan),
        "datasets": certified,
        "containers": tuple(one.did for one in datasets if one.kind in CONTAINERS),
        "rules": tuple(_rule(rule) for rule in rules),
    }
    whence = {"certificate_revision": _next_revision(session, plan.request_id), "dag_id": run[0], "dag_run_id": run[1]}
    return Certificate.model_validate(_asked(plan) | came | _people(session, row, approval) | whence)


def _asked(plan: Plan) -> dict[str, Any]:
    """What was asked for."""
    spec = plan.spec
    kept = ("software", "version", "tag", "stage", "collision", "energy_gev", "polarization", "geometry", "campaign")
    return {name: getattr(spec, name) for name in kept} | {
        "request_id": plan.request_id,
        "configuration_digest": plan.configuration_digest,
        "partition": plan.partition,
        "events_per_seed": spec.events_per_file,
        "seeds_asked": seed_ranges.show(plan.seeds),
        "events_asked": plan.events,
    }


def _people(session: Session, row: RequestRow, approval: PlanRow) -> dict[str, Any]:
    """Who asked, planned and approved what, and when."""
    now = datetime.now(UTC)
    return {
        "request_revision": row.revision,
        "plan_digest": approval.digest,
        "requested_by": row.requester,
        "planned_by": approval.planned_by,
        "approved_by": approval.approved_by or "",
        "seconded_by": approval.seconded_by or "",
        "approved_at": approval.approved_at or now,
        "launched_at": row.launched_at or first_entry(session, row.request_id),
        "closed_at": now,
    }


def _missing(session: Session, steps: list[StepRow]) -> Iterable[MissingSeed]:
    """Each seed that did not come to the end, with the first step that lost it."""
    lost: dict[int, MissingSeed] = {}
    for step in steps:
        for one in list_outcomes(session, step.step_id):
            if one.state != SeedState.DELIVERED and one.seed not in lost:
                place, reason = one.lost_in or step.kind, one.reason or one.state
                lost[one.seed] = MissingSeed(seed=one.seed, step=place, reason=reason, waived=one.waived)
    return [lost[seed] for seed in sorted(lost)]


def _reused(session: Session, request_id: str) -> tuple[ReusedSeeds, ...]:
    found = []
    for row in reused_by(session, request_id):
        seeds = from_range(row.seeds)
        kind = ReuseKind(row.kind)
        found.append(ReusedSeeds(first=seeds.first, last=seeds.last, owner=row.owner, kind=kind, reason=row.reason))
    return tuple(found)


def _inputs(plan: Plan) -> tuple[CertifiedInput, ...]:
    """What was read of earlier requests, as the approved plan says."""
    reading = plan.reading
    if reading is None:
        return ()
    return tuple(
        CertifiedInput(
            did=one.did,
            step=reading.step,
            data_type=one.data_type,
            request_id=reading.request_id,
            files=one.files,
            files_read=one.read,
            bytes_read=one.bytes,
            seeds_from=seeds_from(reading),
        )
        for one in reading.datasets
    )


def _step(session: Session, plan: Plan, step: StepRow) -> CertifiedStep:
    rows = list_outcomes(session, step.step_id)
    outcomes = [one for one in rows if one.state == SeedState.DELIVERED]
    planned = plan.step(step.kind)
    counted = sum(one.events_source == EventSource.COUNTED for one in outcomes)
    files_a_seed = len([one for one in planned.outputs if one != LOG])
    return CertifiedStep(
        step=step.kind,
        bunch=step.bunch,
        seeds_asked=len(list(seed_ranges.iterate(plan.seeds_of_bunch(step.bunch)))),
        seeds_waived=sum(1 for one in rows if one.waived),
        rounds=step.rounds,
        core_s=step.core_s,
        verdict=Verdict(step.verdict or ""),
        script=planned.script,
        image=planned.image,
        seeds_delivered=len(outcomes),
        events=sum(one.events for one in outcomes),
        events_counted_in=counted * files_a_seed,
        notes=tuple(str(note) for note in step.notes),
    )


def _tasks(session: Session, ctx: Context, request_id: str) -> tuple[CertifiedTask, ...]:
    return tuple(
        CertifiedTask(
            step=step.kind,
            bunch=task.bunch,
            attempt=task.attempt,
            task_name=task.task_name,
            jedi_task_id=task.jedi_task_id or 0,
            status=task.status or "",
            jobs=task.job_count or 0,
            url=f"{ctx.monitor_url.rstrip('/')}/task/{task.jedi_task_id}",
        )
        for step, task in list_tasks(session, request_id)
    )


def _dataset(
    session: Session, steps: list[StepRow], row: DatasetRow, replicas: dict[str, dict[str, str]]
) -> CertifiedDataset:
    step = next(one for one in steps if (one.kind, one.bunch) == (row.step, row.bunch))
    good = {one.seed for one in list_outcomes(session, step.step_id) if one.state == SeedState.DELIVERED}
    name = Did.parse(row.did).name
    files = tuple(
        CertifiedFile(
            lfn=file.lfn,
            seed=file.seed,
            bytes=file.bytes,
            adler32=file.adler32,
            events=file.events,
            events_source=EventSource(file.events_source),
        )
        for file in list_files(session, step.step_id, row.data_type)
        if file.seed in good and file.dataset == name
    )
    return CertifiedDataset(
        did=row.did,
        step=step.kind,
        data_type=row.data_type or "",
        files=files,
        events=row.events,
        bytes=row.bytes,
        replicas=dict(sorted(Counter(rse for file in files for rse in replicas.get(file.lfn, ())).items())),
    )


def _rule(row: RuleRow) -> CertifiedRule:
    return CertifiedRule(
        rule_id=row.rule_id,
        did=row.did,
        rse_expression=row.rse_expression,
        copies=row.copies,
        lifetime_days=row.lifetime_days,
        state=row.state,
        locks_ok=row.locks_ok,
    )


def _next_revision(session: Session, request_id: str) -> int:
    wanted = select(func.max(CertificateRow.certificate_revision)).where(CertificateRow.request_id == request_id)
    return int(session.scalar(wanted) or 0) + 1


def certificate_row(certificate: Certificate, path: Path) -> CertificateRow:
    """Row of a certificate; it enters the ledger with the request's last move, so a crash leaves no half of the two."""
    body = certificate.model_dump(mode="json")
    return CertificateRow(
        request_id=certificate.request_id,
        certificate_revision=certificate.certificate_revision,
        digest=digest_of(body),
        body=body,
        path=str(path),
    )


def build_handover(ctx: Context, certificate: Certificate) -> dict[str, list[str]]:
    """File name -> one PFN a line on the partition's first storage; line n of each list is the same seed.

    Raises
    ------
    RucioUnavailable
        A file has no available replica.
    """
    with transaction(ctx.sessions) as session:
        plan = approved_plan(session, certificate.request_id)
    last = plan.steps[-1].kind
    replicas, first = ctx.rucio.replicas(Did.parse(plan.request_container)), plan.rules.rses[0]
    kept = {file.seed for one in certificate.datasets if one.step == last for file in one.files}
    written = {data_type for step in plan.steps for data_type in step.outputs}
    lists = {}
    for data_type, word in LISTS.items():
        if data_type not in written:
            continue  # what was read has its own request's lists
        by_seed: dict[int, str] = {}
        for one in (one for one in certificate.datasets if one.data_type == data_type):
            by_seed |= {file.seed: _pfn(file.lfn, replicas, first) for file in one.files if file.seed in kept}
        lists[f"{certificate.request_id}_{word}.txt"] = [by_seed[seed] for seed in sorted(by_seed)]
    return lists


def _pfn(lfn: str, replicas: Mapping[str, Mapping[str, str]], first: str) -> str:
    """Address on the storage that serves the lists; where the rule put no copy there, on another one."""
    pfns = replicas.get(lfn) or {}
    if not pfns:
        raise RucioUnavailable(f"{lfn} has no available replica, so that it cannot stand in the hand-over lists")
    return pfns.get(first) or pfns[min(pfns)]
