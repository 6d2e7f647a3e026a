"""How commands that change something are done: by whom, for real or as a rehearsal, and how the answer is printed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prodsys.cli.output import print_json, print_text

if TYPE_CHECKING:
    from prodsys.actions.core.context import Context

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen, and change nothing.")]


def do(ctx: Context, act: Callable[[Context], Any], *, dry_run: bool) -> tuple[Any, list[str]]:
    """Answer of an action, and what a dry run would have told other services."""
    if not dry_run:
        return act(ctx), []
    from prodsys.actions.core.dry_run import run_dry

    rehearsal = run_dry(ctx, act)
    return rehearsal.answer, rehearsal.effects


def tell(answer: Any, sentence: str, effects: list[str], *, dry_run: bool, as_json: bool) -> None:
    """Print an answer: a sentence for people, or all of it as JSON."""
    if as_json:
        body = asdict(answer) if is_dataclass(answer) and not isinstance(answer, type) else {"answer": answer}
        print_json(body | ({"dry_run": True, "would": effects} if dry_run else {}))
        return
    print_text(f"would be: {sentence}" if dry_run else sentence)
    for effect in effects:
        print_text(f"  would: {effect}")
