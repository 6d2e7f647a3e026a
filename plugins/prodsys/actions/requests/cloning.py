"""Clone: doing a request again, with a new id and free seeds. History is not launchable, its clone is."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from sqlalchemy.orm import Session

from prodsys.actions.core.context import Context
from prodsys.actions.requests.importing import Origin, create_request
from prodsys.errors import InvalidTransition, RequestChanged, SpecInvalid
from prodsys.ledger.ids import lock_ids, next_free_id
from prodsys.ledger.requests import find_request, get_request, get_spec, refuse_deleted
from prodsys.ledger.seeds import claim, lock_configuration, next_free
from prodsys.ledger.session import transaction
from prodsys.model import seeds as seed_ranges
from prodsys.model.difference import FieldChange, changes_between
from prodsys.model.names import RequestId
from prodsys.model.request import Configuration, RequestSpec
from prodsys.model.seeds import MAX_SEED, SeedRange
from prodsys.model.specs import Catalogue
from prodsys.model.statuses import RecordedStatus, RequestState
from prodsys.model.transitions import Permission, possible_acts
from prodsys.model.written import check_request, read_request


@dataclass(frozen=True)
class CloneOrder:
    """What differs from the original; None keeps it. ``seeds`` None: as many as ``seed_count``, the next free ones.

    An empty ``queue`` or ``rse`` lets PanDA choose where the original was pinned.
    """

    seed_count: int | None = None
    seeds: tuple[SeedRange, ...] | None = None
    events_per_file: int | None = None
    chain: str | None = None
    priority: int | None = None
    partition: str | None = None
    bunches: int | None = None
    bunches_at_once: int | None = None
    queue: str | None = None
    rse: str | None = None


@dataclass(frozen=True)
class NewRequest:
    """A request made of another one, and how the two differ, field by field."""

    spec: RequestSpec
    origin: str
    changes: tuple[FieldChange, ...]

    @classmethod
    def of(cls, source: RequestSpec, spec: RequestSpec) -> NewRequest:
        """The answer about a request and what it was made of."""
        return cls(spec, source.request_id, changes_between(source, spec))

    @property
    def request_id(self) -> str:
        """Id of the new request."""
        return self.spec.request_id

    @property
    def seeds(self) -> tuple[SeedRange, ...]:
        """Seeds of the new request."""
        return self.spec.seeds


def clone(ctx: Context, source_id: str, new_id: str | None, order: CloneOrder) -> NewRequest:
    """A new draft like another request; the same clone asked for again by its id is returned as it stands.

    Parameters
    ----------
    ctx
        Context of the acting person.
    source_id
        The original.
    new_id
        None: the next free id of the original's prefix and year.
    order
        What is to differ.

    Raises
    ------
    SeedsTaken
        Seeds that were asked for by number have an owner.
    InvalidTransition
        The new id is in use by something else.
    IdTaken
        The new id is kept for a request of a recurring template.
    """
    ctx.check_permission("clone", Permission.CREATE)
    with transaction(ctx.sessions) as session:
        return make_like(session, ctx, source_id, new_id, order, Origin(cloned_from=source_id))


def make_like(
    session: Session, ctx: Context, source_id: str, new_id: str | None, order: CloneOrder, origin: Origin
) -> NewRequest:
    """A draft like another request, in the caller's transaction.

    Raises
    ------
    RequestChanged
        Somebody changes the original in this moment.
    """
    source = get_spec(session, source_id)
    configuration = Configuration.of(source).digest()
    lock_configuration(session, configuration)
    made_id = _take_id(session, ctx.catalogue, source, new_id)
    _lock_unchanged(session, source)
    found = find_request(session, made_id, lock=True)
    if found is not None:
        refuse_deleted(found)
        same = (found.cloned_from, found.extends) == (origin.cloned_from, origin.extends)
        return _the_same(session, source, made_id, order, origin, found.state, same=same)
    free = next_free(session, configuration, order.seed_count or source.seed_count)
    spec = _like(source, made_id, order, free, origin)
    check_request(spec, ctx.catalogue)
    create_request(session, ctx.who, spec, {f"{origin.act} of": source_id}, origin)
    if not spec.reads:  # else the seeds stay those of the request that simulated
        claim(session, configuration, made_id, spec.seeds)
    return NewRequest.of(source, spec)


def check_prefix(catalogue: Catalogue, new_id: str) -> None:
    """SpecInvalid for an id whose prefix is not one of policy.yaml."""
    known = catalogue.policy.prefixes
    if RequestId.parse(new_id).prefix not in known:
        raise SpecInvalid(
            "request id", f"{new_id!r} has an unknown prefix", f"known: {', '.join(known)}; see policy.yaml"
        )


def _take_id(session: Session, catalogue: Catalogue, source: RequestSpec, new_id: str | None) -> str:
    wanted = RequestId.parse(new_id or source.request_id)
    check_prefix(catalogue, str(wanted))
    lock_ids(session, wanted.prefix)
    return str(wanted) if new_id else next_free_id(session, wanted.prefix, wanted.year)


def _lock_unchanged(session: Session, source: RequestSpec) -> None:
    """Lock the original after seeds and ids, as everybody does; it was read before, to know its configuration."""
    get_request(session, source.request_id, lock=True)
    current = get_spec(session, source.request_id).digest()
    if current != source.digest():
        raise RequestChanged(source.request_id, (source.digest(),), current)


def _like(source: RequestSpec, new_id: str, order: CloneOrder, free: int, origin: Origin) -> RequestSpec:
    number = order.seed_count or source.seed_count
    seeds = order.seeds or (_first(source, number) if source.reads else (_row(free, number),))
    events_per_file = order.events_per_file or source.events_per_file
    changes = {
        "request_id": new_id,
        "seeds": seed_ranges.show(seeds),
        "events_per_file": events_per_file,
        "events": seed_ranges.count(seeds) * events_per_file,
        "chain": order.chain or source.chain,
        "priority": source.priority if order.priority is None else order.priority,
        "partition": order.partition or source.partition,
        "bunches": order.bunches or min(source.bunches, seed_ranges.count(seeds)),
        "bunches_at_once": order.bunches_at_once or source.bunches_at_once,
        "labels": (),  # remarks that somebody wrote beside the original
        "queue": (source.queue if order.queue is None else order.queue) or None,
        "rse": (source.rse if order.rse is None else order.rse) or None,
        "recorded_status": RecordedStatus.DRAFT,
        "description": f"{'extension' if origin.extends else origin.act} of {source.request_id}",
    }
    return read_request(source.model_dump(mode="json") | changes)


def _first(source: RequestSpec, number: int) -> tuple[SeedRange, ...]:
    """The first seeds of a request that works on files that exist: others have no files."""
    if number > source.seed_count:
        message = f"{source.request_id} reads the files of {source.seed_count} seeds, not of {number}"
        raise SpecInvalid("seeds", message, "as many or fewer")
    return seed_ranges.from_seeds(islice(seed_ranges.iterate(source.seeds), number))


def _row(first: int, number: int) -> SeedRange:
    if first + number - 1 > MAX_SEED:
        message = f"{number} seeds from {first} on would end behind the highest seed, {MAX_SEED}"
        raise SpecInvalid("seeds", message, "name free ones: --seeds; prodsys seeds claims shows the gaps")
    return SeedRange(first=first, last=first + number - 1)


def _the_same(
    session: Session,
    source: RequestSpec,
    new_id: str,
    order: CloneOrder,
    origin: Origin,
    state: str,
    *,
    same: bool,
) -> NewRequest:
    """The existing request, when it is the one that is asked for."""
    stored = get_spec(session, new_id)
    wanted = _like(source, new_id, order, stored.seeds[0].first, origin).model_copy(update={"labels": stored.labels})
    if not same or stored.digest() != wanted.digest():
        raise InvalidTransition(
            new_id,
            state,
            f"making {origin.act} of {source.request_id} under this id",
            possible_acts(RequestState(state)),
        )
    return NewRequest.of(source, stored)
