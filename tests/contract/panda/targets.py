"""What the suite runs against: the recordings alone, the sandbox it starts itself, or a live server."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import httpx
import pytest

from tests.contract.panda.deadline import LIVE_S, SANDBOX_S, Deadline
from tests.contract.panda.failures import NEEDS_FAILURES, RULES
from tests.contract.panda.listener import Listener
from tests.contract.panda.replayer import Tokens
from tests.contract.panda.sandbox_target import NARROW, Sandbox
from tests.contract.panda.skips import NO_SECOND_TOKEN, NOT_OURS, skip
from tests.contract.panda.target import Server, Submitted, bare_vo
from tests.contract.panda.translation import Translation

LIVE_POLL_S, SANDBOX_POLL_S = 1.5, 0.25
LIVE_THREADS, SANDBOX_THREADS = 150, 14
NAME = "live" if os.environ.get("PANDA_URL") else "sandbox"
TARGETS = ["recordings", NAME]


class TargetUnusable(Exception):
    """The target cannot be tested at all; the text says what to do."""


@dataclass(frozen=True)
class Target:
    """The server under test and what was given to test it with."""

    name: str
    server: Server
    clock: Deadline
    tokens: Tokens
    sandbox: Sandbox | None = None
    listener: Listener | None = None

    @property
    def live(self) -> bool:
        """Whether it is somebody's server."""
        return self.sandbox is None

    @property
    def threads(self) -> int:
        """How many drivers may run at a time."""
        return LIVE_THREADS if self.live else SANDBOX_THREADS

    def own_sandbox(self) -> Sandbox:
        """Return the sandbox, to be looked into and changed; skips at a live server."""
        if self.sandbox is None:
            skip(NOT_OURS)
        return self.sandbox

    def token(self, kind: str) -> str:
        """Return a token of a recorded kind; skips when none was given."""
        found = self.tokens.kinds.get(f"Bearer <{kind}>")
        if found is None:
            skip(NO_SECOND_TOKEN)
        return found

    def without_role(self) -> Server:
        """Return the server as a user without the production role sees it."""
        return self.server.another(self.token("no role"), bare_vo(self.server.origin))

    def translation(self, scenario: str) -> Translation:
        """Return the words of this target for a scenario."""
        server = self.server
        site = NARROW if scenario == "finish_cmd" and self.sandbox else server.site
        words = Translation(site=site, user=server.user, vo=server.vo, sites=(NARROW,) if self.sandbox else ())
        if self.tokens.kinds.get("Bearer <no role>"):
            words.users["user1"] = self.without_role().user
        return words

    def can_show(self, scenario: str) -> bool:
        """Whether a scenario can be played here."""
        return not self.live or scenario not in NEEDS_FAILURES


def secrets(target: Target) -> list[str]:
    """Return all texts that must be printed nowhere."""
    return [str(token) for token in target.tokens.kinds.values() if token and len(token) > 20]


def sandbox_target(sandbox: Sandbox, listener: Listener | None = None, clock: Deadline | None = None) -> Target:
    """Return the sandbox as a target, with tokens of all kinds."""
    clock = clock or Deadline(SANDBOX_S)
    sandbox.play(*RULES)
    origin, issuer = os.environ.get("PANDA_VO") or "spd.production", sandbox.issuer
    no_role = issuer.token("user1", production=False)
    kinds: dict[str, str | None] = {
        "Bearer <valid production>": issuer.token(),
        "Bearer <valid production of user1>": issuer.token("user1"),
        "Bearer <valid production of user2>": issuer.token("user2"),
        "Bearer <no role>": no_role,
        "Bearer <not in group>": no_role,
        "Bearer <expired>": issuer.token(exp=1_700_000_000),
        "Bearer <wrong audience>": issuer.token(aud="https://wlcg.cern.ch/jwt/v1/any"),
    }
    server = Server(
        sandbox.url, str(kinds["Bearer <valid production>"]), origin, SANDBOX_S, NARROW,
        poll_s=SANDBOX_POLL_S, clock=clock, submitted=Submitted(),
    )  # fmt: skip
    return Target("sandbox", server, clock, Tokens(kinds, origin, bare_vo(origin)), sandbox, listener)


def live_target(environment: Mapping[str, str], clock: Deadline | None = None) -> Target:
    """Return the server that PANDA_URL names.

    Raises
    ------
    TargetUnusable
        It does not answer, speaks the old API, or refuses the token: one line that says what to do.
    """
    clock = clock or Deadline(LIVE_S)
    url, token = base_url(environment["PANDA_URL"]), environment.get("PANDA_TOKEN", "").strip()
    origin = environment.get("PANDA_VO", "").strip() or "spd.production"
    if not token:
        raise TargetUnusable("PANDA_TOKEN is not set: give a token with the production role")
    no_role = environment.get("PANDA_TOKEN_NOROLE", "").strip() or None
    kinds: dict[str, str | None] = {
        "Bearer <valid production>": token,
        "Bearer <no role>": no_role,
        "Bearer <not in group>": no_role,
    }
    server = Server(url, token, origin, LIVE_S, poll_s=LIVE_POLL_S, clock=clock, submitted=Submitted())
    check_usable(server)
    return Target("live", server, clock, Tokens(kinds, origin, bare_vo(origin)))


def base_url(given: str) -> str:
    """Scheme and host of a server, however much of the address was given."""
    url = given.strip().rstrip("/")
    for ending in ("/api/v1", "/server/panda", "/server"):
        url = url.removesuffix(ending).rstrip("/")
    return url if "://" in url else f"https://{url}"


def check_usable(server: Server) -> None:
    """Raise `TargetUnusable` unless the server speaks the new API and takes the token with its role."""
    try:
        reply = server.call("GET", "/api/v1/system/is_alive", token=None, origin=server.origin)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise TargetUnusable(f"PANDA_URL={server.url} does not answer: {type(error).__name__}: {error}") from None
    if "success" not in reply.text:
        raise TargetUnusable(
            f"PANDA_URL={server.url} does not speak the REST API (/api/v1) of panda-server 1.0: it answered "
            f"{reply.status_code} to system/is_alive; a server of the old API (/server/panda) cannot be tested"
        )
    reply = server.call("GET", "/api/v1/system/get_user_attributes")
    if reply.status_code != 200 or "success" not in reply.text:
        raise TargetUnusable(
            f"the server refuses PANDA_TOKEN with PANDA_VO={server.origin}: {reply.status_code} {reply.text[:200]}"
        )
    if not (reply.json()["data"] or {}).get("is_production_user"):
        raise TargetUnusable(
            f"PANDA_TOKEN with PANDA_VO={server.origin} has no production role: the VO must name the role, as in "
            "spd:production, and the token must hold its group"
        )


def stop_session(error: Exception) -> None:
    """End the whole session with one line."""
    pytest.exit(str(error), returncode=2)
