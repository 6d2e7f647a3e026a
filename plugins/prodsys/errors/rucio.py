"""Rucio: away, refusing, or holding something else."""

from __future__ import annotations

from collections.abc import Sequence

from prodsys.errors.base import ProductionError, ServiceUnavailable


class RucioError(ProductionError):
    """Rucio refused something."""


class RucioUnavailable(ServiceUnavailable):
    """Rucio did not answer, or lost a race that another try wins."""

    def __init__(self, reason: str) -> None:
        super().__init__("Rucio", reason)


class RucioRefused(RucioError):
    """Rucio understood the call and said no, in its own words."""

    def __init__(self, call: str, words: str) -> None:
        self.call, self.words = call, words
        super().__init__(f"Rucio refused {call}: {words}")


class RucioAnswerInvalid(RucioError):
    """What came back from Rucio could not be read: its answer has another shape, or our reading of it is wrong."""

    def __init__(self, call: str, kind: str, words: str) -> None:
        self.call, self.kind, self.words = call, kind, words
        reason = "the answer has an unknown shape, or what was asked cannot be asked: another try will not help"
        super().__init__(f"Rucio {call}: {kind}: {words} ({reason})")


class InsufficientSpace(RucioError):
    """What a plan writes does not fit; nothing was reserved."""

    def __init__(self, request_id: str, rse: str, needed: int, free: int, what: str) -> None:
        self.request_id, self.rse, self.needed, self.free, self.what = request_id, rse, needed, free, what
        super().__init__(
            f"{request_id} does not fit on {rse}: it needs {needed / 1e9:,.3f} GB, {what} {free / 1e9:,.3f} GB; "
            "free some, ask Rucio's administrators for more, or ask for fewer events"
        )


class DatasetConflict(RucioError):
    """What Rucio holds contradicts what PanDA reported; nothing was changed."""

    def __init__(self, did: str, differences: Sequence[str]) -> None:
        self.did, self.differences = did, tuple(differences)
        shown = "; ".join(self.differences[:3]) + (f"; and {len(differences) - 3} more" if len(differences) > 3 else "")
        super().__init__(f"{did} is not what it should be: {shown}")
