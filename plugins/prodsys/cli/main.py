"""The command `prodsys`: groups of commands, each imported when it is used."""

from __future__ import annotations

import io
import os
import sys
from importlib import import_module, metadata
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

from prodsys.cli.output import EXIT_CODES, FINDINGS, print_error
from prodsys.errors import ProductionError

ENTRY_POINTS = "prodsys.commands"
GROUPS: dict[str, tuple[str, tuple[str, ...]]] = {  # name -> what it is for, modules of cli/ whose `app` makes it
    "request": (
        "Requests: from import to certificate.",
        (
            "import_command",
            "request_commands",
            "draft_commands",
            "new_commands",
            "plan_commands",
            "control_commands",
            "repair_commands",
        ),
    ),
    "seeds": ("Seeds: who uses which.", ("seeds_check", "seeds_commands")),
    "history": ("Tasks of before this ledger, for the estimates of plans.", ("history_commands",)),
    "recurring": ("Templates that make requests by a schedule.", ("recurring_commands",)),
    "task": ("PanDA tasks of requests.", ("task_commands",)),
    "finding": ("Disagreements between the services that wait for a person.", ("finding_commands",)),
    "spec": ("Files under include/specs: lint, JSON Schema.", ("spec_commands",)),
}
JOINED = {  # what --help says about groups that other packages bring, without importing them
    "stack": "The embedded services of the sandbox: up, down, status.",
    "demo": "The demonstration: seven requests to their certificates.",
    "sandbox": "The PanDA sandbox.",
}


class LazyGroup(TyperGroup):
    """A group that knows the names of its commands and imports one when it is called."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.joined = {point.name: point for point in metadata.entry_points(group=ENTRY_POINTS)}
        about = {name: help_text for name, (help_text, _) in GROUPS.items()}
        about |= {name: JOINED.get(name, f"From {point.value.split('.')[0]}.") for name, point in self.joined.items()}
        for name, help_text in about.items():
            self.commands.setdefault(name, TyperGroup(name=name, help=help_text))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is called, imported now."""
        name = args[0] if args else ""
        if name in GROUPS:
            self.commands[name] = _load_group(name)
        elif name in self.joined:
            self.commands[name] = self._load_joined(name)
        return super().resolve_command(ctx, args)

    def _load_joined(self, name: str) -> Any:
        try:
            loaded = self.joined[name].load()
        except (ImportError, AttributeError) as error:
            raise ProductionError(f"the command {name} cannot be loaded: {error}") from error
        command = get_command(loaded) if isinstance(loaded, typer.Typer) else loaded
        command.name = name
        return command


def _load_group(name: str) -> TyperGroup:
    """The commands of all modules of a group together."""
    help_text, modules = GROUPS[name]
    group = typer.Typer(name=name, help=help_text, epilog=EXIT_CODES, no_args_is_help=True)
    group.callback()(lambda: None)  # a group of one command stays a group
    for module in modules:
        app: typer.Typer = import_module(f"prodsys.cli.{module}").app
        group.registered_commands += app.registered_commands
        group.registered_groups += app.registered_groups
    return get_group(group)


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    help="Monte Carlo productions: requests, plans, tasks, data.",
    epilog=f"{EXIT_CODES} PRODSYS_DEBUG=1 shows tracebacks.",
)


def _version(wanted: bool) -> None:
    if wanted:
        try:
            number = metadata.version("prodsys")
        except metadata.PackageNotFoundError:
            number = "(not installed)"
        typer.echo(f"prodsys {number}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    pass


@app.command(help="Compare ledger, PanDA, Airflow and Rucio; name every disagreement.", epilog=EXIT_CODES)
def reconcile(
    repair: bool = typer.Option(False, "--repair", help="Mend what is safe."),
    who: str | None = typer.Option(None, "--as", help="Who acts; default: PRODSYS_USER, else the login name."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON with stable keys, nothing else."),
) -> None:
    """Compare the services; findings of before that nobody has decided are shown too."""
    from prodsys.cli.reconcile_command import print_comparison

    print_comparison(who, repair=repair, as_json=as_json)


def main(args: list[str] | None = None) -> None:
    """Run the command; an error becomes one message on stderr and exit code 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without Unicode shows question marks
    try:
        get_command(app)(args=args, prog_name="prodsys")
    except ProductionError as error:
        if os.environ.get("PRODSYS_DEBUG") == "1":
            raise
        print_error(f"prodsys: {error}")
        sys.exit(FINDINGS)
    except Exception as error:  # the border: what nobody expected becomes a sentence too
        if os.environ.get("PRODSYS_DEBUG") == "1":
            raise
        print_error(f"prodsys: {_sentence(error)} (not expected here: PRODSYS_DEBUG=1 shows the traceback)")
        sys.exit(FINDINGS)


def _sentence(error: Exception) -> str:
    """The first line of an error with its kind."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


if __name__ == "__main__":
    main()
