"""What people ask about a request: one picture of it, from the ledger alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from prodsys.actions.core.context import Context
from prodsys.actions.core.request_snapshot import iso
from prodsys.ledger.accounts import SeedAccount, seed_accounts
from prodsys.ledger.requests import find_plan, get_request, get_revision, list_requests, list_steps, newest_certificate
from prodsys.ledger.searching import current_tasks
from prodsys.ledger.seeds import configuration_of, from_range, list_claims, reused_by
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import AuditRow, DatasetRow, RequestRow, RuleRow, RunRow, SeedOutcomeRow, SeedReuseRow
from prodsys.ledger.tasks import jobs_of
from prodsys.model import seeds as seed_ranges
from prodsys.model.outcome import SeedState
from prodsys.model.reasons import ReasonFamily, reason_families, reason_of
from prodsys.model.request import Configuration, RequestSpec


@dataclass(frozen=True)
class RequestLine:
    """A request in a list."""

    request_id: str
    state: str
    recorded_status: str
    campaign: str
    configuration: str
    tag: str
    seeds: str
    events: int
    events_per_file: int
    chain: str
    labels: tuple[str, ...]
    requester: str
    reason: str
    not_before: str | None  # of a delayed launch


def show_list(ctx: Context, states: tuple[str, ...] = (), like: str | None = None) -> list[RequestLine]:
    """Requests in the order of their ids, filtered by state and by a part of the id."""
    with transaction(ctx.sessions) as session:
        return [
            _line(row, RequestSpec.model_validate(found.spec)) for row, found in list_requests(session, states, like)
        ]


def _line(row: RequestRow, spec: RequestSpec) -> RequestLine:
    return RequestLine(
        request_id=row.request_id,
        state=row.state,
        recorded_status=row.recorded_status,
        campaign=row.campaign,
        configuration=Configuration.of(spec).digest(),
        tag=spec.tag,
        seeds=seed_ranges.show(spec.seeds),
        events=spec.events,
        events_per_file=spec.events_per_file,
        chain=spec.chain,
        labels=spec.labels,
        requester=row.requester,
        reason=row.reason,
        not_before=iso(row.not_before),
    )


def show_request(ctx: Context, request_id: str) -> dict[str, Any]:
    """Everything the ledger holds about one request, as plain values with stable keys."""
    with transaction(ctx.sessions) as session:
        row = get_request(session, request_id)
        revision = get_revision(session, request_id)
        stored = find_plan(session, request_id)
        certificate = newest_certificate(session, request_id)
        spec = RequestSpec.model_validate(revision.spec)
        return asdict(_line(row, spec)) | {
            "revision": row.revision,
            "cloned_from": row.cloned_from,
            "extends": row.extends,
            "template": row.template,
            "spec": revision.spec,
            "source": revision.source,
            "plan": stored.digest if stored else None,
            "planned_by": stored.planned_by if stored else None,
            "approved_by": stored.approved_by if stored else None,
            "approved_at": iso(stored.approved_at if stored else None),
            "launched_at": iso(row.launched_at),
            "closed_at": iso(row.closed_at),
            "runs": _runs(session, request_id),
            "steps": _steps(session, request_id),
            "tasks": [_without(task, "request_id") for task in _tasks(session, ctx, request_id)],
            "datasets": _datasets(session, request_id),
            "rules": _rules(session, request_id),
            "reuse": _reuse(session, request_id),
            "certificate": certificate.path if certificate else None,
        }


def _without(values: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != name}


def _runs(session: Session, request_id: str) -> list[dict[str, Any]]:
    rows = session.scalars(select(RunRow).where(RunRow.request_id == request_id).order_by(RunRow.entered_at))
    keys = ("dag_id", "dag_run_id", "revision", "driving", "airflow_state", "note")
    return [{key: getattr(row, key) for key in keys} for row in rows]


def _steps(session: Session, request_id: str) -> list[dict[str, Any]]:
    steps = list_steps(session, request_id)
    missing: dict[int, list[tuple[int, str]]] = {step.step_id: [] for step in steps}
    wanted = select(SeedOutcomeRow).where(
        SeedOutcomeRow.step_id.in_(missing), SeedOutcomeRow.state != SeedState.DELIVERED
    )
    for one in session.scalars(wanted.order_by(SeedOutcomeRow.seed)):
        missing[one.step_id].append((one.seed, reason_of(one.state, one.reason, one.lost_in)))
    return [
        {
            "step": step.kind,
            "bunch": step.bunch,
            "verdict": step.verdict,
            "seeds_delivered": step.seeds_delivered,
            "events": step.events,
            "missing": [_family(one) for one in reason_families(missing[step.step_id])],
            "notes": list(step.notes),
        }
        for step in steps
    ]


def _family(family: ReasonFamily) -> dict[str, Any]:
    return {"seeds": family.shown_seeds, "count": len(family.seeds), "reason": family.reason}


def _tasks(session: Session, ctx: Context, request_id: str | None) -> list[dict[str, Any]]:
    """PanDA tasks of the current revision of one request, or of all; one statement."""
    return [
        {
            "request_id": step.request_id,
            "step": step.kind,
            "bunch": task.bunch,
            "attempt": task.attempt,
            "task_name": task.task_name,
            "intent": task.intent,
            "jedi_task_id": task.jedi_task_id,
            "status": task.status,
            "reason": task.status_reason,
            "jobs": jobs_of(task),
            "twins": list(task.twins),
            "url": f"{ctx.monitor_url.rstrip('/')}/task/{task.jedi_task_id}" if task.jedi_task_id else None,
        }
        for step, task in current_tasks(session, request_id)
    ]


def _datasets(session: Session, request_id: str) -> list[dict[str, Any]]:
    rows = session.scalars(select(DatasetRow).where(DatasetRow.request_id == request_id).order_by(DatasetRow.did))
    keys = ("did", "kind", "step", "data_type", "files", "events", "bytes", "closed")
    return [{key: getattr(row, key) for key in keys} for row in rows]


def _rules(session: Session, request_id: str) -> list[dict[str, Any]]:
    rows = session.scalars(select(RuleRow).where(RuleRow.request_id == request_id).order_by(RuleRow.did))
    keys = ("rule_id", "did", "rse_expression", "copies", "lifetime_days", "length", "state", "locks_ok", "error")
    return [{key: getattr(row, key) for key in keys} for row in rows]


def _reuse(session: Session, request_id: str) -> list[dict[str, Any]]:
    """Reuse declared by this request, and by others of its seeds."""
    others = session.scalars(select(SeedReuseRow).where(SeedReuseRow.owner == request_id))
    return [
        {
            "request": row.request_id,
            "owner": row.owner,
            "seeds": str(from_range(row.seeds)),
            "kind": row.kind,
            "reason": row.reason,
        }
        for row in [*reused_by(session, request_id), *others]
    ]


def show_audit(ctx: Context, request_id: str) -> list[dict[str, Any]]:
    """Who did what to a request, oldest first."""
    with transaction(ctx.sessions) as session:
        rows = session.scalars(select(AuditRow).where(AuditRow.request_id == request_id).order_by(AuditRow.audit_id))
        return [{"at": iso(row.at), "who": row.who, "action": row.action, **row.detail} for row in rows]


def show_certificate(ctx: Context, request_id: str) -> dict[str, Any] | None:
    """Path, digest and body of the newest certificate, or None."""
    with transaction(ctx.sessions) as session:
        get_request(session, request_id)
        found = newest_certificate(session, request_id)
        return {"path": found.path, "digest": found.digest, "body": found.body} if found else None


def show_tasks(ctx: Context, request_id: str | None = None) -> list[dict[str, Any]]:
    """PanDA tasks of one request, or of all."""
    with transaction(ctx.sessions) as session:
        if request_id:
            get_request(session, request_id)
        return _tasks(session, ctx, request_id)


def show_claims(ctx: Context, request_id: str | None = None) -> list[dict[str, Any]]:
    """Who owns which seeds, by configuration; of one request's configuration when asked."""
    with transaction(ctx.sessions) as session:
        configuration = configuration_of(session, get_request(session, request_id).request_id) if request_id else None
        return [
            {
                "configuration": row.configuration,
                "seeds": str(from_range(row.seeds)),
                "request_id": row.owner,
                "state": state,
            }
            for row, state in list_claims(session, configuration)
        ]


def show_accounts(ctx: Context, request_id: str) -> list[SeedAccount]:
    """In which column the seeds of each step stand."""
    with transaction(ctx.sessions) as session:
        get_request(session, request_id)
        return seed_accounts(session, [request_id])
