"""Seeds of a plan: claimed where nobody owns them, refused where somebody does and no reuse covers it."""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import delete
from sqlalchemy.orm import Session

from prodsys.errors import SeedsTaken
from prodsys.ledger.requests import get_request, get_spec
from prodsys.ledger.seeds import (
    Owned,
    add_reuse,
    claim,
    configuration_of,
    find_owners,
    from_range,
    lock_configuration,
    next_free,
    reused_by,
    same_beam_elsewhere,
    uncovered,
)
from prodsys.ledger.tables import RequestRow, SeedReuseRow
from prodsys.model import seeds as seed_ranges
from prodsys.model.plan import Plan
from prodsys.model.request import Configuration, RequestSpec
from prodsys.model.seeds import SeedRange
from prodsys.model.statuses import ReuseKind


def lock_with_seeds(session: Session, request_id: str) -> RequestRow:
    """A request, its row locked after the seeds of its configuration, as whoever makes requests locks them."""
    lock_configuration(session, Configuration.of(get_spec(session, request_id)).digest())
    return get_request(session, request_id, lock=True)


def find_open_seeds(session: Session, spec: RequestSpec) -> tuple[SeedRange, ...]:
    """Seeds of a request that nobody owns.

    Raises
    ------
    SeedsTaken
        Some belong to others, and no reuse is declared.
    """
    if spec.reads:
        return ()  # the events exist: their seeds stay those of the request that made them
    configuration = Configuration.of(spec).digest()
    open_seeds = uncovered(session, spec.request_id, spec.seeds)
    owners = find_owners(session, configuration, open_seeds, but=spec.request_id)
    if owners:
        taken = [(owned.owner, owned.seeds.first, owned.seeds.last) for owned in owners]
        raise SeedsTaken(spec.request_id, taken, next_free(session, configuration, spec.seed_count, spec.request_id))
    return open_seeds


def cover_seeds(session: Session, spec: RequestSpec) -> None:
    """Make the request the owner of its seeds that nobody owns; SeedsTaken as `find_open_seeds`.

    The caller has locked the seeds of its configuration, before any row.
    """
    if not spec.reads:
        claim(session, Configuration.of(spec).digest(), spec.request_id, find_open_seeds(session, spec))


def borrow_seeds(session: Session, plan: Plan, who: str) -> None:
    """Say whose seeds a request has that reads files: those of the request that simulated, when the ledger knows it."""
    reading = plan.reading
    session.execute(
        delete(SeedReuseRow).where(
            SeedReuseRow.request_id == plan.request_id, SeedReuseRow.kind == ReuseKind.RECONSTRUCTS
        )
    )
    if reading is None or reading.request_id is None:
        return
    configuration = configuration_of(session, reading.request_id) or plan.configuration_digest
    reason = f"the files of its {reading.step} are read by {plan.spec.software} {plan.spec.version}"
    for seeds in seed_ranges.subtract(plan.seeds, reading.lacking):
        owned = Owned(reading.request_id, seeds)
        add_reuse(session, configuration, plan.request_id, owned, ReuseKind.RECONSTRUCTS, reason, who)


def seed_warnings(session: Session, request_id: str) -> tuple[str, ...]:
    """What whoever adds samples together must know about the seeds of a request."""
    reuse: dict[tuple[str, str, str], list[SeedRange]] = defaultdict(list)
    for row in reused_by(session, request_id):
        reuse[row.owner, row.kind, row.reason].append(from_range(row.seeds))
    reused = [
        f"seeds {seed_ranges.show_some(seeds)} are also those of {owner} ({kind}: {reason}): "
        "never add the two samples together"
        for (owner, kind, reason), seeds in reuse.items()
    ]
    beam = [
        f"seeds {seed_ranges.show_some(common)} were also used by {other}: same generator and beam, other detector or "
        "version; the generator events are equal"
        for other, common in same_beam_elsewhere(session, request_id)
    ]
    return tuple(reused + beam)
