"""Seeds in the ledger: claims, reuse, free ranges. Who overlaps is decided by the database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, cast, delete, literal, select, text
from sqlalchemy.dialects.postgresql import INT8MULTIRANGE, Range
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from prodsys.errors import SeedsTaken
from prodsys.ledger.tables import RequestRow, RevisionRow, SeedClaimRow, SeedReuseRow
from prodsys.model import seeds as seed_ranges
from prodsys.model.names import RequestId
from prodsys.model.seeds import SeedRange
from prodsys.model.statuses import RequestState, ReuseKind

RESERVED = "reserved"  # where the state of a request would stand: there is none yet
# Claims of a configuration never overlap (the constraint), so seeds are shared only where a reuse is declared: each
# reuse looks for claims and for other reuses by an index over configuration and seeds.
_UNPLANNED = tuple(str(one) for one in (RequestState.DRAFT, RequestState.CHECKED, RequestState.PLANNED))
_SHARED = """
with used as (
    select r.request_id as one, c.request_id as other, r.seeds * c.seeds as seeds
    from prodsys.seed_reuse as r
    join prodsys.seed_claim as c
      on c.configuration = r.configuration and c.seeds && r.seeds and c.request_id <> r.request_id
    union all
    select r.request_id, s.request_id, r.seeds * s.seeds
    from prodsys.seed_reuse as r
    join prodsys.seed_reuse as s
      on s.configuration = r.configuration and s.seeds && r.seeds and s.request_id > r.request_id
), pair as (
    select least(one, other) as a, greatest(one, other) as b, range_agg(seeds) as seeds from used group by 1, 2
)
select a, b, seeds, (
    select jsonb_agg(distinct jsonb_build_object(
        'request', u.request_id, 'owner', u.owner, 'kind', u.kind, 'reason', u.reason))
    from prodsys.seed_reuse as u
    where (u.request_id = a and u.owner = b) or (u.request_id = b and u.owner = a)
) as reuse
from pair
order by a, b
"""
_CLAIM = """
insert into prodsys.seed_claim (configuration, seeds, request_id, template)
select :configuration, unnest(cast(:seeds as int8multirange)), :request_id, :template
"""


@dataclass(frozen=True)
class Owned:
    """Seeds and who owns them."""

    owner: str
    seeds: SeedRange


def to_range(seeds: SeedRange) -> Range[int]:
    """PostgreSQL's range of these seeds, canonical: lower end included, upper not."""
    return Range(seeds.first, seeds.last + 1, bounds="[)")


def from_range(stored: Range[int]) -> SeedRange:
    """Seeds of a stored range."""
    assert stored.lower is not None and stored.upper is not None  # noqa: PT018 - the column never holds open ends
    return SeedRange(first=stored.lower, last=stored.upper - 1)


def lock_configuration(session: Session, configuration: str) -> None:
    """Let one transaction at a time give out seeds of a configuration (a courtesy; the constraint is the proof)."""
    session.execute(text("select pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": configuration})


def find_owners(session: Session, configuration: str, seeds: Iterable[SeedRange], but: str = "") -> list[Owned]:
    """Claims of other requests that overlap these seeds; each answer is the common part."""
    wanted = tuple(seeds)
    if not wanted:
        return []
    rows = session.scalars(
        select(SeedClaimRow).where(
            SeedClaimRow.configuration == configuration,
            SeedClaimRow.seeds.op("&&")(_multirange(wanted)),
            SeedClaimRow.request_id.is_distinct_from(but),
        )
    )
    held: dict[str, list[SeedRange]] = defaultdict(list)
    for row in rows:
        held[row.owner].append(from_range(row.seeds))
    found = [Owned(owner, one) for owner, theirs in held.items() for one in seed_ranges.overlaps(wanted, theirs)]
    return sorted(found, key=lambda owned: (owned.seeds, owned.owner))


