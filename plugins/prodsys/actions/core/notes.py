"""What Airflow did to a wait: written down, and nothing else (DESIGN decision 6: letting go is harmless)."""

from __future__ import annotations

from prodsys.actions.core.context import Context
from prodsys.ledger.journal import write_audit
from prodsys.ledger.session import transaction


def note_letting_go(ctx: Context, request_id: str, what: str, **detail: object) -> None:
    """A wait was let go (`on_kill`): the reconciler finds out whether a person meant it. PanDA's task is untouched."""
    with transaction(ctx.sessions) as session:
        write_audit(session, ctx.who, "wait let go", request_id, what=what, **detail)
