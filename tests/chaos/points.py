"""Moments of a submission at which a process can be stopped, seen from the database driver and the HTTP library."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

import httpx
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session


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
    real = httpx.Client.stream

    def trace(name: str, _info: dict[str, Any]) -> None:
        if name == SENT:
            reached(Point.REQUEST_SENT)

    @contextmanager
    def stream(self: httpx.Client, method: str, url: Any, **options: Any) -> Iterator[httpx.Response]:
        if not str(url).endswith(SUBMISSION):
            with real(self, method, url, **options) as response:
                yield response
            return
        reached(Point.BEFORE_CALL)
        with real(self, method, url, extensions={"trace": trace}, **options) as response:
            yield response
        reached(Point.REPLY_RECEIVED)

    httpx.Client.stream = stream  # type: ignore[method-assign]
