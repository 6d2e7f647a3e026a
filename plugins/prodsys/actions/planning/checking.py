"""Check: is a request in order, before anybody plans it. Every fault is named, not only the first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sqlalchemy.orm import Session

from prodsys.actions.core.context import Context
from prodsys.actions.planning.approval_needs import approval_needs
from prodsys.actions.planning.duplicate_samples import refuse_doubles
from prodsys.actions.planning.estimates import foresee
from prodsys.actions.planning.external_checks import Own, look_outside, what_is_known
from prodsys.actions.planning.input_discovery import find_reading
from prodsys.actions.requests.new_configurations import configuration_questions
from prodsys.actions.requests.seed_claims import find_open_seeds, seed_warnings
from prodsys.errors import (
    DatasetConflict,
    InputsUnusable,
    InsufficientSpace,
    NamesTaken,
    ProductionError,
    RequestUnknown,
    SampleExists,
    SeedsTaken,
    SpecInvalid,
)
from prodsys.ledger.journal import write_audit
from prodsys.ledger.requests import get_request, get_spec, move, refusal
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import RequestRow
from prodsys.model.plan import build_plan
from prodsys.model.request import RequestSpec
from prodsys.model.specs import Catalogue
from prodsys.model.statuses import RequestState
from prodsys.model.transitions import Action, Permission, find_move
from prodsys.model.written import faults_of_request


@dataclass(frozen=True)
class Finding:
    """Something about a request: a fault, or what is worth knowing."""

    place: str
    message: str
    remedy: str = ""
    fault: bool = True

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" + (f" ({self.remedy})" if self.remedy else "")


@dataclass(frozen=True)
class CheckAnswer:
    """State of the request after the check, and what was found."""

    request_id: str
    state: str
    findings: tuple[Finding, ...]

    @property
    def in_order(self) -> bool:
        """No fault was found."""
        return not any(one.fault for one in self.findings)


def check(ctx: Context, request_id: str) -> CheckAnswer:
    """Look at a draft: specs, names, seeds, then scripts, names in use and room; in order, it becomes `checked`.

    Raises
    ------
    InvalidTransition
        It is planned or past that: plan looks at the same and more.
    PandaUnavailable, RucioUnavailable, FilesUnavailable
        Who must be asked does not answer: try again.
    """
    ctx.check_permission("check", Permission.PLAN)
    with transaction(ctx.sessions) as session:
        row = get_request(session, request_id)
        if find_move(RequestState(row.state), Action.CHECK) is None:
            raise refusal(row, Action.CHECK)
        spec, revision = get_spec(session, request_id), row.revision
        found = [*spec_faults(spec, ctx.catalogue), *_seed_findings(session, spec)]
        found += [Finding(request_id, one, fault=False) for one in configuration_questions(session, spec)]
        own = what_is_known(session, request_id)
    if not any(one.fault for one in found):
        found += _outside_findings(ctx, spec, revision, own)
    with transaction(ctx.sessions) as session:
        row = get_request(session, request_id, lock=True)
        _move(session, ctx.who, row, found)
        return CheckAnswer(request_id, row.state, tuple(found))


def _move(session: Session, who: str, row: RequestRow, found: list[Finding]) -> None:
    faults = [str(one) for one in found if one.fault]
    before = row.state
    if not faults:
        move(row, Action.CHECK)
    elif find_move(RequestState(row.state), Action.FAULT):
        move(row, Action.FAULT, faults[0])
    if row.state != before:
        write_audit(session, who, Action.CHECK, row.request_id, faults=faults)


def spec_faults(spec: RequestSpec, catalogue: Catalogue) -> Iterator[Finding]:
    """Everything of a request that the specs do not know or allow."""
    yield from (Finding(one.place, one.message, one.remedy) for one in faults_of_request(spec, catalogue))
    looks: tuple[Callable[[], object], ...] = (
        lambda: catalogue.policy.check_prefix(spec.request_id),
        lambda: catalogue.chain_of(spec),
        lambda: catalogue.software_of(spec).version_of(spec),
        lambda: catalogue.partitions.policy_of(catalogue.partitions.partition_of(spec)),
    )
    found = [one for look in looks if (one := _fault(look)) is not None]
    sound = not found and not any(faults_of_request(spec, catalogue))
    if sound and (whole := _fault(lambda: build_plan(spec, 1, catalogue))) is not None:
        found.append(whole)  # names that are too long, no rule of settle
    yield from found


def _fault(look: Callable[[], object]) -> Finding | None:
    try:
        look()
    except SpecInvalid as error:
        return Finding(error.place, error.message, error.remedy)
    return None


def _seed_findings(session: Session, spec: RequestSpec) -> Iterator[Finding]:
    try:
        find_open_seeds(session, spec)
    except SeedsTaken as error:
        remedy = f"the next free seed is {error.next_free}; or declare the reuse: prodsys seeds reuse"
        for owner, first, last in error.owners:
            yield Finding(f"{spec.request_id}.seeds", f"{first}-{last} belong to {owner}", remedy)
    for warning in seed_warnings(session, spec.request_id):
        yield Finding(f"{spec.request_id}.seeds", warning, fault=False)


def _outside_findings(ctx: Context, spec: RequestSpec, revision: int, own: Own) -> Iterator[Finding]:
    plan = build_plan(spec, revision, ctx.catalogue)
    try:
        if (reading := find_reading(ctx, spec)) is not None:
            plan = build_plan(spec, revision, ctx.catalogue, reading.planned)
            with transaction(ctx.sessions) as session:
                refuse_doubles(session, plan, reading.files)
            yield from (Finding(f"{spec.request_id}.inputs", one, fault=False) for one in reading.warnings)
        estimate = foresee(ctx, plan)
        with transaction(ctx.sessions) as session:
            needs = approval_needs(session, ctx, get_request(session, spec.request_id), plan, estimate)
        yield from (Finding(spec.request_id, f"before approval: {one}", fault=False) for one in needs)
        for warning in look_outside(ctx, plan, estimate, own):
            yield Finding(spec.request_id, warning, fault=False)
    except SpecInvalid as error:
        yield Finding(error.place, error.message, error.remedy)
    except (NamesTaken, InsufficientSpace, InputsUnusable, SampleExists, DatasetConflict, RequestUnknown) as error:
        yield Finding(spec.request_id, _words(error))


def _words(error: ProductionError) -> str:
    return str(error)
