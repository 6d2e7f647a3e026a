"""Close a request: containers, metadata, replication rules, certificate, hand-over lists. Each may be run again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from prodsys.actions.certifying import build_certificate, build_handover, certificate_row, write_files
from prodsys.actions.containers import REQUEST_CONTAINER, STEP_CONTAINER, check_room
from prodsys.actions.context import Context
from prodsys.actions.data import DATASET
from prodsys.actions.driving import leave, start_closing
from prodsys.ddm.policies import plan_rules
from prodsys.ddm.verbs import ensure_rules as make_rules
from prodsys.errors import RucioUnavailable, StepFailed, StepReopened
from prodsys.ledger.journal import write_audit
from prodsys.ledger.requests import approved_plan, get_request, list_steps, move, newest_certificate
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import DatasetRow, RuleRow, StepRow
from prodsys.ledger.tasks import is_open, list_step_tasks
from prodsys.model import seeds as seeds_of
from prodsys.model.moves import Act
from prodsys.model.names import DataName, Did
from prodsys.model.plan import Plan
from prodsys.model.statuses import DELIVERED, GOOD, RequestState, RuleState, Verdict


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
        plan = approved_plan(session, request_id)
        steps = {(step.kind, step.bunch): step for step in _good_steps(session, plan)}
        datasets = _datasets(session, request_id)
        metadata = {row.did: _metadata(plan, steps[step_of(row)], row) for row in datasets}
    start_closing(ctx, request_id)
    for row in datasets:
        ctx.rucio.ensure_metadata(Did.parse(row.did), metadata[row.did])
    children: dict[Did, list[Did]] = {}
    for row in datasets:
        # of the ledger, not of the name: an adopted dataset keeps whatever name it has
        container = Did(plan.partition, plan.sample.step_container(row.step or "", row.data_type or ""))
        children.setdefault(container, []).append(Did.parse(row.did))
    for container, content in children.items():
        check_room(ctx, container, content)
        ctx.rucio.ensure_container(container, content)
        ctx.rucio.ensure_metadata(container, _common(plan))
    whole = Did.parse(plan.request_container)
    check_room(ctx, whole, list(children))
    ctx.rucio.ensure_container(whole, list(children))
    ctx.rucio.ensure_metadata(whole, _common(plan))
    if all(step.verdict == Verdict.FULL for step in steps.values()):  # else what is recovered later joins them
        for container in (*children, whole):
            ctx.rucio.ensure_closed(container)
    return _write_containers(ctx, plan, children, whole)


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
    wanted = select(DatasetRow).where(DatasetRow.request_id == request_id, DatasetRow.kind == DATASET)
    return list(session.scalars(wanted.order_by(DatasetRow.did)))


def _common(plan: Plan) -> dict[str, Any]:
    """Metadata that every DID of the request carries."""
    spec = plan.spec
    return {
        "request": plan.request_id,
        "prod_campaign": plan.campaign,  # Rucio keeps `campaign` to itself
        "configuration": plan.configuration_digest,
        "plan": plan.digest(),
        "software": spec.software,
        "software_version": spec.version,
        "geometry": spec.geometry,
        "stage": spec.stage,
        "collision": spec.collision,
        "energy_gev": spec.energy_gev,
        "polarization": spec.polarization,
        "tag": spec.tag,
        "seeds": seeds_of.show(plan.seeds),
        "events_per_file": spec.events_per_file,
    }


def _metadata(plan: Plan, step: StepRow, row: DatasetRow) -> dict[str, Any]:
    planned = plan.step(step.kind)
    own = {
        "step": step.kind,
        "data_type": row.data_type,
        "script": planned.script,
        "image": planned.image,
        "n_events": row.events,  # Rucio keeps the key `events` of datasets to itself
        "n_seeds": step.seeds_delivered,
        "verdict": step.verdict,
    }
    return _common(plan) | own


def _write_containers(ctx: Context, plan: Plan, children: dict[Did, list[Did]], whole: Did) -> tuple[str, ...]:
    found = {did: ctx.rucio.dataset_info(did) for did in (*children, whole)}
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
                    kind=REQUEST_CONTAINER if did == whole else STEP_CONTAINER,
                    files=info.length,
                    bytes=info.bytes,
                    events=0,
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

    Raises
    ------
    RucioUnavailable
        A rule is not complete (any more).
    StepReopened
        A task of a settled step works again, since the containers were made.
    """
    with transaction(ctx.sessions) as session:
        row = get_request(session, request_id)
        if RequestState(row.state) in DELIVERED:
            return _certified(session, request_id)
    certificate = build_certificate(ctx, request_id, dag_id, dag_run_id)
    lists = build_handover(ctx, certificate)
    act = Act.COMPLETE if certificate.verdict is Verdict.FULL else Act.COMPLETE_PARTLY
    with transaction(ctx.sessions) as session:
        row = get_request(session, request_id, lock=True)
        if RequestState(row.state) in DELIVERED:  # somebody was faster: its certificate is the one
            return _certified(session, request_id)
        for step in list_steps(session, request_id):
            _check_at_rest(session, step)
        path = write_files(ctx, certificate, lists)
        move(row, act)
        row.closed_at = certificate.closed_at
        session.add(certificate_row(certificate, path))
        leave(session, request_id, f"ended {row.state}")
        write_audit(session, ctx.who, "certify", request_id, state=row.state, certificate=str(path))
        session.flush()
        return _certified(session, request_id)


def _in_words(step: StepRow) -> str:
    bunch = "" if step.bunch is None else f" bunch {step.bunch}"
    return f"{step.kind}{bunch} {step.verdict}"


def _certified(session: Session, request_id: str) -> CertifyAnswer:
    row = get_request(session, request_id)
    certificate = newest_certificate(session, request_id)
    path = certificate.path if certificate else ""
    steps = ", ".join(_in_words(step) for step in list_steps(session, request_id))
    return CertifyAnswer(RequestState(row.state), path, f"{request_id} is {row.state} ({steps}): {path}")
