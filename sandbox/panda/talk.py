"""How the commands of the sandbox find it and talk to it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import typer

from prodsys.transport import exchange
from sandbox.stack.home import current_home

_TIMEOUT_S = 10


def fail(text: str) -> typer.Exit:
    """Say what is wrong; what to raise."""
    typer.echo(text, err=True)
    return typer.Exit(1)


def scenario_file() -> Path:
    """Return the file the running sandbox reads."""
    return Path(os.environ.get("SANDBOX_PANDA_SCENARIO") or current_home().folder("panda") / "scenario.yaml")


def find_server() -> str | None:
    """Address of the running sandbox: from the environment, else from the home's ``prodsys.env``; or None."""
    if os.environ.get("PRODSYS_PANDA_URL"):
        return os.environ["PRODSYS_PANDA_URL"].rstrip("/")
    path = current_home().environment_file
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    settings = dict(line.split("=", 1) for line in lines if "=" in line)
    return settings["PRODSYS_PANDA_URL"].rstrip("/") if "PRODSYS_PANDA_URL" in settings else None


def ask_server(verb: str, path: str, query: Mapping[str, Any] | None = None, *, quiet: bool = False) -> Any:
    """Answer of the sandbox's own route.

    Parameters
    ----------
    quiet
        Give an empty map instead of ending the command when the sandbox does not answer.
    """
    url = find_server()
    if url is None:
        if quiet:
            return {}
        home = current_home().environment_file
        raise fail(f"no PanDA sandbox is known: {home} does not name it; start it with `prodsys stack up`")
    try:
        answer = exchange(verb, f"{url}{path}", params=query, timeout_s=_TIMEOUT_S)
    except httpx.HTTPError as error:
        if quiet:
            return {}
        raise fail(f"the PanDA sandbox does not answer at {url}{path}: {error}") from error
    if answer.status_code != httpx.codes.OK:
        raise fail(f"{url}{path} answered {answer.status_code}: {answer.text[:200]}")
    return answer.json()
