"""The gate before every route: who calls, may he look, does a change come from here, is the body of a sane size.

It stands around the whole application, so that a route added later is guarded too, and a call without a credential
learns nothing: neither whether a path exists nor whether its body was well formed.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from fastapi import HTTPException
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from prodsys.web.person import Access, CurrentUser, May, Person
from prodsys.web.problems import ANSWERED, problem_of
from prodsys.web.refusals import AccessRefused, BodyTooLarge, OriginRefused

SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
BODY_LIMIT_BYTES = 256 * 1024
HEADERS = {  # of every answer: it is data for this person alone, and never a page
    b"cache-control": b"private, no-cache",
    b"x-content-type-options": b"nosniff",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"vary": b"Authorization, Cookie",
}
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Guards:
    """Airflow's guards, and the origins whose pages may change something; (): the address the call came to."""

    current_user: CurrentUser
    may: May
    origins: tuple[str, ...] = ()


@dataclass
class Gate:
    """ASGI: lets a call through to the application when everything is in order, with its person in the scope."""

    app: ASGIApp
    guards: Guards
    headers: dict[bytes, bytes] = field(default_factory=lambda: HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call; no error leaves."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # there are no web sockets here; nobody shall add an open one
            await send({"type": "websocket.close", "code": 1008})
            return
        begun = False

        async def answer(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                message["headers"] = _joined(message.get("headers", []), self.headers)
            await send(message)

        request = Request(scope, receive)
        try:
            scope.setdefault("state", {})["person"] = await self._let_in(request)
            await self.app(scope, _measured(receive), answer)
        except Exception as error:  # the border: what nobody expected becomes a problem without internals
            if not begun:
                await problem_of(error, request.url.path)(scope, receive, answer)
            elif not scope.get(ANSWERED):
                log.error("%s %s broke off", request.method, request.url.path, exc_info=error)

    async def _let_in(self, request: Request) -> Person:
        person = await self.guards.current_user(request)
        if not await run_in_threadpool(self.guards.may, person, Access.LOOK):
            raise AccessRefused(person.name, Access.LOOK)
        if request.method not in SAFE:
            _check_origin(request, self.guards.origins)
        length = request.headers.get("content-length", "0")
        if length.isdigit() and int(length) > BODY_LIMIT_BYTES:
            raise BodyTooLarge(BODY_LIMIT_BYTES)
        return person


def person_of(request: Request) -> Person:
    """The person whom the gate let in."""
    found = request.scope["state"]["person"]
    assert isinstance(found, Person)
    return found


def _check_origin(request: Request, allowed: tuple[str, ...]) -> None:
    """Refuse what another site's page makes a browser send with our cookie."""
    origin = request.headers.get("origin")
    if origin is None:
        if not request.headers.get("authorization", "").lower().startswith("bearer "):
            raise OriginRefused(None)
    elif _origin(origin) not in ({_origin(one) for one in allowed} or {_origin(str(request.base_url))}):
        raise OriginRefused(origin)


def _origin(address: str) -> tuple[str, str, int | None]:
    """Scheme, host and port of an address; what cannot be read is an origin of its own."""
    try:
        parts = urlsplit(address)
        return parts.scheme, (parts.hostname or "").lower(), parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return address, "", None


def _measured(receive: Receive) -> Receive:
    """The same body, refused where it grows beyond the limit (a chunked one does not tell its length)."""
    read = 0

    async def counted() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > BODY_LIMIT_BYTES:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, str(BodyTooLarge(BODY_LIMIT_BYTES)))
        return message

    return counted


def _joined(given: Any, ours: dict[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    names = {name.lower() for name, _ in given}
    return [*given, *((name, value) for name, value in ours.items() if name not in names)]
