"""``prodsys sandbox``: what goes wrong in the PanDA sandbox, and a pause for its JEDI."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from sandbox.panda.talk import ask_server
from sandbox.panda.trouble.scenario_commands import app as scenario_app

app = typer.Typer(help="The PanDA sandbox: what goes wrong there, and a pause for its JEDI.", no_args_is_help=True)
jedi_app = typer.Typer(help="JEDI's work in the background.", no_args_is_help=True)
app.add_typer(scenario_app, name="scenario")
app.add_typer(jedi_app, name="jedi")


def _switch(act: str) -> None:
    ask_server("POST", f"/sandbox/jedi/{act}")
    typer.echo("JEDI is paused; the server goes on answering" if act == "pause" else "JEDI works again")


@jedi_app.command("pause")
def pause_jedi() -> None:
    """Let JEDI rest: nothing is refined, generated or finished until `resume`."""
    _switch("pause")


@jedi_app.command("resume")
def resume_jedi() -> None:
    """Let JEDI work again."""
    _switch("resume")


@jedi_app.command("status")
def show_jedi(as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False) -> None:
    """Show what JEDI's cycles do: how long they take, which are late, what went wrong; exit 1 when JEDI is silent."""
    health: dict[str, Any] = ask_server("GET", "/health")
    jedi = health["jedi"]
    if as_json:
        typer.echo(json.dumps({"paused": health["jedi_paused"], **jedi}))
    else:
        typer.echo(_in_words(health["jedi_paused"], jedi))
    if not jedi["alive"]:
        raise typer.Exit(1)


def _in_words(paused: bool, jedi: dict[str, Any]) -> str:
    if jedi["silent_s"] is None:
        return "JEDI has never worked on this database"
    state = "is paused" if paused else "works"
    head = f"JEDI {state}, last sign of life {jedi['silent_s']:.0f} s ago"
    lines = [_cycle_in_words(one, one["name"] in jedi["lagging"]) for one in jedi["cycles"]]
    return "\n".join([head if jedi["alive"] else f"{head}: it is silent", *lines])


def _cycle_in_words(cycle: dict[str, Any], lags: bool) -> str:
    times = f"every {cycle['period_s']:7.2f} s  took {cycle['took_s']:7.3f} s  late {cycle['late_s']:6.1f} s"
    return "  ".join(one for one in (f"{cycle['name']:<15} {times}", "LAGS" if lags else "", cycle["trouble"]) if one)
