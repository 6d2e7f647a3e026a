"""Lists that people and programs page through, as plain values with stable keys; the queries are the ledger's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import select

from prodsys.actions.core.context import Context
from prodsys.actions.core.request_snapshot import iso
from prodsys.errors import NotFound
from prodsys.ledger import searching
from prodsys.ledger.accounts import SeedAccount, seed_accounts
from prodsys.ledger.requests import get_request, list_steps, newest_certificate
from prodsys.ledger.searching import AuditFilter, DatasetFilter, Found, RequestFilter, TaskFilter, Window
from prodsys.ledger.seeds import from_range, next_free
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import (
    AuditRow,
    CertificateRow,
    DatasetRow,
    FileRow,
    FindingRow,
    PlanRow,
    QuestionRow,
    RequestRow,
    RevisionRow,
    RuleRow,
    RunRow,
    SeedOutcomeRow,
    StepRow,
    TaskRow,
)
from prodsys.ledger.tasks import jobs_of
from prodsys.model import seeds as seed_ranges
from prodsys.model.names import Did
from prodsys.model.seeds import SeedRange

T = TypeVar("T")
Values = dict[str, Any]


def _shown(found: Found[T], show: Callable[[T], Values]) -> Found[Values]:
    return Found([show(one) for one in found.rows], found.total)


def _copied(row: object, *names: str) -> Values:
    return {name: getattr(row, name) for name in names}


# --- requests ------------------------------------------------------------------------------------------------------
def list_requests(ctx: Context, wanted: RequestFilter, window: Window) -> Found[Values]:
    """Requests, each in a line."""
    with transaction(ctx.sessions) as session:
        return _shown(searching.search_requests(session, wanted, window), lambda pair: _request(*pair))


def _request(row: RequestRow, revision: RevisionRow) -> Values:
    spec = revision.spec
    return {
        **_copied(row, "request_id", "state", "reason", "recorded_status", "campaign", "priority", "revision"),
        **_copied(row, "requester", "cloned_from", "extends", "trial_of", "template"),
        **{name: spec[name] for name in ("tag", "seeds", "events", "events_per_file", "chain", "labels")},
        "configuration": revision.configuration,
        **{
            name: iso(getattr(row, name))
            for name in ("created_at", "changed_at", "not_before", "launched_at", "closed_at")
        },
    }


def list_request_steps(ctx: Context, request_id: str) -> list[Values]:
    """Steps of the current revision in order, bunch by bunch, with the verdicts and the accounts of their seeds."""
    with transaction(ctx.sessions) as session:
        accounts = {(one.step, one.bunch): one for one in seed_accounts(session, [request_id])}
        return [_step(step, accounts.get((step.kind, step.bunch))) for step in list_steps(session, request_id)]


def _step(step: StepRow, account: SeedAccount | None) -> Values:
    counted = ("asked", "delivered", "missing", "waived", "lost_before")
    return {
        "step": step.kind,
        "waived_by": step.waived,
        **_copied(step, "bunch", "verdict", "events", "counted_files", "rounds"),
        **{name: getattr(account, name) if account else 0 for name in counted},
        "notes": list(step.notes),
        "settled_at": iso(step.settled_at),
        "data_ready_at": iso(step.data_ready_at),
    }


def list_outcomes(
    ctx: Context, request_id: str, window: Window, step: str | None = None, state: str | None = None
) -> Found[Values]:
    """What each seed of a request brought, step by step."""
    with transaction(ctx.sessions) as session:
        get_request(session, request_id)
        found = searching.search_outcomes(session, request_id, window, step=step, state=state)
        return _shown(found, lambda pair: _outcome(*pair))


def _outcome(step: StepRow, row: SeedOutcomeRow) -> Values:
    plain = ("seed", "state", "reason", "lost_in", "waived", "panda_job_id", "site", "events", "events_source")
    return {"step": step.kind, "bunch": step.bunch, **_copied(row, *plain)}


def list_runs(ctx: Context, request_id: str) -> list[Values]:
    """Airflow runs that drove a request, or were turned away, in the order in which they came."""
    with transaction(ctx.sessions) as session:
        get_request(session, request_id)
        rows = session.scalars(select(RunRow).where(RunRow.request_id == request_id).order_by(RunRow.entered_at))
        plain = ("dag_id", "dag_run_id", "revision", "driving", "airflow_state", "note")
        return [{**_copied(row, *plain), "entered_at": iso(row.entered_at)} for row in rows]


# --- plans and certificates ----------------------------------------------------------------------------------------
def list_plans(
    ctx: Context, window: Window, request_id: str | None = None, approved: bool | None = None
) -> Found[Values]:
    """Plans, the newest first."""
    with transaction(ctx.sessions) as session:
        found = searching.search_plans(session, window, request_id, approved)
        return _shown(found, lambda pair: _plan(*pair))


def show_plan(ctx: Context, digest: str) -> Values:
    """One plan with its body.

    Raises
    ------
    NotFound
        No plan has this digest.
    """
    with transaction(ctx.sessions) as session:
        row = searching.find_plan_of_digest(session, digest)
        if row is None:
            raise NotFound("plan", digest)
        return _plan(row, row.body) | {"body": row.body, "estimate": row.estimate or {}}


def _plan(row: PlanRow, body: Values) -> Values:
    return {
        **_copied(row, "request_id", "digest", "revision", "planned_by", "approved_by", "seconded_by"),
        **{name: iso(getattr(row, name)) for name in ("planned_at", "approved_at", "seconded_at")},
        **{name: body[name] for name in searching.PLAN_SUMS},
        "warnings": list(row.warnings or ()),
    }


def list_certificates(ctx: Context, window: Window, request_id: str | None = None) -> Found[Values]:
    """Certificates without their bodies, the newest first."""
    with transaction(ctx.sessions) as session:
        found = searching.search_certificates(session, window, request_id)
        return _shown(found, lambda row: {**row._mapping, "issued_at": iso(row.issued_at)})


def show_certificate_of(ctx: Context, request_id: str, revision: int | None = None) -> Values:
    """A certificate with its body: the newest, or one of its revisions.

    Raises
    ------
    NotFound
        The request has none yet, or not this one.
    """
    with transaction(ctx.sessions) as session:
        get_request(session, request_id)
        key = (request_id, revision)
        row = newest_certificate(session, request_id) if revision is None else session.get(CertificateRow, key)
        if row is None:
            raise NotFound("certificate", request_id if revision is None else f"{request_id} revision {revision}")
        plain = _copied(row, "request_id", "certificate_revision", "digest", "path", "body")
        return plain | {"issued_at": iso(row.issued_at), "verdict": row.body.get("verdict", "")}


# --- tasks ---------------------------------------------------------------------------------------------------------
def list_tasks(ctx: Context, wanted: TaskFilter, window: Window) -> Found[Values]:
    """PanDA tasks of requests."""
    with transaction(ctx.sessions) as session:
        return _shown(searching.search_tasks(session, wanted, window), lambda pair: _task(ctx, *pair))


def show_task(ctx: Context, task_name: str) -> Values:
    """One PanDA task with the map it was submitted with.

    Raises
    ------
    NotFound
        No task has this name.
    """
    with transaction(ctx.sessions) as session:
        found = searching.search_tasks(session, TaskFilter(task_name=task_name), Window(limit=1)).rows
        if not found:
            raise NotFound("task", task_name)
        return _task(ctx, *found[0]) | {"task_map": found[0][1].task_map}


def _task(ctx: Context, step: StepRow, task: TaskRow) -> Values:
    plain = ("task_name", "attempt", "bunch", "intent", "jedi_task_id", "parent_tid", "status", "final", "adopted")
    return {
        "request_id": step.request_id,
        "revision": step.revision,
        "step": step.kind,
        **_copied(task, *plain),
        "reason": task.status_reason,
        "seeds": seed_ranges.show(sorted(from_range(one) for one in task.seeds)),
        "jobs": jobs_of(task),
        "outputs": task.outputs,
        "retries": task.retries,
        "twins": list(task.twins),
        "sent_count": task.sent_count,
        "first_sent_at": iso(task.first_sent_at),
        "status_at": iso(task.status_at),
        "created_at": iso(task.created_at),
        "url": f"{ctx.monitor_url.rstrip('/')}/task/{task.jedi_task_id}" if task.jedi_task_id else None,
    }


# --- seeds and data ------------------------------------------------------------------------------------------------
def list_claims(
    ctx: Context,
    window: Window,
    configuration: str | None = None,
    request_id: str | None = None,
    overlapping: SeedRange | None = None,
) -> Found[Values]:
    """First owners of seeds, by configuration and seeds."""
    with transaction(ctx.sessions) as session:
        found = searching.search_claims(
            session, window, configuration=configuration, request_id=request_id, overlapping=overlapping
        )
        return _shown(
            found,
            lambda pair: {
                **_copied(pair[0], "configuration", "request_id", "template"),
                "seeds": str(from_range(pair[0].seeds)),
                "state": pair[1],
                "claimed_at": iso(pair[0].claimed_at),
            },
        )


def free_seeds(ctx: Context, configuration: str) -> int:
    """Lowest free seed of a configuration, gaps included; 1 for a configuration nobody used."""
    with transaction(ctx.sessions) as session:
        return next_free(session, configuration)


def list_datasets(ctx: Context, wanted: DatasetFilter, window: Window) -> Found[Values]:
    """Datasets and containers of requests, as they were read back from Rucio."""
    with transaction(ctx.sessions) as session:
        return _shown(searching.search_datasets(session, wanted, window), _dataset)


def show_dataset(ctx: Context, did: str) -> Values:
    """One dataset or container with its replication rules.

    Raises
    ------
    NotFound
        No request has such a dataset.
    """
    with transaction(ctx.sessions) as session:
        row = session.get(DatasetRow, did)
        if row is None:
            raise NotFound("dataset", did)
        rules = session.scalars(select(RuleRow).where(RuleRow.did == did).order_by(RuleRow.rule_id))
        return _dataset(row) | {"rules": [_rule(rule) for rule in rules]}


def list_files(ctx: Context, did: str, window: Window) -> Found[Values]:
    """Files of a dataset in the order of seeds, as their jobs reported them."""
    with transaction(ctx.sessions) as session:
        if session.get(DatasetRow, did) is None:
            raise NotFound("dataset", did)
        return _shown(searching.search_files(session, Did.parse(did).name, window), _file)


def _dataset(row: DatasetRow) -> Values:
    plain = ("did", "request_id", "kind", "step", "data_type", "files", "bytes", "events", "closed")
    return {**_copied(row, *plain), "read_back_at": iso(row.read_back_at)}


def _rule(row: RuleRow) -> Values:
    plain = ("rule_id", "rse_expression", "copies", "lifetime_days", "length", "state", "locks_ok", "error")
    return {**_copied(row, *plain), "checked_at": iso(row.checked_at)}


def _file(row: FileRow) -> Values:
    return _copied(row, "lfn", "seed", "data_type", "panda_job_id", "bytes", "adler32", "events", "events_source")


# --- who did what, and what is asked of persons --------------------------------------------------------------------
def list_audit(ctx: Context, wanted: AuditFilter, window: Window) -> Found[Values]:
    """Lines of the audit log, the newest first unless asked otherwise."""
    with transaction(ctx.sessions) as session:
        return _shown(searching.search_audit(session, wanted, window), _audit)


def list_history(ctx: Context, request_id: str, window: Window) -> Found[Values]:
    """What was done to one request, the oldest first."""
    with transaction(ctx.sessions) as session:
        get_request(session, request_id)
        oldest_first = Window(window.offset, window.limit, "at")
        return _shown(searching.search_audit(session, AuditFilter(request_id=request_id), oldest_first), _audit)


def _audit(row: AuditRow) -> Values:
    return {**_copied(row, "audit_id", "who", "action", "request_id", "detail"), "at": iso(row.at)}


def list_questions(
    ctx: Context, window: Window, request_id: str | None = None, waiting: bool | None = None
) -> Found[Values]:
    """Questions to persons, the newest first."""
    with transaction(ctx.sessions) as session:
        found = searching.search_questions(session, window, request_id, waiting=waiting)
        return _shown(found, lambda pair: _question(*pair))


def show_question(ctx: Context, question_id: int) -> Values:
    """One question.

    Raises
    ------
    NotFound
        Nobody asked it.
    """
    with transaction(ctx.sessions) as session:
        found = searching.find_question(session, question_id)
        if found is None:
            raise NotFound("question", str(question_id))
        return _question(*found)


def _question(row: QuestionRow, step: StepRow) -> Values:
    plain = ("question_id", "body", "options", "default", "answer", "answered_by", "reason")
    moments = ("asked_at", "due_at", "answered_at")
    return {
        "request_id": step.request_id,
        "step": step.kind,
        "bunch": step.bunch,
        **_copied(row, *plain),
        **{name: iso(getattr(row, name)) for name in moments},
    }


def list_findings(
    ctx: Context,
    window: Window,
    request_id: str | None = None,
    severity: str | None = None,
    waiting: bool | None = None,
) -> Found[Values]:
    """Findings of comparisons, the newest first."""
    with transaction(ctx.sessions) as session:
        found = searching.search_findings(session, window, request_id, severity, waiting=waiting)
        return _shown(found, _finding)


def show_finding(ctx: Context, finding_id: int) -> Values:
    """One finding.

    Raises
    ------
    NotFound
        There is none of this number.
    """
    with transaction(ctx.sessions) as session:
        row = session.get(FindingRow, finding_id)
        if row is None:
            raise NotFound("finding", str(finding_id))
        return _finding(row)


def _finding(row: FindingRow) -> Values:
    plain = (
        "finding_id",
        "request_id",
        "subject",
        "look",
        "severity",
        "what",
        "cause",
        "advice",
        "decided_by",
        "reason",
    )
    moments = ("first_seen", "last_seen", "decided_at", "closed_at")
    return {**_copied(row, *plain), **{name: iso(getattr(row, name)) for name in moments}}
