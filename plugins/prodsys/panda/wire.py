"""One call to PanDA's REST API over panda-client's HTTP layer, with our timeout, token and errors.

panda-client is imported at the first call, with the switch that keeps it from looking up a host name at import. Its
``_HttpClient`` writes requests and reads replies; three of its methods are ours: the token comes with each call, the
timeout is a setting (the library's is fixed at 600 s), and a failure tells whether the request can have been received.
See ``docs/decisions/panda-http.md``.
"""

from __future__ import annotations

import functools
import os
import re
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from prodsys.errors import (
    IdentityUnavailable,
    PandaRefused,
    PandaRoleMissing,
    PandaUnavailable,
    ProductionError,
    ServiceUnavailable,
)
from prodsys.model.journal import Journal, note
from prodsys.model.plain_text import plain_text
from prodsys.transport import MAX_BYTES, exchange

API = "/api/v1"
SHOWN_LENGTH = 200  # characters of a reply that an error shows
READ_LENGTH = 20_000  # bytes of a reply that are looked at for them: it may be a page
OLD_REPLY = re.compile(rb"^(\x80[\x02-\x05]|\(dp|\(lp|\(I\d|StatusCode=)")  # pickles and forms of servers before 1.0
NOT_A_MEMBER = "Not a member of"
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})  # HTTP statuses that another try may not meet
NOT_RECEIVED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


class NoAnswer(PandaUnavailable):
    """A request went out and nothing usable came back: PanDA may or may not have acted."""


class Reply(dict[str, Any]):
    """``{"success", "message", "data"}`` of one call."""

    @property
    def success(self) -> bool:
        """Whether PanDA says that the call went well; ``retry`` says so even when it refused."""
        return bool(self.get("success"))

    @property
    def message(self) -> str:
        """PanDA's own words."""
        return str(self.get("message") or "").strip()

    @property
    def data(self) -> Any:
        """What was asked for, or a code."""
        return self.get("data")


class Wire:
    """Calls one PanDA server; holds no connection and no token."""

    def __init__(
        self,
        url: str,
        origin: str,
        token: Callable[[], str],
        timeout_s: float,
        journal: Journal | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        parts = urlsplit(url)
        self._base = f"{parts.scheme}://{parts.netloc}"
        self._origin, self._token, self._timeout_s, self._journal = origin, token, timeout_s, journal
        self._max_bytes = max_bytes

    def get(self, call: str, query: Mapping[str, object] | None = None, target: str = "") -> Reply:
        """Reply to a GET; raises as ``_exchange``."""
        return self._noted(call, target, lambda http: http.get(self._url(call), dict(query or {}), **_GET))

    def post(self, call: str, body: Mapping[str, object], target: str = "") -> Reply:
        """Reply to a POST; raises as ``_exchange``."""
        return self._noted(call, target, lambda http: http.post(self._url(call), dict(body), json_out=True))

    def _url(self, call: str) -> str:
        return f"{self._base}{API}/{call}"

    def _noted(self, call: str, target: str, send: Callable[[Any], tuple[int, Any]]) -> Reply:
        started, outcome, detail = time.monotonic(), "failed", ""
        try:
            reply = self._exchange(call, send)
            outcome, detail = ("ok" if reply.success else "refused"), reply.message
        except ProductionError as error:
            outcome, detail = _outcome_of(error), str(error)
            raise
        finally:
            note(
                self._journal,
                service="panda",
                call=call,
                target=target,
                duration_s=time.monotonic() - started,
                outcome=outcome,
                detail=detail[:SHOWN_LENGTH],
            )
        return reply

    def _exchange(self, call: str, send: Callable[[Any], tuple[int, Any]]) -> Reply:
        """One request and its reply.

        Raises
        ------
        NoAnswer
            The request may have been received, the answer was lost or is not JSON.
        PandaUnavailable
            PanDA was not reached, or turned the request away for now.
        PandaRefused, PandaRoleMissing
            It will say the same again.
        """
        token = _checked(self._token())
        http = _http_class()(self._origin, token, self._timeout_s, self._max_bytes)
        try:
            code, content = send(http)
        except NOT_RECEIVED as error:
            raise PandaUnavailable(f"{self._base} was not reached: {_words(str(error), token)}") from None
        except httpx.HTTPError as error:
            raise NoAnswer(f"{call}: {type(error).__name__} {_words(str(error), token)}".rstrip()) from None
        except (ValueError, TypeError, RecursionError):  # the body is not what panda-client can read
            code, content = 0, http.body
        if code != 0:
            raise self._turned_away(call, code, _words(http.body, token))
        if not isinstance(content, dict) or "success" not in content:
            raise self._not_ours(call, http.body, token)
        return Reply(content)

    def _turned_away(self, call: str, code: int, words: str) -> ProductionError:
        """The error for an HTTP status other than 200."""
        if code == httpx.codes.FORBIDDEN and NOT_A_MEMBER in words:
            return PandaRoleMissing(f"PanDA turned {call} away: {words} (Origin {self._origin})")
        if code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN) and "expired" in words:
            if forget := getattr(self._token, "forget", None):
                forget()  # a provider that keeps its token must not hand out this one again
            return PandaUnavailable(f"the token of {call} has expired: {words}")
        if code == httpx.codes.NOT_FOUND:
            return self._no_api(call)
        if code in PASSING or code < httpx.codes.BAD_REQUEST:
            error = PandaUnavailable if code == httpx.codes.TOO_MANY_REQUESTS else NoAnswer
            return error(f"{call} was answered with HTTP {code}: {words}")
        return PandaRefused(call, words, code)

    def _no_api(self, call: str) -> ProductionError:
        """The error for a server without ``/api/v1``: is it one of the old kind?"""
        try:
            answer = exchange("GET", f"{self._base}/server/panda/isAlive", timeout_s=self._timeout_s)
            old = answer.status_code == httpx.codes.OK
        except httpx.HTTPError:
            old = False
        if old:
            return PandaRefused(call, _too_old(self._base))
        return PandaUnavailable(f"there is no PanDA API at {self._base}{API} (404): check PRODSYS_PANDA_URL")

    def _not_ours(self, call: str, body: bytes, token: str) -> ProductionError:
        """The error for a body that is not PanDA's JSON; it is shown, never unpickled."""
        if OLD_REPLY.match(body):
            return PandaRefused(call, _too_old(self._base))
        return NoAnswer(f"{call} was not answered in JSON: {_words(body, token)}")


