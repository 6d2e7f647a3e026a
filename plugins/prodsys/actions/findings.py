"""What a comparison of ledger and services brings to light."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prodsys.actions.context import Context
from prodsys.errors import ProductionError, ServiceUnavailable


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


def look_on(name: str, found: Iterable[Finding]) -> Iterator[Finding]:
    """These findings; an error that ends the look is one too, so that the others are looked for all the same."""
    try:
        yield from found
    except ProductionError as error:
        advice = "wait" if isinstance(error, ServiceUnavailable) else "look at it there"
        yield Finding("", f"{name} could not be compared", str(error), False, advice)


def look_at(request_id: str, found: Iterable[Finding]) -> Iterator[Finding]:
    """The findings about one request; a refusal is one too, and ends the look at this request alone.

    Raises
    ------
    ServiceUnavailable
        It would be away for the next request, too.
    """
    try:
        yield from found
    except ServiceUnavailable:
        raise
    except ProductionError as error:
        yield Finding(request_id, "it could not be compared", str(error), False, "look at it there")