def _multirange(seeds: Iterable[SeedRange]) -> ColumnElement[Any]:
    """Seeds as one value of PostgreSQL, so that one statement looks for all of them."""
    return cast(literal(_as_text(seeds)), INT8MULTIRANGE)


def _as_text(seeds: Iterable[SeedRange]) -> str:
    return "{" + ",".join(f"[{one.first},{one.last + 1})" for one in seeds) + "}"


def claim(session: Session, configuration: str, request_id: str, seeds: Sequence[SeedRange]) -> None:
    """Make the request the first owner of these seeds.

    Raises
    ------
    SeedsTaken
        The exclusion constraint refused: some have an owner. The transaction goes on without the claim.
    """
    _claim(session, configuration, seeds, request_id=request_id)


def _claim(session: Session, configuration: str, seeds: Sequence[SeedRange], **owner: Any) -> None:
    """One statement for all ranges: whoever waits for the lock of the configuration does not wait for thousands."""
    session.flush()  # the owner's row
    try:
        with session.begin_nested():
            given = {"configuration": configuration, "seeds": _as_text(seeds), "request_id": None, "template": None}
            session.execute(text(_CLAIM), given | owner)
    except IntegrityError as error:
        if "seed_claim_one_owner" not in str(error.orig):
            raise
        own = str(owner.get("request_id", ""))
        owners = find_owners(session, configuration, seeds, but=own)
        taken = [(owned.owner, owned.seeds.first, owned.seeds.last) for owned in owners]
        who = owner.get("request_id") or f"template {owner['template']}"
        raise SeedsTaken(who, taken, next_free(session, configuration, seed_ranges.count(seeds), own)) from error


def reserve(session: Session, configuration: str, template: str, seeds: Sequence[SeedRange]) -> None:
    """Keep seeds for the requests that a template will make, in place of what it kept before.

    Raises
    ------
    SeedsTaken
        The exclusion constraint refused: some have an owner.
    """
    session.execute(delete(SeedClaimRow).where(SeedClaimRow.template == template))
    _claim(session, configuration, seeds, template=template)


def take_reserved(
    session: Session, configuration: str, template: str, request_id: str, seeds: Sequence[SeedRange]
) -> None:
    """Make a template's request the owner of seeds that were kept for it."""
    kept = reserved_by(session, template)
    reserve(session, configuration, template, seed_ranges.subtract(kept, seeds))
    claim(session, configuration, request_id, seeds)


def reserved_by(session: Session, template: str) -> tuple[SeedRange, ...]:
    """Seeds that are kept for requests a template has not made yet."""
    rows = session.scalars(select(SeedClaimRow.seeds).where(SeedClaimRow.template == template))
    return tuple(sorted(from_range(row) for row in rows))


def release(session: Session, request_id: str) -> None:
    """Give back all seeds of a request that never ran: its claims and its declared reuse."""
    session.execute(delete(SeedClaimRow).where(SeedClaimRow.request_id == request_id))
    session.execute(delete(SeedReuseRow).where(SeedReuseRow.request_id == request_id))


def give_back(
    session: Session, configuration: str, request_id: str, free: Sequence[SeedRange], *, reuse_too: bool
) -> None:
    """Give back some seeds of a request; the others stay its own."""
    kept = seed_ranges.subtract(claimed_by(session, request_id), free)
    session.execute(delete(SeedClaimRow).where(SeedClaimRow.request_id == request_id))
    if kept:
        claim(session, configuration, request_id, kept)
    if reuse_too:
        session.execute(delete(SeedReuseRow).where(SeedReuseRow.request_id == request_id))


