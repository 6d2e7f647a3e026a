"""Which requests of the ledger hold the same events: told by the database."""

from __future__ import annotations

from typing import Any

from prodsys.actions.core.context import Context
from prodsys.ledger.seeds import shared_seeds
from prodsys.ledger.session import transaction
from prodsys.model import seeds as seed_ranges


def show_shared_seeds(ctx: Context) -> list[dict[str, Any]]:
    """All pairs of requests of one configuration with common seeds, in the order of ids; ``a`` has the lower one."""
    with transaction(ctx.sessions) as session:
        return [
            {"a": one.a, "b": one.b, "seeds": seed_ranges.show(one.seeds), "reuse": list(one.reuse)}
            for one in shared_seeds(session)
        ]
