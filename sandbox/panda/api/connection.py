"""An HTTP connection that can die without an answer, as connections do."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import Request, Response
from starlette.responses import StreamingResponse
from uvicorn.protocols.http.h11_impl import H11Protocol


class MortalProtocol(H11Protocol):
    """uvicorn's own HTTP protocol; a request can reach its transport through ``request.state``."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Remember the transport for the requests of this connection."""
        self.app_state = {**self.app_state, "transport": transport}
        super().connection_made(transport)


class NoAnswer(Response):
    """A response that never comes: the connection is cut."""

    def __init__(self, request: Request) -> None:
        super().__init__()
        self._transport: Any = getattr(request.state, "transport", None)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Cut the connection; without a transport (test client) an empty 502 has to do."""
        if self._transport is None:
            self.status_code = 502
        else:
            self._transport.abort()
        await super().__call__(scope, receive, send)


class HalfAnswer(Response):
    """A response that breaks off: all headers, half of the body, then the connection ends."""

    def __init__(self, request: Request, whole: Response) -> None:
        super().__init__()
        self._transport: Any = getattr(request.state, "transport", None)
        self._whole = whole

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG002 - the shape of ASGI
        """Send the first half under the length of the whole; then close as a dying server does."""
        half = await _first_half(self._whole)
        headers = {"type": "http.response.start", "status": self._whole.status_code, "headers": self._whole.raw_headers}
        await send(headers)
        await send({"type": "http.response.body", "body": half, "more_body": True})
        if self._transport is not None:
            self._transport.close()


async def _first_half(response: Response) -> bytes:
    """Half of a body, or the first part of one that is written part by part."""
    if isinstance(response, StreamingResponse):
        async for part in response.body_iterator:
            return part.encode() if isinstance(part, str) else bytes(part)
        return b""
    body = bytes(response.body)
    return body[: len(body) // 2]
