"""Single calls with nothing behind them: unknown ids, wrong verbs, bad arguments, other paths; replies text by text."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.panda import recordings
from tests.contract.panda.normal_form import differences
from tests.contract.panda.outcome import shape_differences
from tests.contract.panda.skips import NOT_PANDAS, skip
from tests.contract.panda.target import Server
from tests.contract.panda.targets import Target

BY_ENVELOPE = ("statistics/", "metaconfig/")
"""Endpoints whose data are the server's own."""

BY_SHAPE = ("get_description", "auth_config")
"""Endpoints whose data are compared by keys and types."""


OF_THE_SITE = ("/", "/auth/")
"""Paths outside the API: a site serves there what it likes."""


def _label(index: int, call: dict[str, Any]) -> str:
    query = ",".join(f"{key}={'+'.join(map(str, values))}" for key, values in call["query"].items())
    return f"{index}-{call['method']}-{call['path'].replace('/api/v1/', '')}-{query}"[:90]


PROBES = list(enumerate(recordings.calls("unknown_ids")))


@pytest.mark.parametrize("probe", [one for _, one in PROBES], ids=[_label(*pair) for pair in PROBES])
def test_a_call_is_answered_as_recorded(target: Target, server: Server, probe: dict[str, Any]) -> None:
    if target.live and _is_of_the_site(probe["path"]):
        skip(NOT_PANDAS)
    body, kind = probe["request_body"], probe["request_headers"]["Content-Type"]
    if body is None and probe["method"] == "POST":
        body = ""
    path = probe["path"].replace("/auth/spd.production_", f"/auth/{server.vo}.production_")
    reply = server.call(probe["method"], path, probe["query"] or None, body, content_type=kind)
    kind = probe["response_content_type"].split(";")[0]
    assert (reply.status_code, reply.headers["content-type"].split(";")[0]) == (probe["status"], kind)
    expected = probe["response_body"]
    if kind == "text/html":
        assert str(probe["status"]) in reply.text
        return
    got: Any = reply.json() if isinstance(expected, dict) else reply.text
    if any(part in probe["path"] for part in BY_ENVELOPE):
        assert {**got, "data": None} == {**expected, "data": None}
    elif "1" in probe["query"].get("job_ids", []) or any(part in probe["path"] for part in BY_SHAPE):
        assert not shape_differences(_without_jobs(expected), _without_jobs(got))
    else:
        said = differences(_in_our_words(expected, server), got)
        assert not said, said


def _is_of_the_site(path: str) -> bool:
    return any(path == own or (own != "/" and path.startswith(own)) for own in OF_THE_SITE)


def _in_our_words(expected: Any, server: Server) -> Any:
    """Recorded reply with the name of this server's user."""
    if isinstance(expected, dict) and isinstance(expected.get("message"), str):
        return {**expected, "message": expected["message"].replace('user="prodmgr"', f'user="{server.user}"')}
    return expected


def _without_jobs(body: dict[str, Any]) -> dict[str, Any]:
    """Replies on jobs that may or may not exist: only the envelope."""
    return {**body, "data": None} if isinstance(body.get("data"), list) else body
