"""The list of endpoints and what each call knows: who calls, and where the state is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Engine

from sandbox.panda.api.auth import Identity
from sandbox.panda.api.envelope import Reply
from sandbox.panda.settings import Settings
from sandbox.panda.trouble.in_force import ScenarioInForce

Verb = Literal["GET", "POST", "any"]


@dataclass(frozen=True)
class Call:
    """One call of the API."""

    engine: Engine
    settings: Settings
    scenario: ScenarioInForce
    identity: Identity | None

    @property
    def user(self) -> Identity:
        """Who calls; only for endpoints that demand a token."""
        if self.identity is None:
            raise RuntimeError("an endpoint without a token asked for the user")
        return self.identity


@dataclass(frozen=True)
class Endpoint:
    """A function of the API with its rules."""

    function: Callable[..., Reply]
    verb: Verb
    secure: bool
    production: bool

    def refusal(self, verb: str, identity: Identity | None) -> str:
        """Why this caller may not call it like this; empty when it may. The order is the recorded one."""
        if self.secure and identity is None:
            return "SSL secure connection is required"
        if self.production and not (identity and identity.production):
            return "production or pilot role required"
        if self.verb not in ("any", verb):
            return f"expecting {self.verb}, received {verb}"
        return ""


ENDPOINTS: dict[str, Endpoint] = {}


def endpoint(
    path: str, verb: Verb, *, secure: bool = True, production: bool = False
) -> Callable[[Callable[..., Reply]], Callable[..., Reply]]:
    """Register a function as ``/api/v1/<path>``."""

    def register(function: Callable[..., Reply]) -> Callable[..., Reply]:
        ENDPOINTS[path] = Endpoint(function, verb, secure, production)
        return function

    return register


def not_owner(call: Call, user_name: Any) -> bool:
    """Whether the caller neither owns the task nor has the production role."""
    return not call.user.production and call.user.name != user_name
