"""``prodsys request import|lint``: what people wrote becomes requests; ``lint`` and ``--dry-run`` need no services."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prodsys.cli.output import CLEAN, EXIT_CODES, FINDINGS

if TYPE_CHECKING:
    from prodsys.intake.result import Accepted, Intake

app = typer.Typer()


@app.command(
    "import", help="Import requests from files; faulty rows are reported, good ones imported.", epilog=EXIT_CODES
)
def import_requests(
    files: Annotated[list[Path], typer.Argument(exists=True, help="CSV, XLSX or YAML files, or folders.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would happen; needs no stack.")] = False,
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
    has_faults = _show_dry_run(intake, as_json) if dry_run else _import(intake, who, as_json, overwrite)
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


def _show_dry_run(intake: Intake, as_json: bool) -> bool:
    from prodsys.cli.output import print_json, print_text

    rows = [_accepted_json(one) for one in intake.accepted]
    if as_json:
        print_json({"accepted": rows, **_findings_json(intake.faults, intake.notes)})
    else:
        _print_accepted(rows)
        _print_findings(intake.faults, intake.notes)
        print_text(f"{len(rows)} would be imported, {len(intake.faults)} faults; nothing was changed")
    return bool(intake.faults)


def _import(intake: Intake, who: str | None, as_json: bool, overwrite: bool) -> bool:
    from prodsys.actions.importing import import_intake
    from prodsys.cli.output import print_json, print_text
    from prodsys.cli.request_commands import acting

    answer = import_intake(acting(who), intake, overwrite=overwrite)
    done = {"created": answer.created, "revised": answer.revised, "unchanged": answer.unchanged}
    if as_json:
        accepted = [_accepted_json(one) for one in intake.accepted]
        print_json({"accepted": accepted, **done, **_findings_json(answer.faults, answer.notes)})
    else:
        _print_findings(answer.faults, answer.notes)
        for verb, ids in done.items():
            print_text(f"{verb}: {', '.join(ids) or 'none'}")
    return bool(answer.faults)


def _accepted_json(accepted: Accepted) -> dict[str, Any]:
    from prodsys.model.request import Configuration
    from prodsys.model.seeds import show
    from prodsys.model.statuses import STATE_OF_RECORD

    spec = accepted.spec
    return {
        "request_id": spec.request_id,
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

    columns = ("request_id", "status", "state", "chain", "seeds", "events", "labels")
    cells = [[", ".join(row[name]) if name == "labels" else row[name] for name in columns] for row in rows]
    if rows:
        print_table(columns, cells, title="Requests")


def _print_findings(faults: Any, notes: Any) -> None:
    from prodsys.cli.findings import print_faults, print_notes

    print_notes(notes)
    print_faults(faults)