def add_reuse(
    session: Session, configuration: str, request_id: str, owned: Owned, kind: ReuseKind, reason: str, who: str
) -> bool:
    """Record that a request uses seeds of another one again; whether that was new, or is meant otherwise now."""
    stored = to_range(owned.seeds)
    same = select(SeedReuseRow).where(
        SeedReuseRow.request_id == request_id, SeedReuseRow.owner == owned.owner, SeedReuseRow.seeds == stored
    )
    found = session.scalars(same).first()
    if found is not None:
        if kind is ReuseKind.HISTORY or (found.kind, found.reason) == (kind, reason):
            return False
        found.kind, found.reason, found.declared_by = kind, reason, who
        session.flush()
        return True
    session.add(
        SeedReuseRow(
            configuration=configuration,
            seeds=stored,
            request_id=request_id,
            owner=owned.owner,
            kind=kind,
            reason=reason,
            declared_by=who,
        )
    )
    session.flush()
    return True


def hand_over(session: Session, configuration: str, owned: Owned, new_owner: str) -> None:
    """Take seeds out of an owner's claims; whoever reuses them from the old owner reuses them from the new one."""
    of_owner = SeedClaimRow.configuration == configuration, SeedClaimRow.request_id == owned.owner
    for row in session.scalars(
        select(SeedClaimRow).where(*of_owner, SeedClaimRow.seeds.overlaps(to_range(owned.seeds)))
    ):
        held = from_range(row.seeds)
        session.delete(row)
        session.flush()
        claim(session, configuration, owned.owner, seed_ranges.subtract([held], [owned.seeds]))
    from_owner = SeedReuseRow.configuration == configuration, SeedReuseRow.owner == owned.owner
    for reuse in session.scalars(select(SeedReuseRow).where(*from_owner)).all():
        held = from_range(reuse.seeds)
        common = held.overlap(owned.seeds)
        if common is None:
            continue
        session.delete(reuse)
        session.flush()
        parts = [Owned(owned.owner, one) for one in seed_ranges.subtract([held], [common])] + [Owned(new_owner, common)]
        for part in parts:
            add_reuse(
                session, configuration, reuse.request_id, part, ReuseKind(reuse.kind), reuse.reason, reuse.declared_by
            )


def claimed_by(session: Session, request_id: str) -> tuple[SeedRange, ...]:
    """Seeds the request is the first owner of."""
    rows = session.scalars(select(SeedClaimRow.seeds).where(SeedClaimRow.request_id == request_id))
    return tuple(sorted(from_range(row) for row in rows))


def reused_by(session: Session, request_id: str) -> list[SeedReuseRow]:
    """Reuse declared by a request."""
    wanted = select(SeedReuseRow).where(SeedReuseRow.request_id == request_id)
    return list(session.scalars(wanted.order_by(SeedReuseRow.seeds)))


def uncovered(session: Session, request_id: str, seeds: Iterable[SeedRange]) -> tuple[SeedRange, ...]:
    """Seeds that the request neither owns nor has declared as reused."""
    reused = [from_range(row.seeds) for row in reused_by(session, request_id)]
    return seed_ranges.subtract(seeds, [*claimed_by(session, request_id), *reused])


def next_free(session: Session, configuration: str, number: int = 1, but: str = "") -> int:
    """First of so many seeds in a row that nobody owns and no draft asks for: the lowest such row.

    It begins at the lowest seed that people's requests of the configuration own, or at 1 when they own none: what lies
    below may be a production that nobody recorded. Blocks of recurring templates are passed over, those that were used
    and those that are kept, and so are seeds that drafts other than ``but`` ask for: who plans one again finds them.
    """
    claims = (
        select(SeedClaimRow.seeds, SeedClaimRow.template.is_not(None) | RequestRow.template.is_not(None))
        .outerjoin(RequestRow, RequestRow.request_id == SeedClaimRow.request_id)
        .where(SeedClaimRow.configuration == configuration)
    )
    rows = [(from_range(seeds), bool(of_template)) for seeds, of_template in session.execute(claims)]
    begin = min((seeds.first for seeds, of_template in rows if not of_template), default=1)
    taken = [seeds for seeds, _ in rows] + _asked_for(session, configuration, but)
    return seed_ranges.first_gap(taken, number, begin)


