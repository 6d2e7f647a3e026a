"""Seeds used again on purpose: declared with a kind and a reason, before the plan."""

from __future__ import annotations

from prodsys.actions.core.context import Context
from prodsys.actions.requests.seed_claims import lock_with_seeds
from prodsys.errors import SpecInvalid
from prodsys.ledger.journal import write_audit
from prodsys.ledger.requests import get_request, get_spec, refusal
from prodsys.ledger.seeds import Owned, add_reuse, find_owners
from prodsys.ledger.session import transaction
from prodsys.model import seeds as seed_ranges
from prodsys.model.request import Configuration
from prodsys.model.statuses import RequestState, ReuseKind
from prodsys.model.text import REUSE_LENGTH, clean_reason
from prodsys.model.transitions import Permission

DECLARABLE = frozenset({ReuseKind.PILOT_OF, ReuseKind.SUPERSEDES, ReuseKind.COMPARE})
OPEN = frozenset({RequestState.DRAFT, RequestState.CHECKED})


def declare_reuse(ctx: Context, request_id: str, owner: str, kind: ReuseKind, reason: str) -> list[Owned]:
    """Declare that a draft uses the seeds it shares with ``owner`` again; the shared ranges.

    Said again, nothing changes; with another kind or reason, that one counts.

    Raises
    ------
    SpecInvalid
        They share no seed, are one request, the kind is not for people to declare, or no reason is given.
    RequestUnknown
        There is no such owner.
    InvalidTransition
        The request is planned already or past it.
    """
    ctx.check_permission("declare reuse of seeds", Permission.CREATE)
    reason = clean_reason(reason, "reuse", REUSE_LENGTH)
    if kind not in DECLARABLE or not reason:
        kinds = ", ".join(sorted(DECLARABLE))
        raise SpecInvalid("reuse", f"{kind} with reason {reason[:80]!r}", f"one of {kinds}, and a reason in a sentence")
    if owner == request_id:
        raise SpecInvalid("reuse", f"{request_id} owns its own seeds", "name the request whose seeds are used again")
    with transaction(ctx.sessions) as session:
        row = lock_with_seeds(session, request_id)
        get_request(session, owner)
        if RequestState(row.state) not in OPEN:
            raise refusal(row, "declaring reuse of seeds")
        spec = get_spec(session, request_id)
        configuration = Configuration.of(spec).digest()
        shared = [one for one in find_owners(session, configuration, spec.seeds, but=request_id) if one.owner == owner]
        if not shared:
            asked = seed_ranges.show(spec.seeds)
            raise SpecInvalid(
                "reuse", f"{request_id} ({asked}) shares no seed with {owner}", "see prodsys seeds claims"
            )
        said = [add_reuse(session, configuration, request_id, owned, kind, reason, ctx.who) for owned in shared]
        if any(said):
            seeds = seed_ranges.show(owned.seeds for owned in shared)
            write_audit(session, ctx.who, "reuse", request_id, owner=owner, seeds=seeds, kind=kind, reason=reason)
        return shared
