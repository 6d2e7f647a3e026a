"""``prodsys sandbox scenario``: what shall go wrong, what is in force, and what was done to whom."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from sandbox.panda.jobs.errors import ERRORS
from sandbox.panda.talk import ask_server, fail, scenario_file
from sandbox.panda.trouble.scenario import Rule, Scenario, ScenarioInvalid, json_schema, read_scenario

app = typer.Typer(help="What shall go wrong.", no_args_is_help=True)

FOLDER = Path(__file__).parents[1]
SCENARIOS = FOLDER / "scenarios"
SCHEMA = FOLDER / "schema" / "scenario.json"

AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable.")]
Name = Annotated[str, typer.Argument(help="Name of a scenario, or a YAML file of your own.")]


def find_scenario(name: str) -> Path:
    """File of a scenario: one of ours by its name, or a file of yours.

    Raises
    ------
    typer.Exit
        There is none; the known ones are named.
    """
    path = SCENARIOS / f"{name}.yaml" if "/" not in name and not name.endswith((".yaml", ".yml")) else Path(name)
    if not path.exists():
        known = ", ".join(one.stem for one in sorted(SCENARIOS.glob("*.yaml")))
        raise fail(f"there is no scenario {name!r}; known: {known}")
    return path


def read_or_exit(path: Path) -> Scenario:
    """Scenario of a file; a faulty one ends the command with place and remedy."""
    try:
        return read_scenario(path)
    except ScenarioInvalid as error:
        raise fail(str(error)) from error


@app.command("list")
def list_scenarios(as_json: AsJson = False) -> None:
    """Show the scenarios that `use` knows, and which one is in force."""
    active = scenario_file().read_bytes() if scenario_file().exists() else b""
    rows = [
        {"name": path.stem, "description": read_or_exit(path).description, "in_force": path.read_bytes() == active}
        for path in sorted(SCENARIOS.glob("*.yaml"))
    ]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    width = max(len(str(row["name"])) for row in rows)
    for row in rows:
        typer.echo(f"{'*' if row['in_force'] else ' '} {row['name']:<{width}}  {row['description']}")


@app.command("use")
def use_scenario(name: Name) -> None:
    """Put a scenario in force; a running sandbox follows at once. A faulty one is refused, the old one stays."""
    source = find_scenario(name)
    rules = read_or_exit(source).rules
    target = scenario_file()
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copyfile(source, part)
    part.replace(target)
    typer.echo(f"scenario {source.stem} is in force: {len(rules)} rules in {target}")


@app.command("show")
def show_scenario(
    name: Annotated[str, typer.Argument(help="Name or file; without it: what is in force now.")] = "",
    as_json: AsJson = False,
) -> None:
    """Show the rules of a scenario, or of the one in force and since when."""
    path = find_scenario(name) if name else scenario_file()
    scenario = read_or_exit(path) if path.exists() else Scenario()
    state: dict[str, Any] = {} if name else ask_server("GET", "/sandbox/scenario", quiet=True)
    shown = {"file": str(path), **state, **scenario.model_dump(mode="json", exclude_none=True, exclude_unset=True)}
    if as_json:
        typer.echo(json.dumps(shown))
        return
    typer.echo(scenario.description or "(no description)")
    if state.get("since"):
        typer.echo(f"in force since {state['since']} UTC")
    for number, rule in enumerate(scenario.rules, start=1):
        typer.echo(f"{number}. {describe_rule(rule)}")
    if state.get("trouble"):
        typer.echo(f"the file cannot be used, the last good one stays in force: {state['trouble']}", err=True)


def describe_rule(rule: Rule) -> str:
    """One line about a rule."""
    said = rule.model_dump(mode="json", exclude_none=True, exclude_unset=True)
    name = said.pop("name", "")
    parts = [f"{key} {json.dumps(value, ensure_ascii=False)}" for key, value in said.items()]
    deed = next(key for key in type(rule).model_fields if getattr(rule, key) is rule.deed)
    return f"{name + ': ' if name else ''}{', '.join(parts)}" + ("" if deed in said else f", {deed}")


@app.command("check")
def check_scenario(path: Annotated[Path, typer.Argument(help="YAML file of a scenario.")]) -> None:
    """Check a scenario file: exit 0 when it can be used, else 1 with place, rule, key and remedy."""
    scenario = read_or_exit(path)
    typer.echo(f"{path} can be used: {len(scenario.rules)} rules")


@app.command("journal")
def show_journal(
    task: Annotated[int | None, typer.Option(help="Only what was done to this task.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many lines, the newest.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Show what the scenario did to whom, the newest last."""
    query = {"limit": limit} | ({"task": task} if task is not None else {})
    rows = ask_server("GET", "/sandbox/scenario/journal", query)
    if as_json:
        typer.echo(json.dumps(rows))
        return
    for row in reversed(rows):
        job = f" job {row['panda_id']}" if row["panda_id"] else ""
        typer.echo(f"{row['happened']}  {row['target']}{job}: {row['what']}  [{row['rule']}]")


@app.command("errors")
def list_errors(as_json: AsJson = False) -> None:
    """List the errors a rule may name by a word, with PanDA's codes and texts."""
    rows = [
        {"word": word, "field": f"{one.component}ErrorCode", "code": one.code, "text": one.text}
        for word, one in sorted(ERRORS.items())
    ]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    for row in rows:
        typer.echo(f"{row['word']:<24} {row['field']:<22} {row['code']:>5}  {row['text']}")


def schema_text() -> str:
    """Content of ``sandbox/panda/schema/scenario.json``."""
    return json.dumps(json_schema(), indent=2, sort_keys=True) + "\n"


@app.command("schema")
def show_schema(
    write: Annotated[bool, typer.Option("--write", help="Write it to its file instead (make docs).")] = False,
) -> None:
    """Print the JSON Schema of a scenario file."""
    if not write:
        typer.echo(schema_text(), nl=False)
        return
    SCHEMA.parent.mkdir(exist_ok=True)
    SCHEMA.write_text(schema_text(), encoding="utf-8")
    typer.echo(f"written: {SCHEMA}")
