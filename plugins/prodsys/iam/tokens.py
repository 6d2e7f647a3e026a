"""Tokens of a robot: OAuth2 client credentials, kept until shortly before their end."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

import httpx

from prodsys.errors import IdentityUnavailable
from prodsys.model.plain_text import plain_text
from prodsys.transport import exchange

DISCOVERY = ".well-known/openid-configuration"
MAX_BYTES = 1024 * 1024  # of an answer; a token has a few thousand
SHOWN_LENGTH = 200  # characters of a refusal that an error shows
DEFAULT_LIFETIME_S = 300.0  # for an issuer that does not say; short, so that an early end is met soon


class ClientCredentials:
    """Gives a valid token at every call; safe to share between threads.

    Parameters
    ----------
    issuer
        Address of the IAM.
    client_id, secret
        The robot's name and password at the IAM.
    audience
        Who will read the token: ``panda``, ``rucio``; "" takes the client's default.
    scope
        Scopes with blanks between them; "" takes the client's default.
    timeout_s
        Longest wait for one answer [s].
    margin_s
        A token this close to its end is renewed [s].
    """

    def __init__(
        self,
        issuer: str,
        client_id: str,
        secret: str,
        *,
        audience: str = "",
        scope: str = "",
        timeout_s: float,
        margin_s: float,
    ) -> None:
        self._issuer, self._client_id, self._secret = issuer.rstrip("/"), client_id, secret
        self._asked = {key: value for key, value in (("audience", audience), ("scope", scope)) if value}
        self._timeout_s, self._margin_s = timeout_s, margin_s
        self._lock = threading.Lock()
        self._endpoint = ""
        self._token, self._until = "", 0.0

    def token(self) -> str:
        """A token that is valid for a while.

        Raises
        ------
        IdentityUnavailable
            The IAM does not answer, or refuses this client.
        """
        with self._lock:
            if time.monotonic() >= self._until:
                self._token, lifetime_s = self._fetch()
                # a margin larger than the life of a token would ask for one at every call
                self._until = time.monotonic() + max(lifetime_s - self._margin_s, lifetime_s / 2)
            return self._token

    __call__ = token

    def forget(self) -> None:
        """Ask for a new token at the next call: the one we have was turned away."""
        with self._lock:
            self._until = 0.0

    def _fetch(self) -> tuple[str, float]:
        if not self._endpoint:
            self._endpoint = self._discover()
        answer = self._call(
            "POST",
            self._endpoint,
            data={"grant_type": "client_credentials", **self._asked},
            auth=httpx.BasicAuth(self._client_id, self._secret),
        )
        token = answer.get("access_token")
        if not isinstance(token, str) or not token:
            raise IdentityUnavailable(f"{self._endpoint} answered without a token")
        return token, _lifetime(answer.get("expires_in"))

    def _discover(self) -> str:
        place = f"{self._issuer}/{DISCOVERY}"
        endpoint = self._call("GET", place).get("token_endpoint")
        if not isinstance(endpoint, str) or not endpoint:
            raise IdentityUnavailable(f"{place} names no token endpoint: is PRODSYS_IAM_ISSUER an OIDC issuer?")
        return endpoint

    def _call(self, method: str, place: str, **details: Any) -> Mapping[str, Any]:
        try:
            reply = exchange(method, place, timeout_s=self._timeout_s, max_bytes=MAX_BYTES, **details)
            body = reply.json() if reply.status_code == httpx.codes.OK else None
        except httpx.HTTPError as error:
            raise IdentityUnavailable(f"{place}: {type(error).__name__} {error}".rstrip()) from error
        except ValueError as error:
            raise IdentityUnavailable(f"{place} did not answer in JSON") from error
        if not isinstance(body, dict):
            words = plain_text(reply.text.replace(self._secret, "***"), SHOWN_LENGTH)
            raise IdentityUnavailable(f"{place} gave nothing to {self._client_id} ({reply.status_code}): {words}")
        return body


def _lifetime(value: object) -> float:
    try:
        seconds = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return DEFAULT_LIFETIME_S
    return seconds if 0 < seconds < float("inf") else DEFAULT_LIFETIME_S