_GET = {"json_out": True, "repeating_keys": True}


def _too_old(base: str) -> str:
    return f"{base} speaks the API of PanDA servers before 1.0 (/server/panda), we speak {API}: it has to be updated"


def _outcome_of(error: ProductionError) -> str:
    if isinstance(error, NoAnswer):
        return "no answer"
    return "unavailable" if isinstance(error, ServiceUnavailable) else "refused"


def _checked(token: str) -> str:
    """The token without blanks around it; one that cannot be a header is not shown to anybody."""
    bare = token.strip()
    if not re.fullmatch(r"[\x21-\x7e]+", bare):
        raise IdentityUnavailable("the token for PanDA is empty or holds blanks or line breaks")
    return bare


def _words(body: bytes | str, token: str) -> str:
    """The first characters of a reply, without the token, whatever its encoding."""
    text = body[:READ_LENGTH].decode("utf-8", "replace") if isinstance(body, bytes) else body
    return plain_text(text.replace(token, "***"), SHOWN_LENGTH) or "an empty reply"


@functools.cache
def _ssl_context() -> ssl.SSLContext:
    return ssl.create_default_context(capath=os.environ.get("X509_CERT_DIR"))


@functools.cache
def _http_class() -> type:
    """panda-client's HTTP layer with our token, timeout and errors."""
    os.environ.setdefault("PANDA_BEHIND_REAL_LB", "1")  # else the import asks the DNS for a host at CERN
    from pandaclient.Client import _HttpClient

    class TokenHttp(_HttpClient):
        """One call: its token, its timeout, the body of its reply."""

        def __init__(self, origin: str, token: str, timeout_s: float, max_bytes: int) -> None:
            self.auth_mode, self.auth_vo, self.id_token = "oidc", origin, token
            self.verify_host, self.verbose = True, False
            self.ssl_certificate = self.ssl_key = ""
            self.timeout_s, self.max_bytes, self.body = timeout_s, max_bytes, b""

        def get_id_token(self, force_new: bool = False) -> bool:  # noqa: ARG002
            """The token is there already: no file, no question on stdin."""
            return True

        def randomize_ip(self, url: str) -> str:
            """The address as it was given."""
            return url

        def _build_ssl_context(self, use_https: bool) -> ssl.SSLContext | bool:
            return _ssl_context() if use_https else False

        def _send(
            self, method: str, url: str, headers: Any = None, content: Any = None, verify: Any = True, **_: Any
        ) -> tuple[int, bytes]:
            limits: dict[str, Any] = {"timeout_s": self.timeout_s, "max_bytes": self.max_bytes}
            response = exchange(method, url, headers=headers, content=content, verify=verify, **limits)
            self.body = response.content
            return (0 if response.status_code == httpx.codes.OK else response.status_code), self.body

    return TokenHttp


def warm_up() -> None:
    """Import what the first call needs; for processes that fork others."""
    _http_class()
