"""A small HTTP server that answers as a real PanDA server did: the recordings, replayed."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.http_server import QuietHandler, serving

RECORDINGS = Path(__file__).parents[2] / "data" / "panda"


def read_lines(scenario: str) -> list[dict[str, Any]]:
    """Calls of one recorded scenario, in order."""
    text = (RECORDINGS / f"{scenario}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


@dataclass
class Seen:
    """A request that came."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: Any


@dataclass
class Answer:
    """What to answer."""

    status: int
    body: bytes
    before: Callable[[], object] = lambda: None
    content_type: str = "text/plain"  # as PanDA says of all it sends
    piece: int = 1 << 20  # bytes written at once
    pause_s: float = 0.0  # after each piece


@dataclass
class Replay:
    """The server's book: replies by call, and the requests that came."""

    url: str = ""
    seen: list[Seen] = field(default_factory=list)
    replies: dict[tuple[str, str, str], list[Answer]] = field(default_factory=lambda: defaultdict(list))
    default: Answer = field(default_factory=lambda: Answer(404, b"<html>Not Found</html>"))

    def load(self, scenario: str) -> None:
        """Learn a scenario; the last reply to a call is repeated for ever."""
        for line in read_lines(scenario):
            key = call_key(line["method"], line["path"], line["query"], line["request_body"])
            self.replies[key].append(Answer(line["status"], _raw(line["response_body"])))

    def answer(self, method: str, path: str, body: Any, status: int = 200, **query: str) -> None:
        """Answer this call so from now on."""
        key = call_key(method, f"/api/v1/{path}", {name: [value] for name, value in query.items()}, None)
        self.replies[key] = [Answer(status, body if isinstance(body, bytes) else _raw(body))]

    def always(self, status: int, body: bytes, before: Callable[[], object] = lambda: None) -> None:
        """Answer everything so."""
        self.replies.clear()
        self.default = Answer(status, body, before)

    def find(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> Answer:
        """The next answer to a call: with its arguments, else to the path alone."""
        for key in (call_key(method, path, query, body), call_key(method, path, {}, None)):
            if found := self.replies.get(key):
                return found.pop(0) if len(found) > 1 else found[0]
        return self.default


def call_key(method: str, path: str, query: dict[str, list[str]], body: Any) -> tuple[str, str, str]:
    """A call without what is different in every test: times, order of keys."""
    kept = {key: value for key, value in sorted(query.items()) if key not in ("since", "min_task_id")}
    return method, path, json.dumps([kept, body], sort_keys=True)


def _raw(body: Any) -> bytes:
    return (body if isinstance(body, str) else json.dumps(body)).encode()


@contextmanager
def serve(*scenarios: str) -> Iterator[Replay]:
    """The replaying server on a free port, with these scenarios loaded."""
    replay = Replay()
    for scenario in scenarios:
        replay.load(scenario)

    class Handler(QuietHandler):
        def _answer(self) -> None:
            parts = urlsplit(self.path)
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            is_json = self.headers.get("Content-Type", "").startswith("application/json")
            body, query = (json.loads(raw) if raw and is_json else None), parse_qs(parts.query)
            replay.seen.append(Seen(self.command, parts.path, query, dict(self.headers), body))
            answer = replay.find(self.command, parts.path, query, body)
            answer.before()
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            for start in range(0, len(answer.body), answer.piece):
                self.wfile.write(answer.body[start : start + answer.piece])
                time.sleep(answer.pause_s)

        do_GET = do_POST = _answer

    with serving(Handler, poll_s=0.02) as replay.url:
        yield replay
