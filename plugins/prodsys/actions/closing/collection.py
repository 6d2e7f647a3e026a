"""Close a request: containers, metadata, replication rules, certificate, hand-over lists. Each may be run again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from prodsys.actions.closing.certificate_files import certificate_path, files_of, is_written, staged
from prodsys.actions.closing.certifying import build_certificate, build_handover, certificate_row
from prodsys.actions.core.context import Context
from prodsys.actions.runs.run_ownership import release_run, start_closing
from prodsys.actions.settlement.container_checks import check_room
from prodsys.ddm.policies import plan_rules
from prodsys.ddm.verbs import ensure_rules as make_rules
from prodsys.errors import RucioUnavailable, StepFailed, StepReopened
from prodsys.ledger.journal import write_audit
from prodsys.ledger.requests import approved_plan, approved_plan_row, get_request, list_steps, move, newest_certificate
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import CertificateRow, DatasetRow, RuleRow, StepRow
from prodsys.ledger.tasks import is_open, list_step_tasks
from prodsys.model import seeds as seed_ranges
from prodsys.model.certificate import Certificate
from prodsys.model.names import DataKind, DataName, Did
from prodsys.model.plan import Plan
from prodsys.model.statuses import DELIVERED, GOOD, RequestState, RuleState, Verdict
from prodsys.model.transitions import Action


@dataclass(frozen=True)
class CertifyAnswer:
    """How a request ended and where its certificate lies."""

    state: RequestState
    path: str
    message: str


def ensure_collected(ctx: Context, request_id: str) -> tuple[str, ...]:
    """One container a step and type, one for the request, with metadata, closed and read back.

    Returns
    -------
    tuple of str
        DIDs of the containers, the request's last.

    Raises
    ------
    StepFailed
        A step has no verdict to go on with.
    StepReopened
        A task of a settled step works again.
    DatasetConflict
        A container was closed, when the request was complete, without a dataset that was recovered since.
    """
    with transaction(ctx.sessions) as session:
        plan, digest = approved_plan(session, request_id), approved_plan_row(session, request_id).digest
        steps = {(step.kind, step.bunch): step for step in _good_steps(session, plan)}
        datasets = _datasets(session, request_id)
        common = _common(plan, digest)
        metadata = {row.did: common | _own(plan, steps[step_of(row)], row) for row in datasets}
    start_closing(ctx, request_id)
    for row in datasets:
        ctx.rucio.ensure_metadata(Did.parse(row.did), metadata[row.did])
    children: dict[Did, list[Did]] = {}
    for row in datasets:
        # of the ledger, not of the name: an adopted dataset keeps whatever name it has
        container = Did(plan.partition, plan.sample.step_container(row.step or "", row.data_type or ""))
        children.setdefault(container, []).append(Did.parse(row.did))
    whole = Did.parse(plan.request_container)
    events = _events_of_containers(plan, steps.values(), datasets, children)
    for container, content in children.items():
        check_room(ctx, container, content)
        ctx.rucio.ensure_container(container, content)
        ctx.rucio.ensure_metadata(container, common | {"n_events": events[container]})
    check_room(ctx, whole, list(children))
    ctx.rucio.ensure_container(whole, list(children))
    ctx.rucio.ensure_metadata(whole, common | {"n_events": events[whole]})
    if all(step.verdict == Verdict.FULL for step in steps.values()):  # else what is recovered later joins them
        for container in (*children, whole):
            ctx.rucio.ensure_closed(container)
    return _write_containers(ctx, plan, events, whole)


def _events_of_containers(
    plan: Plan, steps: Iterable[StepRow], datasets: Iterable[DatasetRow], children: Mapping[Did, Sequence[Did]]
) -> dict[Did, int]:
    """Events of each container: the sum of its datasets; of the request's, what its last step delivered."""
    held = {row.did: row.events for row in datasets}
    events = {container: sum(held[str(child)] for child in content) for container, content in children.items()}
    delivered = sum(step.events or 0 for step in steps if step.kind == plan.steps[-1].kind)
    return events | {Did.parse(plan.request_container): delivered}


