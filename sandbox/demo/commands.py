"""``prodsys demo``: the seven requests of the sheet, cloned small, from plan to certificate."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import typer

app = typer.Typer(help="The demonstration: seven requests to their certificates.")
CHECK = "tests/system/check_report.py"
CHECK_MAX_S = 300


@app.command()
def demo() -> None:
    """Run the demonstration against the running stack; run again, it submits nothing and reads every number back."""
    from prodsys.actions.core.context import make_context
    from prodsys.settings import read_settings
    from sandbox.demo import book, course, report
    from sandbox.demo.screen import Screen

    settings, screen = read_settings(), Screen()
    ctx = make_context(book.ACTOR, frozenset({"manager"}), settings)
    lines = course.record_sheet(ctx, screen)
    course.show_refusal(ctx, lines, screen)
    seeds = course.clone_all(ctx, lines, screen)
    book.write_scenario(settings.home / "panda" / "scenario.yaml", seeds)
    course.bring_to_run(ctx, list(seeds), screen)
    pictures = course.follow(ctx, list(seeds), screen)
    _check_endings(pictures)
    screen.title("Reading every number back from PanDA, Rucio and the files")
    found = report.build_report(ctx, settings, pictures)
    path = report.write_report(settings.home, found)
    _check(path)
    _show_result(screen, found)
    _show_addresses(screen, settings, path)


def _check_endings(pictures: list[dict[str, Any]]) -> None:
    """Six complete and one accepted, each with as many missing seeds as meant."""
    from sandbox.demo import book
    from sandbox.demo.course import DemoFailed
    from sandbox.demo.report import missing_seeds

    wrong = []
    for picture, ending in zip(pictures, book.endings([one["request_id"] for one in pictures]), strict=True):
        missing = missing_seeds(picture)
        if picture["state"] != ending.state or len(missing) != ending.missing:
            reason = f" ({picture['reason']})" if picture["reason"] else ""
            wrong.append(f"{ending.request_id} is {picture['state']}{reason} with {len(missing)} seeds missing")
    if wrong:
        raise DemoFailed(
            "; ".join(wrong) + "; see prodsys request status, and the logs that prodsys stack status names"
        )


def _check(path: Path) -> None:
    """Let the independent check recompute every number of the report."""
    from prodsys.settings import REPOSITORY
    from sandbox.demo.course import DemoFailed

    command = [sys.executable, str(REPOSITORY / CHECK), str(path)]
    done = subprocess.run(command, check=False, timeout=CHECK_MAX_S)
    if done.returncode:
        raise DemoFailed(f"{CHECK} found the report of {path} wrong")


def _show_result(screen: Any, found: dict[str, Any]) -> None:
    screen.title("Result")
    for one in found["requests"]:
        missing = f", missing seeds {one['missing_seeds']}" if one["missing_seeds"] else ""
        screen.say(f"\n{one['request']}: {one['state']}{missing}; run {one['dag_run_id']} of {one['dag_id']}")
        screen.table(
            ("step", "task", "id", "status", "verdict", "jobs", "events"),
            [
                [task[key] for key in ("step", "task_name", "jedi_task_id", "status", "verdict", "jobs", "events")]
                for task in one["tasks"]
            ],
        )
        columns = ("dataset", "files", "events", "bytes", "replicas")
        rows = [
            (
                data["did"],
                data["files"],
                data["events"],
                data["bytes"],
                ", ".join(f"{k} {v}" for k, v in data["replicas"].items()),
            )
            for data in one["datasets"]
        ]
        screen.table(columns, rows)
        screen.say(f"certificate {one['certificate']}")


def _show_addresses(screen: Any, settings: Any, path: Path) -> None:
    screen.title("Where to look")
    screen.say(f"  report           {path}")
    screen.say(f"  Airflow          {settings.need('AIRFLOW_URL')}")
    for name in ("admin", "manager", "viewer"):
        password = settings.home / "secrets" / f"airflow-{name}.password"
        if password.exists():
            screen.say(f"    login          {name} / {password.read_text(encoding='utf-8').strip()}")
    screen.say(f"  PanDA monitor    {settings.get('PANDA_MONITOR_URL') or settings.need('PANDA_URL')}/tasks")
    screen.say("  the stack stays up: prodsys stack status, make down")
