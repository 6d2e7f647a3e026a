"""Seeds in the ledger: claims, reuse, free ranges. Who overlaps is decided by the database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select, text
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from prodsys.errors import SeedsTaken
from prodsys.ledger.tables import RequestRow, RevisionRow, SeedClaimRow, SeedReuseRow
from prodsys.model import seeds as seeds_of
from prodsys.model.names import RequestId
from prodsys.model.seeds import SeedRange
from prodsys.model.statuses import ReuseKind

RESERVED = "reserved"  # where the state of a request would stand: there is none yet
_SHARED = """
with used as (
    select configuration, seeds, request_id from prodsys.seed_claim where request_id is not null
    union all
    select configuration, seeds, request_id from prodsys.seed_reuse
)
select a.request_id as a, b.request_id as b, range_agg(a.seeds * b.seeds) as seeds, (
    select jsonb_agg(distinct jsonb_build_object(
        'request', u.request_id, 'owner', u.owner, 'kind', u.kind, 'reason', u.reason))
    from prodsys.seed_reuse as u
    where (u.request_id, u.owner) in ((a.request_id, b.request_id), (b.request_id, a.request_id))
) as reuse
from used as a
join used as b on b.configuration = a.configuration and b.seeds && a.seeds and b.request_id > a.request_id
group by a.request_id, b.request_id
order by a.request_id, b.request_id
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
    found = []
    for wanted in seeds:
        rows = session.scalars(
            select(SeedClaimRow).where(
                SeedClaimRow.configuration == configuration,
                SeedClaimRow.seeds.overlaps(to_range(wanted)),
                SeedClaimRow.request_id.is_distinct_from(but),
            )
        )
        for row in rows:
            common = wanted.overlap(from_range(row.seeds))
            if common:
                found.append(Owned(row.owner, common))
    return sorted(found, key=lambda owned: (owned.seeds, owned.owner))


def claim(session: Session, configuration: str, request_id: str, seeds: Sequence[SeedRange]) -> None:
    """Make the request the first owner of these seeds.

    Raises
    ------
    SeedsTaken
        The exclusion constraint refused: some have an owner. The transaction goes on without the claim.
    """
    _claim(session, configuration, seeds, request_id=request_id)


def _claim(session: Session, configuration: str, seeds: Sequence[SeedRange], **owner: Any) -> None:
    try:
        with session.begin_nested():
            session.add_all(SeedClaimRow(configuration=configuration, seeds=to_range(item), **owner) for item in seeds)
            session.flush()
    except IntegrityError as error:
        if "seed_claim_one_owner" not in str(error.orig):
            raise
        owners = find_owners(session, configuration, seeds, but=str(owner.get("request_id", "")))
        taken = [(owned.owner, owned.seeds.first, owned.seeds.last) for owned in owners]
        who = owner.get("request_id") or f"template {owner['template']}"
        raise SeedsTaken(who, taken, next_free(session, configuration)) from error


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
    reserve(session, configuration, template, seeds_of.subtract(kept, seeds))
    claim(session, configuration, request_id, seeds)


def reserved_by(session: Session, template: str) -> tuple[SeedRange, ...]:
    """Seeds that are kept for requests a template has not made yet."""
    rows = session.scalars(select(SeedClaimRow.seeds).where(SeedClaimRow.template == template))
    return tuple(sorted(from_range(row) for row in rows))


def release(session: Session, request_id: str) -> None:
    """Give back all seeds of a request that never ran: its claims and its declared reuse."""
    session.execute(delete(SeedClaimRow).where(SeedClaimRow.request_id == request_id))
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
        claim(session, configuration, owned.owner, seeds_of.subtract([held], [owned.seeds]))
    from_owner = SeedReuseRow.configuration == configuration, SeedReuseRow.owner == owned.owner
    for reuse in session.scalars(select(SeedReuseRow).where(*from_owner)).all():
        held = from_range(reuse.seeds)
        common = held.overlap(owned.seeds)
        if common is None:
            continue
        session.delete(reuse)
        session.flush()
        parts = [Owned(owned.owner, one) for one in seeds_of.subtract([held], [common])] + [Owned(new_owner, common)]
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
    return seeds_of.subtract(seeds, [*claimed_by(session, request_id), *reused])


def next_free(session: Session, configuration: str, number: int = 1) -> int:
    """First of so many seeds in a row above all that people's requests of this configuration own.

    The blocks of recurring templates are passed over, those that were used and those that are kept.
    """
    claims = (
        select(SeedClaimRow.seeds)
        .outerjoin(RequestRow, RequestRow.request_id == SeedClaimRow.request_id)
        .where(SeedClaimRow.configuration == configuration)
    )
    of_template = SeedClaimRow.template.is_not(None) | RequestRow.template.is_not(None)
    first = 1 + max((from_range(one).last for one in session.scalars(claims.where(~of_template))), default=0)
    for kept in sorted(from_range(one) for one in session.scalars(claims.where(of_template))):
        if kept.last >= first and kept.first < first + number:
            first = kept.last + 1
    return first


def same_beam_elsewhere(session: Session, request_id: str) -> list[tuple[str, SeedRange]]:
    """Requests with the same generator and beam, another geometry, software or version, and common seeds."""
    statement = text(
        """
        select theirs.request_id, mine.seeds * theirs.seeds as common
        from prodsys.seed_claim mine
        join prodsys.request r on r.request_id = mine.request_id
        join prodsys.seed_claim theirs on theirs.configuration <> mine.configuration and theirs.seeds && mine.seeds
        join prodsys.request_revision v on v.request_id = theirs.request_id
        join prodsys.request t on t.request_id = v.request_id and t.revision = v.revision
        where mine.request_id = :request_id and theirs.request_id <> mine.request_id
          and v.source -> 'beam' = (select source -> 'beam' from prodsys.request_revision w
                                    where w.request_id = r.request_id and w.revision = r.revision)
        order by 1, 2
        """
    )
    rows = session.execute(statement, {"request_id": request_id})
    return [(row.request_id, from_range(row.common)) for row in rows]


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
    return SharedSeeds(a, b, seeds_of.normalise(map(from_range, seeds)), tuple(declared))


def configuration_of(session: Session, request_id: str) -> str | None:
    """Digest of the configuration of a request's current revision."""
    current = (RevisionRow.request_id == RequestRow.request_id) & (RevisionRow.revision == RequestRow.revision)
    wanted = select(RevisionRow.configuration).join(RequestRow, current).where(RequestRow.request_id == request_id)
    return session.scalar(wanted)