def step_of(row: DatasetRow) -> tuple[str, int | None]:
    """Kind and bunch of the step that a dataset belongs to."""
    return row.step or "", row.bunch


def _good_steps(session: Session, plan: Plan) -> list[StepRow]:
    steps = list_steps(session, plan.request_id)
    for step in steps:
        _check_at_rest(session, step)
        if step.verdict is None or Verdict(step.verdict) not in GOOD or step.data_ready_at is None:
            raise StepFailed(plan.request_id, step.kind, step.verdict or "not settled", "the request cannot be closed")
    return steps


def _check_at_rest(session: Session, step: StepRow) -> None:
    """A task that somebody retried or that a person adopted since is settled first; another run does that."""
    moving = [task.task_name for task in list_step_tasks(session, step.step_id) if is_open(task)]
    if moving:
        raise StepReopened(step.request_id, step.kind, moving)


def _datasets(session: Session, request_id: str) -> list[DatasetRow]:
    wanted = select(DatasetRow).where(DatasetRow.request_id == request_id, DatasetRow.kind == DataKind.DATASET)
    return list(session.scalars(wanted.order_by(DatasetRow.did)))


def _common(plan: Plan, digest: str) -> dict[str, Any]:
    """Metadata that every DID of the request carries; the digest is the one that was approved."""
    spec = plan.spec
    return {
        "request": plan.request_id,
        "prod_campaign": plan.campaign,  # Rucio keeps `campaign` to itself
        "configuration": plan.configuration_digest,
        "plan": digest,
        "software": spec.software,
        "software_version": spec.version,
        "geometry": spec.geometry,
        "stage": spec.stage,
        "collision": spec.collision,
        "energy_gev": spec.energy_gev,
        "polarization": spec.polarization,
        "tag": spec.tag,
        "seeds": seed_ranges.show(plan.seeds),
        "events_per_file": spec.events_per_file,
    }


def _own(plan: Plan, step: StepRow, row: DatasetRow) -> dict[str, Any]:
    """Metadata of one dataset."""
    planned = plan.step(step.kind)
    return {
        "step": step.kind,
        "data_type": row.data_type,
        "script": planned.script,
        "image": planned.image,
        "n_events": row.events,  # Rucio keeps the key `events` of datasets to itself
        "n_seeds": step.seeds_delivered,
        "verdict": step.verdict,
    }


def _write_containers(ctx: Context, plan: Plan, events: Mapping[Did, int], whole: Did) -> tuple[str, ...]:
    found = {did: ctx.rucio.dataset_info(did) for did in events}
    with transaction(ctx.sessions) as session:
        get_request(session, plan.request_id, lock=True)  # one at a time writes down what became of a request
        for did, info in found.items():
            if info is None:
                raise RucioUnavailable(f"{did} was made and is not shown")
            name = DataName.parse(did.name)
            session.merge(
                DatasetRow(
                    did=str(did),
                    request_id=plan.request_id,
                    step=name.step,
                    data_type=name.data_type,
                    kind=DataKind.REQUEST_CONTAINER if did == whole else DataKind.STEP_CONTAINER,
                    files=info.length,
                    bytes=info.bytes,
                    events=events[did],
                    closed=not info.open,
                    read_back_at=datetime.now(UTC),
                )
            )
        write_audit(session, ctx.who, "collect", plan.request_id, containers=[str(did) for did in found])
    return tuple(str(did) for did in found)


def ensure_rules(ctx: Context, request_id: str) -> tuple[str, ...]:
    """A replication rule for every dataset, as the partition's policy says; ids in the order of the datasets."""
    with transaction(ctx.sessions) as session:
        plan = approved_plan(session, request_id)
        datasets = [row for row in _datasets(session, request_id) if row.files]
    wanted = plan_rules(plan.rules, [Did.parse(row.did) for row in datasets])
    made = {str(did): rule_id for did, rule_id in make_rules(ctx.rucio, wanted).items()}
    with transaction(ctx.sessions) as session:
        get_request(session, request_id, lock=True)
        gone = (RuleRow.request_id == request_id, RuleRow.rule_id.not_in(made.values()))  # expired or deleted in Rucio
        session.execute(delete(RuleRow).where(*gone))
        for row in datasets:
            known = session.get(RuleRow, made[row.did])
            if known is None:
                session.add(_rule_row(plan, row, made[row.did]))
            else:
                known.length = row.files  # data may have been settled again since
        write_audit(session, ctx.who, "replicate", request_id, rules=list(made.values()))
    return tuple(made.values())


