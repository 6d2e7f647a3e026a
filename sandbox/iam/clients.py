"""Clients that may ask for tokens, kept in one JSON file of mode 0600 that is read again whenever it changes."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from prodsys.whole_files import write_whole

DEFAULT_LIFETIME_S = 3600


class Client(BaseModel):
    """One robot: its secret and what its tokens say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    secret: str = Field(repr=False)
    name: str = Field(description="claim `name`; PanDA takes it as user name")
    groups: tuple[str, ...] = ()
    scopes: tuple[str, ...] = Field(
        default=("openid", "wlcg"), description="scopes it may have; all when none is asked"
    )
    audiences: tuple[str, ...] = Field(default=(), description="audiences of a token for which none is asked")
    lifetime_s: int = Field(default=DEFAULT_LIFETIME_S, gt=0, description="lifetime of its tokens [s]")


CLIENTS = TypeAdapter(dict[str, Client])


class ClientFile:
    """The clients of the file, as it is now."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = 0
        self._clients: Mapping[str, Client] = {}

    def authenticate(self, client_id: str, secret: str) -> Client | None:
        """Client with this id and secret, or None."""
        client = self._current().get(client_id)
        if client is None or not hmac.compare_digest(client.secret.encode(), secret.encode()):
            return None
        return client

    def find(self, client_id: str) -> Client | None:
        """Client with this id, or None."""
        return self._current().get(client_id)

    def _current(self) -> Mapping[str, Client]:
        stamp = self._path.stat().st_mtime_ns
        if stamp != self._stamp:
            self._clients = CLIENTS.validate_json(self._path.read_bytes())
            self._stamp = stamp
        return self._clients


def write_clients(path: Path, clients: Mapping[str, Client]) -> None:
    """Write the file, readable by its owner alone."""
    rows = {client_id: client.model_dump(mode="json") for client_id, client in clients.items()}
    write_whole(path, json.dumps(rows, indent=1))
