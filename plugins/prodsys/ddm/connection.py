"""One way to call Rucio: a token per call, own retries, a line in the journal, errors of ours."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Any, TypeVar

from prodsys.ddm.bounded import call_deadline, make_session
from prodsys.ddm.translation import translate
from prodsys.errors import RucioUnavailable, ServiceUnavailable
from prodsys.model.journal import Journal
from prodsys.model.plain_text import plain_text
from prodsys.transport import MAX_BYTES, Deadline

log = logging.getLogger(__name__)
T = TypeVar("T")
ATTEMPTS = 5
PAGE_SHOWN = 200  # characters of a proxy's page that an error shows
_FIRST_PAUSE = 0.01  # of the time one answer may take
_LONGEST_PAUSE = 0.1
_LONGEST_STREAM = 10  # times that wait, for a whole answer, where no profile says otherwise


class RucioConnection:
    """Calls to one Rucio server on behalf of one account.

    Parameters
    ----------
    url
        Scheme, host and port of the server.
    account
        Rucio account; the server believes the token, this one is sent along.
    token
        Gives a valid access token; asked before every call, so it should keep one until it is nearly spent.
    timeout_s
        Longest wait for one answer [s].
    journal
        Takes a line for every call, or None.
    stream_max_s
        Longest time until the whole answer is there, repeats included [s].
    max_bytes
        Largest answer.
    """

    def __init__(
        self,
        url: str,
        account: str,
        token: Callable[[], str],
        timeout_s: float,
        journal: Journal | None = None,
        *,
        stream_max_s: float | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.url, self.account, self.timeout_s = url.rstrip("/"), account, timeout_s
        self._token, self._journal = token, journal
        self._stream_max_s, self._max_bytes = stream_max_s or timeout_s * _LONGEST_STREAM, max_bytes

    @cached_property
    def _client(self) -> Any:
        return _token_client()(self.url, self.account, self._token, self.timeout_s, self._max_bytes)

    @cached_property
    def _retrying(self) -> Any:
        import tenacity  # with it comes what takes longer to import than our whole domain

        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(RucioUnavailable),
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=tenacity.wait_random_exponential(self.timeout_s * _FIRST_PAUSE, max=self.timeout_s * _LONGEST_PAUSE),
            reraise=True,
        )

    def call(self, verb: str, target: str, function: Callable[[Any], T]) -> T:
        """What ``function`` returns for Rucio's client; it must be repeatable and consume what it streams.

        Raises
        ------
        RucioUnavailable
            No answer, or a lost race, after several tries.
        Refusal
            Rucio said no.
        """
        with call_deadline(self._stream_max_s) as deadline:
            return self._retrying(self._call_once, verb, target, function, deadline)

    def _call_once(self, verb: str, target: str, function: Callable[[Any], T], deadline: Deadline) -> T:
        started = time.monotonic()
        try:
            self._client.take_token()
            answer = function(self._client)
            self._check(deadline, verb, target)  # an answer that was cut may look whole
        except Exception as error:
            ours = translate(f"{verb} {target}", error)
            if deadline.passed:
                ours = RucioUnavailable(f"{verb} {target}: the answer was not complete after {self._stream_max_s:g} s")
            self._note(verb, target, started, ours)
            if ours is error:
                raise
            raise ours from error
        self._note(verb, target, started, None)
        return answer

    def _check(self, deadline: Deadline, verb: str, target: str) -> None:
        if deadline.passed:
            raise RucioUnavailable(f"{verb} {target}: the connection was cut after {self._stream_max_s:g} s")

    def _note(self, verb: str, target: str, started: float, error: Exception | None) -> None:
        outcome = "ok" if error is None else "unavailable" if isinstance(error, ServiceUnavailable) else "refused"
        duration_s = time.monotonic() - started
        log.debug("Rucio %s %s: %s in %.3f s", verb, target, outcome, duration_s)
        if self._journal is None:
            return
        detail = "" if error is None else str(error) or type(error).__name__
        try:
            self._journal.record(
                service="rucio", call=verb, target=target, duration_s=duration_s, outcome=outcome, detail=detail
            )
        except Exception:  # whatever stands behind the journal, the answer of Rucio must not be lost
            log.warning("no line in the journal for %s %s (%s)", verb, target, outcome, exc_info=True)


@lru_cache(maxsize=1)
def _token_client() -> Any:
    """Class of Rucio's client with the token handed in.

    The constructor of rucio-clients reads rucio.cfg, looks for tokens on disk and rewrites ``sys.argv``; with a spent
    token it asks on stdin. So it is not run: what ``_send_request`` needs is set here.

    Notes
    -----
    Source: rucio-clients 41.5.1, ``client/baseclient.py``.
    """
    from rucio.client import Client
    from rucio.common.constants import DEFAULT_VO

    class TokenClient(Client):
        """Rucio's client; the bearer token comes from a callable."""

        AUTH_RETRIES = 1  # one more try, with a new token; all other tries are ours

        def __init__(self, url: str, account: str, token: Callable[[], str], timeout_s: float, max_bytes: int) -> None:
            self._provide, self._max_bytes = token, max_bytes
            self.logger = log.getChild("client")
            self.logger.setLevel(logging.CRITICAL)  # it speaks of tries that we repeat and report ourselves
            self.session = make_session(max_bytes)
            self.user_agent, self.script_id, self.vo = "prodsys", "prodsys", DEFAULT_VO
            self.host = self.auth_host = self.trace_host = url
            self.list_hosts = [url]
            self.account, self.auth_type = account, "oidc"
            self.creds: dict[str, Any] = {}
            self.headers: dict[str, str] = {}
            self.ca_cert = os.environ.get("X509_CERT_DIR") or True
            self.timeout, self.request_retries = timeout_s, self.REQUEST_RETRIES
            self.auth_token, self.token_exp_epoch, self.auth_oidc_refresh_active = "", None, False

        def _load_json_data(self, response: Any) -> Any:
            """The rows of an answer; what is no JSON, such as a page that a proxy sent with success, is no answer."""
            if "json" not in response.headers.get("content-type", "") and response.text:
                raise RucioUnavailable(f"not answered in JSON: {plain_text(response.text, PAGE_SHOWN)}")
            return super()._load_json_data(response)

        def take_token(self) -> None:
            """Use the provider's current token for the next request."""
            self.auth_token = self._provide()

        def _BaseClient__get_token(self) -> None:
            # _send_request calls it on a 401, with a new session of its own
            self.session = make_session(self._max_bytes)
            if (forget := getattr(self._provide, "forget", None)) is not None:
                forget()  # a provider that keeps its token must not hand out the one that was turned away
            self.take_token()

    return TokenClient


def warm_up() -> None:
    """Import what the first call needs; for processes that fork others."""
    _token_client()
