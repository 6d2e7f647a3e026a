"""Recurring requests: the one request of every interval of a template, made once, whoever asks for it and how often."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import select

from prodsys.actions.core.context import Context
from prodsys.actions.planning.planning import approve, plan
from prodsys.actions.requests.importing import Origin, create_request
from prodsys.actions.requests.new_configurations import open_questions_in
from prodsys.actions.requests.template_reservations import ensure_kept, requests_of
from prodsys.actions.runs.launching import launch
from prodsys.errors import SpecInvalid, TrialMissing
from prodsys.ledger.requests import find_plan, get_request
from prodsys.ledger.seeds import reserved_by, take_reserved
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import AuditRow, RecurringRow
from prodsys.model import seeds as seed_ranges
from prodsys.model.recurring import RecurringSpec
from prodsys.model.request import Configuration
from prodsys.model.statuses import RequestState
from prodsys.model.times import utc_minutes
from prodsys.model.transitions import Action, Permission
from prodsys.model.written import check_request

AGAINST_IT = {
    Action.WITHDRAW: "took its approval back",
    Action.REJECT: "rejected its plan",
    Action.DELETE: "deleted it",
}


@dataclass(frozen=True)
class IntervalAnswer:
    """What became of one interval."""

    template: str
    ordinal: int
    begin: datetime
    end: datetime
    request_id: str
    seeds: str
    created: bool = False  # just now
    state: str = ""  # of the request; "" while there is none
    message: str = ""


@dataclass(frozen=True)
class TemplateAnswer:
    """What the ledger keeps for a template, and the intervals that are due or made, in order, with the next one."""

    name: str
    active: bool
    registered: bool
    kept_seeds: str
    intervals: tuple[IntervalAnswer, ...]

    @property
    def missed(self) -> int:
        """Intervals that have ended and have no request."""
        return sum(1 for one in self.intervals if not one.state and one.end <= datetime.now(UTC))


def recur(
    ctx: Context, template: RecurringSpec, interval_start: datetime, *, now: datetime | None = None
) -> IntervalAnswer:
    """The request of an interval, brought as far as its template wants; asked for again, the same request.

    Raises
    ------
    SpecInvalid
        No interval begins at this moment, it has not ended, or the template rests.
    SeedsTaken, IdTaken, TemplateChanged
        See `register`.
    """
    ctx.check_permission("make recurring requests", Permission.CREATE)
    ordinal = template.ordinal_of(interval_start)
    begin, end = template.bounds(ordinal)
    if not template.active:
        raise SpecInvalid(template.name, "the template rests", "write active: true")
    if end > (now or datetime.now(UTC)):
        message = f"the interval that begins {begin:%Y-%m-%d %H:%M} has not ended"
        raise SpecInvalid(template.name, message, f"its request is made from {utc_minutes(end)} on")
    request_id, created = _ensure_request(ctx, template, ordinal)
    message = _bring_on(ctx, template, request_id, created=created)
    with transaction(ctx.sessions) as session:
        state = get_request(session, request_id).state
    return replace(_interval(template, ordinal, request_id), created=created, state=state, message=message)


def _interval(template: RecurringSpec, ordinal: int, request_id: str = "") -> IntervalAnswer:
    begin, end = template.bounds(ordinal)
    seeds = str(template.seeds_of(ordinal))
    return IntervalAnswer(template.name, ordinal, begin, end, request_id or template.id_of(ordinal), seeds)


def _ensure_request(ctx: Context, template: RecurringSpec, ordinal: int) -> tuple[str, bool]:
    """Id of the request of an interval, and whether it was made now; the unique key is (template, interval)."""
    begin, end = template.bounds(ordinal)
    with transaction(ctx.sessions) as session:
        ensure_kept(session, ctx, template)  # one at a time looks and makes: it locks the configuration, then the ids
        found = requests_of(session, template.name).get(begin)
        if found is not None:
            return found.request_id, False
        spec = template.request_of(ordinal, ctx.catalogue.partitions)
        check_request(spec, ctx.catalogue)
        configuration = Configuration.of(spec).digest()
        source = {"template": template.name, "interval": [begin.isoformat(), end.isoformat()], "ordinal": ordinal}
        origin = Origin(template=template.name, interval_start=begin, requester=template.requester)
        create_request(session, ctx.who, spec, source, origin)
        take_reserved(session, configuration, template.name, spec.request_id, spec.seeds)
        return spec.request_id, True


def _bring_on(ctx: Context, template: RecurringSpec, request_id: str, *, created: bool) -> str:
    """Plan, approve and launch as the template wants; what a person has decided stays decided."""
    if not created and (decided := _refused_by_person(ctx, request_id)):
        return f"a person {decided}: whoever approves it decides"
    if _state(ctx, request_id) in {RequestState.DRAFT, RequestState.CHECKED}:
        plan(ctx, request_id)
    if template.approve == "by hand":
        return f"waits for approval: prodsys request approve {request_id}"
    if _state(ctx, request_id) is RequestState.PLANNED:
        limit = ctx.catalogue.policy.recurring_jobs
        if template.seeds_per_interval > limit:
            return f"waits for approval: {template.seeds_per_interval} jobs, automatically at most {limit}"
        if asked := _open_questions(ctx, request_id):
            return f"waits for approval: {asked[0]}"
        try:
            waits_for = approve(ctx, request_id).waits_for
        except TrialMissing as error:
            waits_for = str(error)
        if waits_for:
            return f"waits for approval: {waits_for}"
    if template.launch and _state(ctx, request_id) is RequestState.APPROVED:
        return launch(ctx, request_id, wait=False).message
    return ""


def _state(ctx: Context, request_id: str) -> RequestState:
    with transaction(ctx.sessions) as session:
        return RequestState(get_request(session, request_id).state)


def _open_questions(ctx: Context, request_id: str) -> tuple[str, ...]:
    """What a person must answer by approving the newest plan."""
    with transaction(ctx.sessions) as session:
        stored = find_plan(session, request_id)
        return open_questions_in(tuple(map(str, stored.warnings or ()))) if stored else ()


def _refused_by_person(ctx: Context, request_id: str) -> str:
    """What a person last said against it, in words; "" when nobody did."""
    wanted = select(AuditRow.action).where(AuditRow.request_id == request_id, AuditRow.action.in_(AGAINST_IT))
    with transaction(ctx.sessions) as session:
        found = session.scalars(wanted.order_by(AuditRow.audit_id.desc()).limit(1)).first()
    return AGAINST_IT[Action(found)] if found else ""


def catch_up(ctx: Context, template: RecurringSpec, *, now: datetime | None = None) -> list[IntervalAnswer]:
    """The requests of all intervals that have ended and had none, in order."""
    moment = now or datetime.now(UTC)
    with transaction(ctx.sessions) as session:
        made = requests_of(session, template.name)
    missed = [begin for begin in (template.moments[one] for one in template.due(moment)) if begin not in made]
    return [recur(ctx, template, begin, now=moment) for begin in missed]


def show_template(ctx: Context, template: RecurringSpec, *, now: datetime | None = None) -> TemplateAnswer:
    """What is kept for a template, and its intervals up to the next one."""
    due = template.due(now or datetime.now(UTC))
    with transaction(ctx.sessions) as session:
        made = requests_of(session, template.name)
        registered = session.get(RecurringRow, template.name) is not None
        kept = seed_ranges.show(reserved_by(session, template.name))
    lines = []
    for ordinal in range(min(due.stop + 1, template.intervals)):
        child = made.get(template.moments[ordinal])
        line = _interval(template, ordinal, child.request_id if child else "")
        lines.append(replace(line, state=child.state if child else "", message=child.reason if child else ""))
    return TemplateAnswer(template.name, template.active, registered, kept, tuple(lines))
