"""Rucio's and the wire's errors, told in ours. This is the border: behind it nobody sees an exception of Rucio."""

from __future__ import annotations

import errno
import http.client
import json
import re
import socket
import ssl

from prodsys.errors import ProductionError, RucioAnswerInvalid, RucioRefused, RucioUnavailable
from prodsys.model.plain_text import plain_text

_WORDS_LENGTH = 500
# Rucio's exceptions by name: the package is imported only when a call is made.
_TRANSIENT = frozenset(
    {
        "DatabaseException",
        "FileAlreadyExists",  # with ignore_duplicate: another writer was faster, the next try compares
        "ReplicationRuleCreationTemporaryFailed",
        "ResourceTemporaryUnavailable",
        "ServerConnectionException",
        "ServiceUnavailable",
    }
)
_NETWORK = frozenset(  # kinds of OSError that have no class of their own
    {errno.ENETDOWN, errno.ENETUNREACH, errno.ENETRESET, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENOTCONN}
)
_LOST_RACE = re.compile(
    r"UniqueViolation|ForeignKeyViolation|deadlock|SerializationFailure|could not obtain lock", re.I
)
_NO_API = re.compile(r"http status code: (?:5\d\d|429|408)|status code: (?:5\d\d|429)", re.I)


class Refusal(RucioRefused):
    """A refusal that still knows Rucio's own name for it, so that a verb can tell "there already" from "no"."""

    def __init__(self, call: str, kind: str, words: str) -> None:
        self.kind = kind
        super().__init__(call, f"{kind}: {words}")


def translate(call: str, error: Exception) -> Exception:
    """Our error for one that a call to Rucio raised; one of ours, or of this host, comes back as it is.

    Unavailable is what the network or a server in trouble does, and nothing else: what goes wrong in reading an answer
    would go wrong again, and is told with its type.
    """
    if isinstance(error, ProductionError):
        return error
    kind, words = type(error).__name__, _words(error)
    if not type(error).__module__.startswith("rucio."):
        if is_of_the_wire(error):
            return RucioUnavailable(f"{call}: {kind}: {words}")
        of_this_host = isinstance(error, OSError | MemoryError) and type(error).__module__ == "builtins"
        return error if of_this_host else RucioAnswerInvalid(call, kind, words)
    if kind in _TRANSIENT:
        return RucioUnavailable(f"{call}: {kind}: {words}")
    if kind == "RucioException" and (_LOST_RACE.search(words) or _NO_API.search(words)):
        return RucioUnavailable(f"{call}: {words}")
    if kind == "CannotAuthenticate":
        words += " (the token was refused: is this client's identity known to Rucio, is its audience Rucio's?)"
    return Refusal(call, kind, words)


def is_of_the_wire(error: Exception) -> bool:
    """Whether the network, or a body that came broken over it, made this error."""
    import requests  # as rucio's client, only when a call was made
    from urllib3.exceptions import HTTPError

    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidHeader):
        return False  # what we asked for cannot be asked: a setting is wrong
    if isinstance(error, requests.exceptions.MissingSchema | requests.exceptions.InvalidSchema):
        return False
    if isinstance(error, requests.RequestException | HTTPError | http.client.HTTPException):
        return True
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return True
    network = ConnectionError | TimeoutError | ssl.SSLError | socket.gaierror | socket.herror
    return isinstance(error, network) or (isinstance(error, OSError) and error.errno in _NETWORK)


def _words(error: Exception) -> str:
    """The text of an error on one line, without Rucio's boiler plate."""
    text = re.sub(r"\s+", " ", str(error)).strip()
    return plain_text(text.rpartition("Details: ")[2], _WORDS_LENGTH) or type(error).__name__
