"""Moments of a submission at which a process can be stopped, seen from the database driver and the HTTP library."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import httpx
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from prodsys.panda import wire


class Point(StrEnum):
    """What has happened last."""

    INTENT_COMMITTED = "intent committed"
    TURN_COMMITTED = "turn to send committed"
    BEFORE_CALL = "before the call"
    REQUEST_SENT = "request sent, no reply"
    REPLY_RECEIVED = "reply received"
    ANSWER_COMMITTED = "answer committed"
    DOUBT_COMMITTED = "doubt committed"
    CONFIRMED = "confirmed"


WRITTEN = {
    "intended": Point.INTENT_COMMITTED,
    "sending": Point.TURN_COMMITTED,
    "recorded": Point.ANSWER_COMMITTED,
    "in doubt": Point.DOUBT_COMMITTED,
    "confirmed": Point.CONFIRMED,
}
SUBMISSION = "/task/submit"
SENT = "http11.send_request_body.complete"


def watch(reached: Callable[[Point], None]) -> None:
    """Call ``reached`` at every point this process passes from now on."""
    _watch_commits(reached)
    _watch_calls(reached)


def freeze_at(point: Point) -> Callable[[Point], None]:
    """A watcher that stops this process, as SIGSTOP does, the first time it comes to a point."""
    left = [point]

    def reached(now: Point) -> None:
        if now in left:
            left.remove(now)
            os.kill(os.getpid(), signal.SIGSTOP)

    return reached


def _watch_commits(reached: Callable[[Point], None]) -> None:
    """A point is passed when the transaction that wrote the state of an intent is committed."""
    written: list[Point] = []

    @event.listens_for(Engine, "after_cursor_execute")
    def _see(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith(("UPDATE prodsys.task ", "INSERT INTO prodsys.task ")) and isinstance(parameters, dict):
            point = WRITTEN.get(str(parameters.get("intent")))
            written.extend([point] if point else [])

    @event.listens_for(Session, "after_commit")
    def _committed(_session: Session) -> None:
        passed = list(written)
        written.clear()
        for point in passed:
            reached(point)

    @event.listens_for(Session, "after_rollback")
    def _undone(_session: Session) -> None:
        written.clear()


def _watch_calls(reached: Callable[[Point], None]) -> None:
    """Around the whole exchange, whose deadline begins with it, and where the last byte of the request has left."""
    exchange, send = wire.exchange, httpx.Client.send

    def exchanged(method: str, url: str, **details: Any) -> httpx.Response:
        if not url.endswith(SUBMISSION):
            return exchange(method, url, **details)
        reached(Point.BEFORE_CALL)
        answer = exchange(method, url, **details)
        reached(Point.REPLY_RECEIVED)
        return answer

    def sent(self: httpx.Client, request: httpx.Request, **options: Any) -> httpx.Response:
        if request.url.path.endswith(SUBMISSION):
            request.extensions["trace"] = _also(request.extensions.get("trace"), reached)
        return send(self, request, **options)

    wire.exchange = exchanged
    httpx.Client.send = sent  # type: ignore[method-assign]


def _also(trace: Callable[[str, dict[str, Any]], None] | None, reached: Callable[[Point], None]) -> Any:
    """The trace of a request, which tells when it is sent, too."""

    def both(name: str, info: dict[str, Any]) -> None:
        if trace is not None:
            trace(name, info)
        if name == SENT:
            reached(Point.REQUEST_SENT)

    return both
