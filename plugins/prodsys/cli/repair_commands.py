"""``prodsys request``: retry, recover, accept, settle-again, questions, answer, account."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from prodsys.cli.doing import DryRun, do, tell
from prodsys.cli.output import EXIT_CODES, print_json, print_table, print_text
from prodsys.cli.request_commands import AsJson, RequestId, Who, acting
from prodsys.model.names import canonical_id
from prodsys.model.policy import Answer
from prodsys.model.times import utc_minutes

if TYPE_CHECKING:
    from prodsys.actions.closing.reopening import Restarted
    from prodsys.actions.core.context import Context

app = typer.Typer()
Reason = Annotated[str, typer.Option(help="Why; an accepted loss is certified with it.")]


def _command(act: Callable[[Context], Restarted], who: str | None, *, dry_run: bool, as_json: bool) -> None:
    answer, effects = do(acting(who), act, dry_run=dry_run)
    words = f"{answer.request_id} is {answer.state}: {answer.message}"
    tell(answer, words, effects, dry_run=dry_run, as_json=as_json)


@app.command(help="Start another run of a failed request; it goes on where it stands.", epilog=EXIT_CODES)
def retry(request_id: RequestId, dry_run: DryRun = False, who: Who = None, as_json: AsJson = False) -> None:
    """Start another run of a failed request."""
    from prodsys.actions.closing import reopening

    _command(lambda ctx: reopening.retry(ctx, request_id, wait=not dry_run), who, dry_run=dry_run, as_json=as_json)


@app.command(help="Run again what is missing, and nothing else.", epilog=EXIT_CODES)
def recover(
    request_id: RequestId, reason: Reason = "", dry_run: DryRun = False, who: Who = None, as_json: AsJson = False
) -> None:
    """Run again what is missing."""
    from prodsys.actions.closing import reopening

    _command(
        lambda ctx: reopening.recover(ctx, request_id, reason, wait=not dry_run), who, dry_run=dry_run, as_json=as_json
    )


@app.command(help="Take what came and waive the rest.", epilog=EXIT_CODES)
def accept(
    request_id: RequestId, reason: Reason, dry_run: DryRun = False, who: Who = None, as_json: AsJson = False
) -> None:
    """Take what came and waive the rest."""
    from prodsys.actions.closing import reopening

    _command(
        lambda ctx: reopening.accept(ctx, request_id, reason, wait=not dry_run), who, dry_run=dry_run, as_json=as_json
    )


@app.command(
    "settle-again", help="Look again at a closed request; it gets a new certificate revision.", epilog=EXIT_CODES
)
def settle_again(
    request_id: RequestId, reason: Reason, dry_run: DryRun = False, who: Who = None, as_json: AsJson = False
) -> None:
    """Look again at a closed request."""
    from prodsys.actions.closing import reopening

    _command(
        lambda ctx: reopening.settle_again(ctx, request_id, reason, wait=not dry_run),
        who,
        dry_run=dry_run,
        as_json=as_json,
    )


@app.command(help="Questions that wait for a person.", epilog=EXIT_CODES)
def questions(
    request_id: Annotated[
        str | None, typer.Argument(help="Of one request only.", parser=canonical_id, metavar="ID")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Questions that wait for a person."""
    from prodsys.actions.settlement.step_questions import open_questions

    found = open_questions(acting(None), request_id)
    if as_json:
        print_json([asdict(one) for one in found])
        return
    for one in found:
        options = ", ".join(one.options)
        print_text(f"question {one.question_id} ({options}; '{one.default}' from {utc_minutes(one.due_at)})")
        print_text(f"{one.body}\n")
    print_text(f"{len(found)} questions")


@app.command(help="Answer a question.", epilog=EXIT_CODES)
def answer(
    question_id: Annotated[int, typer.Argument(help="Number of the question.")],
    given: Annotated[Answer, typer.Argument(metavar="ANSWER", help=" | ".join(Answer))],
    reason: Reason = "",
    dry_run: DryRun = False,
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """Answer a question."""
    from prodsys.actions.settlement import step_questions

    taken, effects = do(
        acting(who), lambda ctx: step_questions.answer(ctx, question_id, given, reason), dry_run=dry_run
    )
    tell(taken, f"{taken.subject}: {taken.said}", effects, dry_run=dry_run, as_json=as_json)


@app.command(help="Seeds of each step: asked, delivered, missing, waived.", epilog=EXIT_CODES)
def account(request_id: RequestId, as_json: AsJson = False) -> None:
    """Seeds of each step: asked, delivered, missing, waived."""
    from prodsys.actions.queries.showing import show_accounts

    found = show_accounts(acting(None), request_id)
    if as_json:
        print_json([asdict(one) for one in found])
        return
    columns = ("step", "bunch", "asked", "delivered", "missing", "waived", "lost before", "events", "verdict")
    rows = [
        (
            one.step,
            one.bunch,
            one.asked,
            one.delivered,
            one.missing,
            one.waived,
            one.lost_before,
            one.events,
            one.verdict,
        )
        for one in found
    ]
    print_table(columns, rows, title=f"{request_id}: asked = delivered + missing + waived")