def _asked_for(session: Session, configuration: str, but: str) -> list[SeedRange]:
    """Seeds that requests open to change ask for, whether they own them or not."""
    current = (RevisionRow.request_id == RequestRow.request_id) & (RevisionRow.revision == RequestRow.revision)
    wanted = (
        select(RevisionRow.spec["seeds"].astext)
        .join(RequestRow, current)
        .where(RevisionRow.configuration == configuration, RequestRow.state.in_(_UNPLANNED))
        .where(RequestRow.request_id != but)
    )
    return [one for seeds in session.scalars(wanted) for one in seed_ranges.parse_seeds(seeds)]


_SAME_BEAM = """
with mine as (
    select range_agg(c.seeds) as seeds, min(c.configuration) as configuration, min(v.source ->> 'beam') as beam
    from prodsys.seed_claim as c
    join prodsys.request as r on r.request_id = c.request_id
    join prodsys.request_revision as v on v.request_id = r.request_id and v.revision = r.revision
    where c.request_id = :request_id
)
select theirs.request_id, range_agg(theirs.seeds) * mine.seeds as common
from mine
join prodsys.seed_claim as theirs on theirs.seeds && mine.seeds and theirs.configuration <> mine.configuration
join prodsys.request as t on t.request_id = theirs.request_id
join prodsys.request_revision as w on w.request_id = t.request_id and w.revision = t.revision
where theirs.request_id <> :request_id and w.source ->> 'beam' = mine.beam
group by theirs.request_id, mine.seeds
order by 1
"""


def same_beam_elsewhere(session: Session, request_id: str) -> list[tuple[str, tuple[SeedRange, ...]]]:
    """Requests with the same generator and beam, another geometry, software or version, and the common seeds."""
    rows = session.execute(text(_SAME_BEAM), {"request_id": request_id})
    return [(row.request_id, tuple(map(from_range, row.common))) for row in rows]


def list_claims(session: Session, configuration: str | None = None) -> list[tuple[SeedClaimRow, str]]:
    """All claims with the state of their requests, by configuration and seeds; what a template keeps is `reserved`."""
    of_request = RequestRow.request_id == SeedClaimRow.request_id
    wanted = select(SeedClaimRow, RequestRow.state).outerjoin(RequestRow, of_request)
    if configuration:
        wanted = wanted.where(SeedClaimRow.configuration == configuration)
    ordered = wanted.order_by(SeedClaimRow.configuration, SeedClaimRow.seeds)
    return [(row, state or RESERVED) for row, state in session.execute(ordered)]


@dataclass(frozen=True)
class SharedSeeds:
    """Seeds that two requests of one configuration use, each with what was declared about it."""

    a: str
    b: str
    seeds: tuple[SeedRange, ...]
    reuse: tuple[str, ...]  # "004 of 001: history (reason)" in words; () when nobody declared it


def shared_seeds(session: Session) -> list[SharedSeeds]:
    """All pairs of requests with common seeds, in the order of ids, found by the database."""
    found = [_shared(*row) for row in session.execute(text(_SHARED))]
    return sorted(found, key=lambda one: (RequestId.parse(one.a), RequestId.parse(one.b)))


def _shared(one: str, other: str, seeds: Iterable[Range[int]], reuse: Iterable[dict[str, str]] | None) -> SharedSeeds:
    a, b = sorted((one, other), key=RequestId.parse)
    declared = (f"{each['request']} of {each['owner']}: {each['kind']} ({each['reason']})" for each in reuse or ())
    return SharedSeeds(a, b, seed_ranges.normalise(map(from_range, seeds)), tuple(declared))


def configuration_of(session: Session, request_id: str) -> str | None:
    """Digest of the configuration of a request's current revision."""
    current = (RevisionRow.request_id == RequestRow.request_id) & (RevisionRow.revision == RequestRow.revision)
    wanted = select(RevisionRow.configuration).join(RequestRow, current).where(RequestRow.request_id == request_id)
    return session.scalar(wanted)
