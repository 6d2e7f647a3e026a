"""An HTTP connection that can die without an answer, as connections do."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import Request, Response
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
