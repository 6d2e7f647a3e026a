"""Clone: doing a request again, with a new id and free seeds. History is not launchable, its clone is."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from prodsys.actions.context import Context
from prodsys.actions.importing import create_request
from prodsys.errors import MoveRefused, SpecInvalid
from prodsys.ledger.requests import find_request, get_spec
from prodsys.ledger.seeds import claim, lock_configuration, next_free
from prodsys.ledger.session import transaction
from prodsys.model import seeds as seeds_of
from prodsys.model.moves import Right, possible_acts
from prodsys.model.names import RequestId
from prodsys.model.request import Configuration, RequestSpec
from prodsys.model.seeds import SeedRange
from prodsys.model.specs import Catalogue
from prodsys.model.statuses import RecordedStatus, RequestState


@dataclass(frozen=True)
class CloneOrder:
    """What differs from the original; None keeps it. ``seeds`` None: as many as ``seed_count``, the next free ones."""

    seed_count: int | None = None
    seeds: tuple[SeedRange, ...] | None = None
    events_per_file: int | None = None
    chain: str | None = None
    priority: int | None = None
    partition: str | None = None


def clone(ctx: Context, source_id: str, new_id: str, order: CloneOrder) -> RequestSpec:
    """A new draft like another request; the same clone asked for again is returned as it stands.

    Raises
    ------
    SeedsTaken
        Seeds that were asked for by number have an owner.
    MoveRefused
        The new id is in use by something else.
    """
    ctx.check_right("clone", Right.CREATE)
    RequestId.parse(new_id)
    _check_prefix(ctx.catalogue, new_id)
    with transaction(ctx.sessions) as session:
        source = get_spec(session, source_id)
        configuration = Configuration.of(source).digest()
        lock_configuration(session, configuration)
        found = find_request(session, new_id, lock=True)
        if found is not None:
            return _the_same(session, source, source_id, new_id, order, found.cloned_from, found.state)
        spec = _cloned(source, new_id, order, next_free(session, configuration))
        create_request(session, ctx.who, spec, {"clone of": source_id}, cloned_from=source_id)
        claim(session, configuration, new_id, spec.seeds)
        return spec


def _check_prefix(catalogue: Catalogue, new_id: str) -> None:
    known = catalogue.policy.prefixes
    if RequestId.parse(new_id).prefix not in known:
        raise SpecInvalid(
            "request id", f"{new_id!r} has an unknown prefix", f"known: {', '.join(known)}; see policy.yaml"
        )


def _cloned(source: RequestSpec, new_id: str, order: CloneOrder, free: int) -> RequestSpec:
    number = order.seed_count or source.seed_count
    seeds = order.seeds or (SeedRange(first=free, last=free + number - 1),)
    events_per_file = order.events_per_file or source.events_per_file
    changes = {
        "request_id": new_id,
        "seeds": seeds_of.show(seeds),
        "events_per_file": events_per_file,
        "events": seeds_of.count(seeds) * events_per_file,
        "chain": order.chain or source.chain,
        "priority": source.priority if order.priority is None else order.priority,
        "partition": order.partition or source.partition,
        "recorded_status": RecordedStatus.DRAFT,
        "description": f"clone of {source.request_id}",
    }
    return RequestSpec.checked(source.model_dump(mode="json") | changes)


def _the_same(
    session: Session,
    source: RequestSpec,
    source_id: str,
    new_id: str,
    order: CloneOrder,
    origin: str | None,
    state: str,
) -> RequestSpec:
    """The existing request, when it is the clone that is asked for."""
    stored = get_spec(session, new_id)
    wanted = _cloned(source, new_id, order, free=stored.seeds[0].first)
    if origin != source_id or stored.digest() != wanted.digest():
        raise MoveRefused(new_id, state, f"cloning {source_id} under this id", possible_acts(RequestState(state)))
    return stored
