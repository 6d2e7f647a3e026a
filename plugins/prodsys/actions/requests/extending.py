"""Extend: more events of the same configuration, with the next seeds; the two samples may be added together."""

from __future__ import annotations

from sqlalchemy.orm import Session

from prodsys.actions.core.context import Context
from prodsys.actions.requests.cloning import CloneOrder, NewRequest, make_like
from prodsys.actions.requests.importing import Origin
from prodsys.errors import ConfigurationChanged, SpecInvalid
from prodsys.ledger.requests import find_plan, get_request, get_revision, get_spec
from prodsys.ledger.session import transaction
from prodsys.model.plan import Plan, build_plan
from prodsys.model.request import Configuration, RequestSpec
from prodsys.model.specs import Catalogue
from prodsys.model.transitions import Permission


def extend(ctx: Context, source_id: str, new_id: str | None = None, seed_count: int | None = None) -> NewRequest:
    """A draft with the next seeds of the same configuration; said again with the same id, nothing changes.

    Parameters
    ----------
    ctx
        Context of the acting person.
    source_id
        The request that is to have more events.
    new_id
        None: the next free id of its prefix and year.
    seed_count
        None: as many as the original has.

    Raises
    ------
    ConfigurationChanged
        The same request would make other events today: other scripts, another image.
    InvalidTransition
        The new id is in use by something else.
    """
    ctx.check_permission("extend", Permission.CREATE)
    with transaction(ctx.sessions) as session:
        get_request(session, source_id)
        if get_spec(session, source_id).reads:
            remedy = "extend the request that simulated, then reconstruct what it brings"
            raise SpecInvalid(source_id, "it works on files that exist: there are no next seeds", remedy)
        _check_the_same(session, ctx.catalogue, source_id)
        return make_like(session, ctx, source_id, new_id, CloneOrder(seed_count=seed_count), Origin(extends=source_id))


def _check_the_same(session: Session, catalogue: Catalogue, source_id: str) -> None:
    revision, stored = get_revision(session, source_id), find_plan(session, source_id)
    spec = RequestSpec.model_validate(revision.spec)
    found = []
    if Configuration.of(spec).digest() != revision.configuration:
        found.append("the rule by which configurations are compared has changed since it was recorded")
    if stored is not None:
        found += _differences(Plan.model_validate(stored.body), _plan_of_today(spec, catalogue))
    if found:
        raise ConfigurationChanged(source_id, found)


def _plan_of_today(spec: RequestSpec, catalogue: Catalogue) -> Plan:
    try:
        return build_plan(spec, 1, catalogue)
    except SpecInvalid as error:
        raise ConfigurationChanged(spec.request_id, [str(error)]) from error


def _differences(then: Plan, today: Plan) -> list[str]:
    """What makes events, and is not what it was when the plan was made."""
    if [step.kind for step in then.steps] != [step.kind for step in today.steps]:
        return [f"the chain {then.spec.chain} has other steps"]
    return [
        f"{name} of {old.kind}: {getattr(old, name)} -> {getattr(new, name)}"
        for old, new in zip(then.steps, today.steps, strict=True)
        for name in ("script", "image", "transform")
        if getattr(old, name) != getattr(new, name)
    ]
