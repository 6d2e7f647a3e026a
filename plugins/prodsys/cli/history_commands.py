"""``prodsys history``: tasks of before this ledger, for the estimates of plans."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prodsys.cli.doing import DryRun, do
from prodsys.cli.output import CLEAN, EXIT_CODES, FINDINGS, print_json, print_table, print_text
from prodsys.cli.request_commands import AsJson, Who, acting

if TYPE_CHECKING:
    from prodsys.actions.requests.history_import import HistoryAnswer

app = typer.Typer()


@app.command("import", help="Import a list of tasks that have ended; doubtful figures are flagged.", epilog=EXIT_CODES)
def import_list(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="CSV lists of tasks.")],
    walltime: Annotated[
        list[str] | None, typer.Option(help="Unit of the walltimes of a step, when you know it: RECO=min.")
    ] = None,
    dry_run: DryRun = False,
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """Import lists of tasks."""
    from prodsys.actions.requests.history_import import import_history
    from prodsys.intake.history import read_history, read_units

    units = read_units(walltime or [])
    histories = [read_history(path, units) for path in files]
    answers, _ = do(acting(who), lambda ctx: [import_history(ctx, one) for one in histories], dry_run=dry_run)
    if as_json:
        print_json(_joined(files, answers) | ({"dry_run": True} if dry_run else {}))
    else:
        for path, answer in zip(files, answers, strict=True):
            _print_import(path, answer, dry_run=dry_run)
    raise typer.Exit(FINDINGS if any(one.flags or one.faults for one in answers) else CLEAN)


def _joined(files: list[Path], answers: list[HistoryAnswer]) -> dict[str, Any]:
    """What the import of all files did, in one document; faults and flags name their file."""
    bodies = [asdict(one) for one in answers]
    return {"files": [str(path) for path in files]} | {
        key: [item for body in bodies for item in body[key]] for key in bodies[0]
    }


def _print_import(path: Path, answer: HistoryAnswer, *, dry_run: bool) -> None:
    from prodsys.cli.findings import print_faults, print_notes

    print_notes(answer.notes)
    print_faults([*answer.faults, *answer.flags])
    counts = ", ".join(f"{len(getattr(answer, word))} {word}" for word in ("created", "changed", "unchanged"))
    print_text(f"{path}: {'would be: ' if dry_run else ''}{counts}; {len(answer.flags)} figures are not used")


@app.command("list", help="Tasks of imported lists, and what of them is not used.", epilog=EXIT_CODES)
def show(as_json: AsJson = False) -> None:
    """Imported tasks."""
    from prodsys.actions.requests.history_import import show_history

    found = show_history(acting(None))
    if as_json:
        print_json(found)
        return
    keys = ("jedi_task_id", "task_name", "status", "jobs", "events", "bytes", "wall_s", "span_h", "file")
    rows = [(*(one[key] for key in keys), len(one["flags"])) for one in found]
    print_table((*keys, "flags"), rows, title=f"{len(rows)} tasks")
