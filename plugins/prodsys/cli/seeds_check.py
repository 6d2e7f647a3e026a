"""``prodsys seeds check``: which requests share seeds, in files without any service, or in the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from prodsys.cli.output import CLEAN, EXIT_CODES, FINDINGS

if TYPE_CHECKING:
    from prodsys.intake.result import Intake
    from prodsys.intake.seed_overlaps import Overlap, SharedBeam

app = typer.Typer()

Files = Annotated[
    list[Path] | None,
    typer.Argument(
        exists=True,
        help="Sheets (CSV, XLSX), database exports, YAML requests, folders; none: all requests of the ledger.",
    ),
]


@app.command("check", help="Requests of one configuration that share seeds, over several files.", epilog=EXIT_CODES)
def check(files: Files = None, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Print overlapping pairs, warnings about shared beams, and faults of the files."""
    if not files:
        raise typer.Exit(FINDINGS if _check_ledger(as_json) else CLEAN)
    from prodsys.cli.output import print_json
    from prodsys.intake.catalogue import load_catalogue
    from prodsys.intake.files import read_files
    from prodsys.intake.result import as_json as fault_json
    from prodsys.intake.seed_overlaps import find_overlaps, find_shared_beams
    from prodsys.settings import read_settings

    settings = read_settings()
    intake = read_files(files, load_catalogue(settings.specs, settings.profile))
    specs = [accepted.spec for accepted in intake.accepted]
    pairs, beams = find_overlaps(specs), find_shared_beams(specs)
    if as_json:
        warnings = [asdict(beam.overlap) | {"differs": list(beam.differs)} for beam in beams]
        faults = [fault_json(fault) for fault in intake.faults]
        print_json({"pairs": [asdict(pair) for pair in pairs], "faults": faults, "warnings": warnings})
    else:
        _show(len(specs), pairs, beams, intake)
    raise typer.Exit(FINDINGS if pairs or intake.faults else CLEAN)


def _check_ledger(as_json: bool) -> bool:
    """Whether requests of the ledger share seeds; the database finds them."""
    from prodsys.actions.queries.showing_seeds import show_shared_seeds
    from prodsys.cli.output import print_json, print_table, print_text
    from prodsys.cli.request_commands import acting

    pairs = show_shared_seeds(acting(None))
    if as_json:
        print_json({"pairs": pairs})
        return bool(pairs)
    if pairs:
        rows = [(one["a"], one["b"], one["seeds"], "; ".join(one["reuse"]) or "of the same seeds") for one in pairs]
        title = "The same events in both: never add them together"
        print_table(("request", "request", "seeds", "declared"), rows, title=title)
    print_text(f"{len(pairs)} overlaps in the ledger")
    return bool(pairs)


def _show(number: int, pairs: Sequence[Overlap], beams: Sequence[SharedBeam], intake: Intake) -> None:
    from prodsys.cli.findings import print_faults
    from prodsys.cli.output import print_table, print_text

    print_faults(intake.faults)
    if beams:
        rows = [(*_cells(one.overlap), ", ".join(one.differs)) for one in beams]
        print_table(("request", "request", "seeds", "differs"), rows, title="Same generator events, other detector")
    if pairs:
        shared = [_cells(one) for one in pairs]
        print_table(("request", "request", "seeds"), shared, title="The same events in both: never add them together")
    print_text(f"{number} requests, {len(pairs)} overlaps, {len(intake.faults)} faults")


def _cells(overlap: Overlap) -> tuple[str, str, str]:
    return overlap.a, overlap.b, f"{overlap.first}-{overlap.last}"
