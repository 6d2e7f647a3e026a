"""Plays on the server: how calls go wrong under each shipped scenario, as a plain HTTP client sees it."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx
import pytest

from tests.contract.panda.plays import Stage, on_server


def ask(stage: Stage, path: str = "system/is_alive") -> httpx.Response:
    """One call on a connection of its own, never repeated."""
    headers = {"Authorization": f"Bearer {stage.server.token}", "Origin": stage.server.origin}
    headers["Accept"] = "application/json"
    with httpx.Client(trust_env=False, timeout=20, headers=headers) as client:
        return client.get(f"{stage.server.url}/api/v1/{path}")


def alive(stage: Stage) -> bool:
    """Whether the server answers as it should."""
    try:
        reply = ask(stage)
    except httpx.TransportError:
        return False
    return (
        reply.status_code == 200 and reply.headers["content-type"].startswith("text/plain") and reply.json()["success"]
    )


def until(what: Callable[[], bool], patience_s: float = 20.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + patience_s
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@on_server("server-500")
def status_500(stage: Stage) -> None:
    replies = [ask(stage) for _ in range(6)]
    assert [one.status_code for one in replies] == [500] * 5 + [200]
    assert "<h1>Internal Server Error</h1>" in replies[0].text
    assert replies[0].headers["content-type"] == "text/html; charset=iso-8859-1"
    assert stage.journal()[-1] == "GET system/is_alive: error 500"


@on_server("server-502")
def status_502(stage: Stage) -> None:
    assert ask(stage).status_code == 502
    until(lambda: alive(stage))


@on_server("server-503", scale=0.01)
def status_503(stage: Stage) -> None:
    assert ask(stage).status_code == 503
    until(lambda: alive(stage))


@on_server("server-hangs", scale=0.02)
def hangs(stage: Stage) -> None:
    for _ in range(2):
        began = time.monotonic()
        with pytest.raises(httpx.TransportError):
            ask(stage)
        assert time.monotonic() - began >= 0.55
    assert alive(stage)


@on_server("server-slow", scale=0.2)
def slow(stage: Stage) -> None:
    began = time.monotonic()
    assert ask(stage, "task/get_status?task_id=999999").json()["message"] == "Task not found"
    assert time.monotonic() - began >= 0.55


@on_server("server-html")
def html(stage: Stage) -> None:
    replies = [ask(stage) for _ in range(4)]
    assert [one.headers["content-type"].split(";")[0] for one in replies] == ["text/html"] * 3 + ["text/plain"]
    assert {one.status_code for one in replies} == {200}


@on_server("server-half")
def half(stage: Stage) -> None:
    for _ in range(3):
        with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
            ask(stage)
    assert alive(stage)


@on_server("server-cuts")
def cuts(stage: Stage) -> None:
    for _ in range(3):
        with pytest.raises(httpx.TransportError):
            ask(stage)
    assert alive(stage)


@on_server("server-restarts", scale=0.15)
def restarts(stage: Stage) -> None:
    pid = stage.sandbox.pid("server")
    with pytest.raises(httpx.TransportError):
        ask(stage)
    time.sleep(0.5)
    with pytest.raises(httpx.ConnectError):
        ask(stage)
    until(lambda: alive(stage))
    assert stage.sandbox.pid("server") == pid


@on_server("lost-reply")
def lost_reply(stage: Stage) -> None:
    with pytest.raises(httpx.TransportError):
        stage.submit(seeds=1)
    task_id = stage.submit(seeds=1, task="b")
    first = stage.server.status(task_id - 1)
    assert first is None or first
    assert stage.journal(task_id - 1)[0].startswith("reply lost: ")
    assert stage.end(task_id - 1).info["status"] == "done"


@on_server("lost-command-reply")
def lost_command_reply(stage: Stage) -> None:
    task_id = stage.submit(seeds=1, site="NOWHERE")
    stage.server.follow(task_id, {"pending"})
    with pytest.raises(httpx.TransportError):
        stage.server.post("task/kill", task_id=task_id)
    outcome = stage.end(task_id)
    assert outcome.info["status"] == "aborted"
    assert outcome.info["errorDialog"].startswith("kill by ")


@on_server("jedi-rests")
def jedi_rests(stage: Stage) -> None:
    task_id = stage.submit(seeds=1)
    began = time.monotonic()
    assert stage.server.status(task_id) is None
    stage.server.follow(task_id, {"defined", "ready", "running", "done"})
    assert time.monotonic() - began >= 3.0
    assert "rests" in stage.journal()
    assert stage.end(task_id).info["status"] == "done"
