"""``prodsys spec``: look at the files under include/specs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from prodsys.cli.output import CLEAN, EXIT_CODES, FINDINGS

app = typer.Typer()
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("lint", help="Look at all specs, or at some files of them, and print every fault.", epilog=EXIT_CODES)
def lint(
    files: Annotated[list[Path] | None, typer.Argument(exists=True, help="Default: everything.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print the faults of specs."""
    from prodsys.cli.findings import print_faults
    from prodsys.cli.output import print_json, print_text
    from prodsys.intake.lint import lint_specs
    from prodsys.intake.result import as_json as fault_json
    from prodsys.settings import read_settings

    faults = lint_specs(read_settings().specs, files or ())
    if as_json:
        print_json({"faults": [fault_json(fault) for fault in faults]})
    else:
        print_faults(faults)
        print_text(f"{len(faults)} faults")
    raise typer.Exit(FINDINGS if faults else CLEAN)


@app.command("schema", help="Generate the JSON Schemas of all files people write.", epilog=EXIT_CODES)
def schema(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 when one is stale.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write or check include/specs/schema."""
    from prodsys.cli.output import print_json, print_text
    from prodsys.intake.schema import MODELS, stale_schemas, write_schemas
    from prodsys.settings import read_settings

    folder = read_settings().specs / "schema"
    found = stale_schemas(folder) if check else write_schemas(folder)
    if as_json:
        key = "stale" if check else "written"
        print_json({"folder": str(folder), "schemas": sorted(MODELS), key: [str(path) for path in found]})
    else:
        for path in found:
            print_text(f"{'stale' if check else 'written'}: {path}")
        print_text(f"{len(MODELS)} schemas, {len(found)} {'stale' if check else 'written'}")
    raise typer.Exit(FINDINGS if check and found else CLEAN)
