"""``prodsys sandbox``: what goes wrong in the PanDA sandbox, and a pause for its JEDI."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Annotated

import httpx
import typer

from sandbox.panda.scenario import Scenario, ScenarioInvalid, read_scenario
from sandbox.stack.home import current_home

app = typer.Typer(help="The PanDA sandbox: what goes wrong there, and a pause for its JEDI.", no_args_is_help=True)
scenario_app = typer.Typer(help="What shall go wrong.", no_args_is_help=True)
jedi_app = typer.Typer(help="JEDI's work in the background.", no_args_is_help=True)
app.add_typer(scenario_app, name="scenario")
app.add_typer(jedi_app, name="jedi")

SCENARIOS = Path(__file__).parent / "scenarios"
_TIMEOUT_S = 10


def _fail(text: str) -> typer.Exit:
    typer.echo(text, err=True)
    return typer.Exit(1)


def scenario_file() -> Path:
    """Return the file the running sandbox reads."""
    return Path(os.environ.get("SANDBOX_PANDA_SCENARIO") or current_home().folder("panda") / "scenario.yaml")


def server_url() -> str:
    """Address of the running sandbox: from the environment, else from the home's ``prodsys.env``."""
    if os.environ.get("PRODSYS_PANDA_URL"):
        return os.environ["PRODSYS_PANDA_URL"].rstrip("/")
    path = current_home().environment_file
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    settings = dict(line.split("=", 1) for line in lines if "=" in line)
    if "PRODSYS_PANDA_URL" not in settings:
        raise _fail(f"no PanDA sandbox is known: {path} does not name it; start it with `prodsys stack up`")
    return settings["PRODSYS_PANDA_URL"].rstrip("/")


@scenario_app.command("list")
def list_scenarios(as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False) -> None:
    """Show the scenarios that `use` knows, and which one is in force."""
    active = scenario_file().read_bytes() if scenario_file().exists() else b""
    rows = [
        {"name": path.stem, "description": read_scenario(path).description, "in_force": path.read_bytes() == active}
        for path in sorted(SCENARIOS.glob("*.yaml"))
    ]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    for row in rows:
        typer.echo(f"{'*' if row['in_force'] else ' '} {row['name']:<14} {row['description']}")


@scenario_app.command("use")
def use_scenario(name: Annotated[str, typer.Argument(help="Name of a scenario, or a YAML file of your own.")]) -> None:
    """Put a scenario in force; a running sandbox follows at once."""
    source = SCENARIOS / f"{name}.yaml" if "/" not in name and not name.endswith(".yaml") else Path(name)
    if not source.exists():
        known = ", ".join(path.stem for path in sorted(SCENARIOS.glob("*.yaml")))
        raise _fail(f"there is no scenario {name!r}; known: {known}")
    try:
        rules = read_scenario(source).rules
    except ScenarioInvalid as error:
        raise _fail(str(error)) from error
    target = scenario_file()
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copyfile(source, part)
    part.replace(target)
    typer.echo(f"scenario {source.stem} is in force: {len(rules)} rules in {target}")


@scenario_app.command("schema")
def show_schema() -> None:
    """Print the JSON Schema of a scenario file."""
    typer.echo(json.dumps(Scenario.model_json_schema(), indent=2))


def _switch(act: str) -> None:
    url = f"{server_url()}/sandbox/jedi/{act}"
    try:
        answer = httpx.post(url, timeout=_TIMEOUT_S)
    except httpx.HTTPError as error:
        raise _fail(f"the PanDA sandbox does not answer at {url}: {error}") from error
    if answer.status_code != httpx.codes.OK:
        raise _fail(f"{url} answered {answer.status_code}: {answer.text[:200]}")
    typer.echo("JEDI is paused; the server goes on answering" if act == "pause" else "JEDI works again")


@jedi_app.command("pause")
def pause_jedi() -> None:
    """Let JEDI rest: nothing is refined, generated or finished until `resume`."""
    _switch("pause")


@jedi_app.command("resume")
def resume_jedi() -> None:
    """Let JEDI work again."""
    _switch("resume")
