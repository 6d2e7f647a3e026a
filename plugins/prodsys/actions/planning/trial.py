"""Trial: the same chain on the first seeds of a request, in a partition whose data expire, before the mass production.

Its seeds are the request's own, reused with the kind `pilot_of`: what it shows is what the mass production will do, and
its sample is never added to that of the request. What it took corrects the estimate of later plans
(`ledger.history`).
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from prodsys.actions.core.context import Context
from prodsys.actions.planning.planning import PlanAnswer, plan
from prodsys.actions.requests.importing import Origin, create_request
from prodsys.actions.requests.seed_claims import cover_seeds
from prodsys.errors import InvalidTransition, SpecInvalid
from prodsys.ledger.history import Trial, list_trials
from prodsys.ledger.ids import lock_ids, next_free_id
from prodsys.ledger.journal import write_audit
from prodsys.ledger.requests import find_request, get_request, get_spec, refusal, refuse_deleted
from prodsys.ledger.seeds import add_reuse, find_owners, lock_configuration
from prodsys.ledger.session import transaction
from prodsys.model import seeds as seed_ranges
from prodsys.model.names import RequestId
from prodsys.model.policy import TrialRule
from prodsys.model.request import Configuration, RequestSpec
from prodsys.model.statuses import RecordedStatus, RequestState, ReuseKind
from prodsys.model.transitions import Permission, possible_acts
from prodsys.model.written import check_request, read_request

MAY_BE_TRIED = frozenset({RequestState.DRAFT, RequestState.CHECKED, RequestState.PLANNED, RequestState.APPROVED})
FRUITLESS = frozenset({RequestState.FAILED, RequestState.ABORTED, RequestState.DELETED})


@dataclass(frozen=True)
class TrialAnswer:
    """The trial of a request, and its plan; None when it is planned and past that already."""

    request_id: str
    trial: str
    state: str
    seeds: str
    events: int
    plan: PlanAnswer | None


def start_trial(
    ctx: Context, request_id: str, trial_id: str | None = None, seed_count: int | None = None
) -> TrialAnswer:
    """Make and plan the trial of a request; one that is on its way, or has succeeded, is returned as it stands.

    Parameters
    ----------
    ctx
        Context of the acting person.
    request_id
        The mass production, not launched yet.
    trial_id
        None: the next free id with the prefix that policy names.
    seed_count
        None: as many as policy says.

    Raises
    ------
    InvalidTransition
        The request is launched or past that, or the id is in use by something else.
    SpecInvalid
        Policy has no rule of trials for it, or the prefix of the trial's id is unknown.
    SeedsTaken
        Seeds of the request belong to others.
    """
    ctx.check_permission("make a trial", Permission.CREATE)
    ctx.check_permission("plan", Permission.PLAN)
    if trial_id is not None:
        trial_id = str(RequestId.parse(trial_id))
        ctx.catalogue.policy.check_prefix(trial_id)
    with transaction(ctx.sessions) as session:
        _lock_for(session, ctx, request_id, trial_id)
        row = get_request(session, request_id, lock=True)
        if RequestState(row.state) not in MAY_BE_TRIED or row.trial_of is not None:
            raise refusal(row, "a trial")
        spec = get_spec(session, request_id)
        rule = _rule(ctx, spec)
        made_id = trial_id or _open_trial(session, spec) or _next_id(session, rule, spec)
        wanted = _tried(spec, made_id, rule, seed_count)
        check_request(wanted, ctx.catalogue)
        state, tried = _ensure(session, ctx.who, spec, wanted)
    answer = plan(ctx, made_id) if state in {RequestState.DRAFT, RequestState.CHECKED, RequestState.PLANNED} else None
    now = answer.state if answer else state
    return TrialAnswer(request_id, made_id, now, seed_ranges.show(tried.seeds), tried.events, answer)


def _lock_for(session: Session, ctx: Context, request_id: str, trial_id: str | None) -> None:
    """Keep others from seeds and ids: the configuration, then the ids, then rows, in the order of all who make any."""
    spec = get_spec(session, request_id)
    lock_configuration(session, Configuration.of(spec).digest())
    if trial_id:
        lock_ids(session, RequestId.parse(trial_id).prefix)
    elif rule := _find_rule(ctx, spec):
        lock_ids(session, rule.prefix)


def _find_rule(ctx: Context, spec: RequestSpec) -> TrialRule | None:
    partition = ctx.catalogue.partitions.partition_of(spec)
    return ctx.catalogue.policy.trial_rule(spec.request_id, spec.chain, partition)


def _rule(ctx: Context, spec: RequestSpec) -> TrialRule:
    rule = _find_rule(ctx, spec)
    if rule is None:
        raise SpecInvalid(
            "policy.yaml", f"no rule of trial fits {spec.request_id}", "add one that says how many seeds and where"
        )
    return rule


def _open_trial(session: Session, spec: RequestSpec) -> str | None:
    """The newest trial of this request that did not fail, or None; one that was put away must have succeeded."""
    trials = list_trials(session, Configuration.of(spec).digest())
    mine = [one for one in trials if one.trial_of == spec.request_id and not _fruitless(one)]
    return mine[-1].request_id if mine else None


def _fruitless(trial: Trial) -> bool:
    return trial.state in FRUITLESS or (trial.state is RequestState.ARCHIVED and trial.plan is None)


def _next_id(session: Session, rule: TrialRule, spec: RequestSpec) -> str:
    return next_free_id(session, rule.prefix, RequestId.parse(spec.request_id).year)


def _tried(spec: RequestSpec, trial_id: str, rule: TrialRule, seed_count: int | None) -> RequestSpec:
    """What the trial asks for: the first seeds, at most so many events a file, one bunch."""
    seeds = seed_ranges.first(spec.seeds, seed_count or rule.seeds)
    events_per_file = min(spec.events_per_file, rule.events_per_file or spec.events_per_file)
    if spec.reads:
        events_per_file = spec.events_per_file  # its files exist as they are
    changes = {
        "request_id": trial_id,
        "seeds": seed_ranges.show(seeds),
        "events_per_file": events_per_file,
        "events": seed_ranges.count(seeds) * events_per_file,
        "partition": rule.partition,
        "bunches": 1,
        "recorded_status": RecordedStatus.DRAFT,
        "description": f"trial of {spec.request_id}",
    }
    return read_request(spec.model_dump(mode="json") | changes)


def _ensure(session: Session, who: str, spec: RequestSpec, tried: RequestSpec) -> tuple[RequestState, RequestSpec]:
    """Have the trial in the ledger, its seeds reused from whoever owns them; its state, and what it asks for."""
    configuration = Configuration.of(spec).digest()
    found = find_request(session, tried.request_id, lock=True)
    if found is not None:
        refuse_deleted(found)
        if found.trial_of != spec.request_id:
            ways = possible_acts(RequestState(found.state))
            raise InvalidTransition(found.request_id, found.state, f"a trial of {spec.request_id} under this id", ways)
        return RequestState(found.state), get_spec(session, tried.request_id)
    cover_seeds(session, spec)
    create_request(session, who, tried, {"trial of": spec.request_id}, Origin(trial_of=spec.request_id))
    write_audit(session, who, "trial", spec.request_id, trial=tried.request_id, seeds=seed_ranges.show(tried.seeds))
    reason = f"trial of {spec.request_id} before its mass production"
    for owned in find_owners(session, configuration, tried.seeds, but=tried.request_id):
        add_reuse(session, configuration, tried.request_id, owned, ReuseKind.PILOT_OF, reason, who)
    return RequestState.DRAFT, tried