def _rule_row(plan: Plan, row: DatasetRow, rule_id: str) -> RuleRow:
    return RuleRow(
        rule_id=rule_id,
        did=row.did,
        request_id=plan.request_id,
        rse_expression=plan.rules.rse_expression,
        copies=plan.rules.copies,
        lifetime_days=plan.rules.lifetime_days,
        length=row.files,
        state=RuleState.REPLICATING,
        locks_ok=0,
        error="",
    )


def certify(ctx: Context, request_id: str, dag_id: str, dag_run_id: str) -> CertifyAnswer:
    """Write certificate and hand-over lists and end the request as `complete`, or `accepted` when seeds are missing.

    Said again after the end, it writes what is not on disk.

    Raises
    ------
    RucioUnavailable
        A rule is not complete (any more).
    FilesUnavailable
        The folder of the certificates takes no files now.
    StepReopened
        A task of a settled step works again, since the containers were made.
    """
    if not _is_delivered(ctx, request_id):
        _certify(ctx, build_certificate(ctx, request_id, dag_id, dag_run_id))
    _ensure_written(ctx, request_id)
    with transaction(ctx.sessions) as session:
        return _certified(session, request_id)


def _is_delivered(ctx: Context, request_id: str) -> bool:
    with transaction(ctx.sessions) as session:
        return RequestState(get_request(session, request_id).state) in DELIVERED


def _certify(ctx: Context, certificate: Certificate) -> None:
    """Write the files, then the ledger, then put the files into their places: no lock is held while a disk is slow."""
    path = certificate_path(ctx, certificate.request_id, certificate.certificate_revision)
    row = certificate_row(certificate, path)
    with staged(files_of(path, row.body, build_handover(ctx, certificate))) as files:
        with transaction(ctx.sessions) as session:
            new = _end(session, ctx, certificate, row)
        if new:
            files.publish()


def _end(session: Session, ctx: Context, certificate: Certificate, issued: CertificateRow) -> bool:
    """End the request with its certificate; False when somebody was faster, whose certificate is the one."""
    row = get_request(session, certificate.request_id, lock=True)
    if RequestState(row.state) in DELIVERED:
        return False
    for step in list_steps(session, row.request_id):
        _check_at_rest(session, step)
    move(row, Action.COMPLETE if certificate.verdict is Verdict.FULL else Action.COMPLETE_PARTLY)
    row.closed_at = certificate.closed_at
    session.add(issued)
    release_run(session, row.request_id, f"ended {row.state}", "success")
    write_audit(session, ctx.who, "certify", row.request_id, state=row.state, certificate=issued.path)
    return True


def _ensure_written(ctx: Context, request_id: str) -> None:
    """Write the files of the newest certificate unless they are there: whoever issued it may have died before that."""
    with transaction(ctx.sessions) as session:
        row = newest_certificate(session, request_id)
    if row is None or is_written(Path(row.path), row.digest):
        return
    lists = build_handover(ctx, Certificate.model_validate(row.body))
    with staged(files_of(Path(row.path), row.body, lists)) as files:
        files.publish()


def _in_words(step: StepRow) -> str:
    bunch = "" if step.bunch is None else f" bunch {step.bunch}"
    return f"{step.kind}{bunch} {step.verdict}"


def _certified(session: Session, request_id: str) -> CertifyAnswer:
    row = get_request(session, request_id)
    certificate = newest_certificate(session, request_id)
    path = certificate.path if certificate else ""
    steps = ", ".join(_in_words(step) for step in list_steps(session, request_id))
    return CertifyAnswer(RequestState(row.state), path, f"{request_id} is {row.state} ({steps}): {path}")
