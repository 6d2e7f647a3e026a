"""What a comparison of ledger and services brings to light."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prodsys.actions.context import Context


@dataclass(frozen=True)
class Finding:
    """One disagreement."""

    request_id: str
    what: str
    cause: str
    repaired: bool
    advice: str = ""


Look = Callable[[Context, bool], Iterator[Finding]]
"""One comparison; the second argument says whether safe disagreements are mended."""
