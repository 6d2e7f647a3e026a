"""``prodsys recurring``: templates that make requests by a schedule."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prodsys.cli.doing import DryRun, do
from prodsys.cli.moments import parse_moment
from prodsys.cli.output import CLEAN, EXIT_CODES, FINDINGS, print_json, print_table, print_text
from prodsys.cli.request_commands import AsJson, Who, acting

if TYPE_CHECKING:
    from prodsys.model.recurring import RecurringSpec

app = typer.Typer()
Name = Annotated[str, typer.Argument(help="Template: name of the file under include/specs/recurring.")]


def _template(name: str) -> RecurringSpec:
    from prodsys.intake.recurring_files import get_template
    from prodsys.settings import read_settings

    return get_template(read_settings().specs, name)


@app.command("list", help="Templates, and how many of their intervals have a request.", epilog=EXIT_CODES)
def list_templates(as_json: AsJson = False) -> None:
    """Templates of the specs."""
    from prodsys.actions.runs.recurring import show_template
    from prodsys.intake.recurring_files import read_templates
    from prodsys.settings import read_settings

    templates, faults = read_templates(read_settings().specs)
    ctx = acting(None)
    found = [(template, show_template(ctx, template)) for _, template in templates]
    rows = [
        {
            "name": template.name,
            "active": template.active,
            "schedule": template.schedule,
            "made": sum(1 for one in shown.intervals if one.state),
            "missed": shown.missed,
            "of": template.intervals,
            "kept_seeds": shown.kept_seeds,
        }
        for template, shown in found
    ]
    if as_json:
        print_json({"templates": rows, "faults": [str(fault) for fault in faults]})
    else:
        columns = ("template", "active", "schedule", "requests", "missed", "of", "seeds kept")
        print_table(columns, [tuple(row.values()) for row in rows], title=f"{len(rows)} templates")
        for fault in faults:
            print_text(f"faulty: {fault}")
    raise typer.Exit(FINDINGS if faults else CLEAN)


@app.command(help="Intervals of a template up to the next one, with their requests.", epilog=EXIT_CODES)
def show(name: Name, as_json: AsJson = False) -> None:
    """Intervals of a template."""
    from prodsys.actions.runs.recurring import show_template

    template = _template(name)
    found = show_template(acting(None), template)
    if as_json:
        print_json(asdict(found) | {"template": template.model_dump(mode="json")})
        return
    kept = f"seeds {found.kept_seeds} are kept" if found.registered else "nothing is kept for it yet"
    print_text(f"{name}: {template.cron} UTC, {'active' if found.active else 'at rest'}; {kept}")
    rows = [
        (f"{one.begin:%Y-%m-%d %H:%M}", f"{one.end:%Y-%m-%d %H:%M}", one.request_id, one.seeds, one.state or "-",
         one.message)
        for one in found.intervals
    ]  # fmt: skip
    print_table(("from", "to", "request", "seeds", "state", "reason"), rows)


@app.command(help="Make the request of an interval, or of all that were missed, in order.", epilog=EXIT_CODES)
def run(
    name: Name,
    interval: Annotated[
        datetime | None,
        typer.Option(
            parser=parse_moment,
            metavar="MOMENT",
            help="Beginning of the interval, UTC unless told: 2027-01-04; default: all that were missed.",
        ),
    ] = None,
    dry_run: DryRun = False,
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """Make the requests of a template."""
    from prodsys.actions.runs.recurring import catch_up, recur

    template = _template(name)
    made, effects = do(
        acting(who),
        lambda ctx: [recur(ctx, template, interval)] if interval else catch_up(ctx, template),
        dry_run=dry_run,
    )
    if as_json:
        _print_made([asdict(one) for one in made], effects, dry_run=dry_run)
        return
    for one in made:
        verb = "made" if one.created else "was made before"
        print_text(
            f"{'would be: ' if dry_run else ''}{one.request_id} {verb} for {one.begin:%Y-%m-%d %H:%M}, "
            f"seeds {one.seeds}: {one.state}" + (f"; {one.message}" if one.message else "")
        )
    for effect in effects:
        print_text(f"  would: {effect}")
    print_text(f"{len(made)} intervals")


def _print_made(made: list[dict[str, Any]], effects: list[str], *, dry_run: bool) -> None:
    print_json({"intervals": made} | ({"dry_run": True, "would": effects} if dry_run else {}))


@app.command(
    help="Keep the seeds and ids of all intervals for a template; the intake DAG does it too.", epilog=EXIT_CODES
)
def keep(name: Name, dry_run: DryRun = False, who: Who = None, as_json: AsJson = False) -> None:
    """Keep seeds and ids for a template."""
    from prodsys.actions.requests.template_reservations import register

    template = _template(name)
    new, _ = do(acting(who), lambda ctx: register(ctx, template), dry_run=dry_run)
    if as_json:
        print_json({"template": name, "seeds": str(template.block), "new": new, "dry_run": dry_run})
    else:
        words = "were kept before" if not new else "would be kept" if dry_run else "are kept"
        print_text(f"{name}: seeds {template.block} and ids {template.id_of(0)} and following {words}")


@app.command(help="Give back what is kept for a template and was not used.", epilog=EXIT_CODES)
def release(name: Name, dry_run: DryRun = False, who: Who = None, as_json: AsJson = False) -> None:
    """Give back what is kept for a template."""
    from prodsys.actions.requests.template_reservations import release as do_release
    from prodsys.model.seeds import show as show_seeds

    free, _ = do(acting(who), lambda ctx: do_release(ctx, name), dry_run=dry_run)
    if as_json:
        print_json({"template": name, "free": show_seeds(free), "dry_run": dry_run})
    else:
        print_text(f"{name}: seeds {show_seeds(free) or 'none'} {'would be' if dry_run else 'are'} free again")


@app.command(help="Look at templates, of the specs or of files; needs no services.", epilog=EXIT_CODES)
def lint(
    files: Annotated[list[Path] | None, typer.Argument(exists=True, help="Default: all templates.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the faults of templates."""
    from prodsys.cli.findings import print_faults
    from prodsys.intake.catalogue import load_catalogue
    from prodsys.intake.recurring_files import RECURRING, lint_templates
    from prodsys.intake.result import as_json as fault_json
    from prodsys.settings import read_settings

    settings = read_settings()
    paths = files or sorted((settings.specs / RECURRING).glob("*.yaml"))
    faults = lint_templates(paths, load_catalogue(settings.specs, settings.profile))
    if as_json:
        print_json({"faults": [fault_json(fault) for fault in faults]})
    else:
        print_faults(faults)
        print_text(f"{len(paths)} templates, {len(faults)} faults")
    raise typer.Exit(FINDINGS if faults else CLEAN)
