"""What a person saw before deciding: compared with the ledger when the request is locked, in the same transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session, sessionmaker

from prodsys.errors import RequestChanged
from prodsys.ledger.session import SessionFactory
from prodsys.ledger.tables import RequestRow

_INFO = "expectation"


@dataclass
class Expectation:
    """The request must carry one of these tags when it is locked first; what the action then changes is its own."""

    request_id: str
    tags: tuple[str, ...]
    tag_of: Callable[[Session, RequestRow], str]
    met: bool = False

    def check(self, session: Session, row: RequestRow | None) -> None:
        """RequestChanged when this is the request and it is another than was seen."""
        if self.met or row is None or row.request_id != self.request_id:
            return
        current = self.tag_of(session, row)
        if current not in self.tags:
            raise RequestChanged(self.request_id, self.tags, current)
        self.met = True


def expecting(factory: SessionFactory, expectation: Expectation) -> SessionFactory:
    """The same sessions, which refuse to lock the request when it is another than was seen."""
    settings: dict[str, Any] = {**factory.kw, "info": {**(factory.kw.get("info") or {}), _INFO: expectation}}
    return sessionmaker(class_=factory.class_, **settings)


def check_expected(session: Session, row: RequestRow | None) -> None:
    """Compare a row that was just locked with what its session expects; nothing when it expects nothing."""
    found = session.info.get(_INFO)
    if found is not None:
        found.check(session, row)
