"""Seeds of a plan: claimed where nobody owns them, refused where somebody does and no reuse covers it."""

from __future__ import annotations

from sqlalchemy.orm import Session

from prodsys.errors import SeedsTaken
from prodsys.ledger.seeds import (
    claim,
    find_owners,
    from_range,
    lock_configuration,
    next_free,
    reused_by,
    same_beam_elsewhere,
    uncovered,
)
from prodsys.model.request import Configuration, RequestSpec
from prodsys.model.seeds import SeedRange


def find_open_seeds(session: Session, spec: RequestSpec) -> tuple[SeedRange, ...]:
    """Seeds of a request that nobody owns.

    Raises
    ------
    SeedsTaken
        Some belong to others, and no reuse is declared.
    """
    configuration = Configuration.of(spec).digest()
    open_seeds = uncovered(session, spec.request_id, spec.seeds)
    owners = find_owners(session, configuration, open_seeds, but=spec.request_id)
    if owners:
        taken = [(owned.owner, owned.seeds.first, owned.seeds.last) for owned in owners]
        raise SeedsTaken(spec.request_id, taken, next_free(session, configuration))
    return open_seeds


def cover_seeds(session: Session, spec: RequestSpec) -> None:
    """Make the request the owner of its seeds that nobody owns; SeedsTaken as `find_open_seeds`."""
    configuration = Configuration.of(spec).digest()
    lock_configuration(session, configuration)
    claim(session, configuration, spec.request_id, find_open_seeds(session, spec))


def seed_warnings(session: Session, request_id: str) -> tuple[str, ...]:
    """What whoever adds samples together must know about the seeds of a request."""
    reused = [
        f"seeds {from_range(row.seeds)} are also those of {row.owner} ({row.kind}: {row.reason}): "
        "never add the two samples together"
        for row in reused_by(session, request_id)
    ]
    beam = [
        f"seeds {common} were also used by {other}: same generator and beam, other detector or version; "
        "the generator events are equal"
        for other, common in same_beam_elsewhere(session, request_id)
    ]
    return tuple(reused + beam)
