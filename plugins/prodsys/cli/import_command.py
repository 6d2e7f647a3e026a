"""``prodsys request import|lint``: what people wrote becomes requests; ``lint`` and ``--dry-run`` need no services."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prodsys.cli.output import CLEAN, EXIT_CODES, FINDINGS

if TYPE_CHECKING:
    from prodsys.actions.requests.importing import ImportAnswer
    from prodsys.intake.result import Accepted, Intake

app = typer.Typer()


@app.command(
    "import", help="Import requests from files; faulty rows are reported, good ones imported.", epilog=EXIT_CODES
)
def import_requests(
    files: Annotated[list[Path], typer.Argument(exists=True, help="CSV, XLSX or YAML files, or folders.")],
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only say what would happen, with the ledger's word where there is a ledger."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    who: Annotated[str | None, typer.Option("--as", help="Who imports; default: PRODSYS_USER, else the login.")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Take what the files say even where they have not changed since.")
    ] = False,
) -> None:
    """Import the requests of files."""
    from prodsys.intake.catalogue import load_catalogue
    from prodsys.intake.files import read_files
    from prodsys.settings import read_settings

    settings = read_settings()
    intake = read_files(files, load_catalogue(settings.specs, settings.profile))
    act = _show_dry_run if dry_run else _import
    has_faults = act(intake, who, as_json, overwrite)
    raise typer.Exit(FINDINGS if has_faults else CLEAN)


@app.command(help="Look at request files and lists of processings: needs no services.", epilog=EXIT_CODES)
def lint(
    files: Annotated[list[Path], typer.Argument(exists=True, help="CSV, XLSX or YAML files, or folders.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print what cannot be read and what contradicts itself."""
    from prodsys.cli.output import print_json, print_table, print_text
    from prodsys.intake.catalogue import load_catalogue
    from prodsys.intake.request_lint import Severity, has_findings, lint_requests
    from prodsys.settings import read_settings

    settings = read_settings()
    found = lint_requests(files, load_catalogue(settings.specs, settings.profile))
    counts = {one.value: sum(finding.severity is one for finding in found) for one in Severity}
    if as_json:
        print_json({"findings": [one.as_json() for one in found], "counts": counts})
    else:
        columns = ("severity", "file", "row", "column", "value", "finding", "remedy")
        rows = [(one.severity, one.file, one.row, one.column, one.value, one.message, one.remedy) for one in found]
        if rows:
            print_table(columns, rows)
        print_text(", ".join(f"{number} {name}s" for name, number in counts.items()))
    raise typer.Exit(FINDINGS if has_findings(found) else CLEAN)


def _show_dry_run(intake: Intake, who: str | None, as_json: bool, overwrite: bool) -> bool:
    from prodsys.cli.output import print_json, print_text
    from prodsys.intake.seed_overlaps import refused_drafts

    answer, ledger = _ask_ledger(intake, who, overwrite)
    faults = answer.faults if answer else [*intake.faults, *refused_drafts(intake.accepted)]
    rows = [_accepted_json(one, answer) for one in intake.accepted]
    if as_json:
        print_json({"accepted": rows, **_outcomes(answer), "ledger": ledger, **_findings_json(faults, intake.notes)})
    else:
        _print_accepted(rows)
        _print_findings(faults, intake.notes)
        counted = "; ".join(f"{len(ids)} would be {verb}" for verb, ids in _outcomes(answer).items())
        print_text(
            f"{counted or f'{len(rows)} would be imported'}, {len(faults)} faults; nothing was changed; {ledger}"
        )
    return bool(faults)


def _ask_ledger(intake: Intake, who: str | None, overwrite: bool) -> tuple[ImportAnswer | None, str]:
    """What the import would do, by the ledger; None where there is none, and whether it was asked, in words."""
    from prodsys.settings import read_settings

    if read_settings().get("DATABASE_URL") is None:
        return None, "the ledger was not asked: PRODSYS_DATABASE_URL is not set"
    from prodsys.actions.requests.importing import import_intake
    from prodsys.cli.doing import do
    from prodsys.cli.request_commands import acting
    from prodsys.errors import LedgerUnavailable

    try:
        answer, _ = do(acting(who), lambda ctx: import_intake(ctx, intake, overwrite=overwrite), dry_run=True)
    except LedgerUnavailable as error:
        return None, f"the ledger was not asked: {error}"
    return answer, "the ledger was asked"


def _import(intake: Intake, who: str | None, as_json: bool, overwrite: bool) -> bool:
    from prodsys.actions.requests.importing import import_intake
    from prodsys.cli.output import print_json, print_text
    from prodsys.cli.request_commands import acting

    answer = import_intake(acting(who), intake, overwrite=overwrite)
    accepted = [_accepted_json(one, answer) for one in intake.accepted]
    if as_json:
        print_json({"accepted": accepted, **_outcomes(answer), **_findings_json(answer.faults, answer.notes)})
    else:
        _print_accepted(accepted)
        _print_findings(answer.faults, answer.notes)
        for verb, ids in _outcomes(answer).items():
            print_text(f"{verb}: {', '.join(ids) or 'none'}")
    return bool(answer.faults)


def _outcomes(answer: ImportAnswer | None) -> dict[str, list[str]]:
    """Ids by what becomes of them; empty when the ledger was not asked."""
    if answer is None:
        return {}
    return {"created": answer.created, "revised": answer.revised, "unchanged": answer.unchanged}


def _outcome_of(request_id: str, answer: ImportAnswer | None) -> str | None:
    """What becomes of one request; None when the ledger was not asked."""
    if answer is None:
        return None
    return next((verb for verb, ids in _outcomes(answer).items() if request_id in ids), "refused")


def _accepted_json(accepted: Accepted, answer: ImportAnswer | None = None) -> dict[str, Any]:
    from prodsys.model.request import Configuration
    from prodsys.model.seeds import show
    from prodsys.model.statuses import STATE_OF_RECORD

    spec = accepted.spec
    return {
        "request_id": spec.request_id,
        "import": _outcome_of(spec.request_id, answer),
        "status": spec.recorded_status.value,
        "state": STATE_OF_RECORD[spec.recorded_status].value,
        "chain": spec.chain,
        "seeds": show(spec.seeds),
        "events": spec.events,
        "configuration": Configuration.of(spec).digest(),
        "labels": list(spec.labels),
        "file": accepted.file,
        "row": accepted.row,
    }


def _findings_json(faults: Any, notes: Any) -> dict[str, Any]:
    from prodsys.intake.result import as_json

    return {"faults": [as_json(one) for one in faults], "notes": [as_json(one) for one in notes]}


def _print_accepted(rows: list[dict[str, Any]]) -> None:
    from prodsys.cli.output import print_table

    asked = any(row["import"] for row in rows)
    columns = ("request_id", *(("import",) if asked else ()), "status", "state", "chain", "seeds", "events", "labels")
    cells = [[", ".join(row[name]) if name == "labels" else row[name] for name in columns] for row in rows]
    if rows:
        print_table(columns, cells, title="Requests")


def _print_findings(faults: Any, notes: Any) -> None:
    from prodsys.cli.findings import print_faults, print_notes

    print_notes(notes)
    print_faults(faults)
