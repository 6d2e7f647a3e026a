"""Rucio's and the wire's errors, told in ours. This is the border: behind it nobody sees an exception of Rucio."""

from __future__ import annotations

import re

from prodsys.errors import ProductionError, RucioRefused, RucioUnavailable

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
_LOST_RACE = re.compile(
    r"UniqueViolation|ForeignKeyViolation|deadlock|SerializationFailure|could not obtain lock", re.I
)
_NO_API = re.compile(r"http status code: (?:5\d\d|429|408)|status code: (?:5\d\d|429)", re.I)


class Refusal(RucioRefused):
    """A refusal that still knows Rucio's own name for it, so that a verb can tell "there already" from "no"."""

    def __init__(self, call: str, kind: str, words: str) -> None:
        self.kind = kind
        super().__init__(call, f"{kind}: {words}")


def translate(call: str, error: Exception) -> ProductionError:
    """Our error for one that a call to Rucio raised; one of ours comes back as it is."""
    if isinstance(error, ProductionError):
        return error
    kind, words = type(error).__name__, _words(error)
    module = type(error).__module__
    if not module.startswith("rucio."):
        return RucioUnavailable(f"{call}: {kind}: {words}")
    if kind in _TRANSIENT:
        return RucioUnavailable(f"{call}: {kind}: {words}")
    if kind == "RucioException" and (_LOST_RACE.search(words) or _NO_API.search(words)):
        return RucioUnavailable(f"{call}: {words}")
    if kind == "CannotAuthenticate":
        words += " (the token was refused: is this client's identity known to Rucio, is its audience Rucio's?)"
    return Refusal(call, kind, words)


def _words(error: Exception) -> str:
    """The text of an error on one line, without Rucio's boiler plate."""
    text = re.sub(r"\s+", " ", str(error)).strip()
    return text.rpartition("Details: ")[2][:_WORDS_LENGTH] or type(error).__name__
