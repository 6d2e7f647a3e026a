"""A client in front of the replayed recordings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from prodsys.panda.client import PandaClient
from tests.contract.client.replay import Replay, serve

TOKEN = "eyJ.secret.token"
ORIGIN = "spd.production"


@dataclass
class Lines:
    """A journal that remembers."""

    lines: list[dict[str, object]] = field(default_factory=list)

    def record(self, **line: object) -> None:
        self.lines.append(line)


@pytest.fixture
def journal() -> Lines:
    return Lines()


@pytest.fixture
def replay() -> Iterator[Replay]:
    with serve() as server:
        yield server


@pytest.fixture
def panda(replay: Replay, journal: Lines) -> PandaClient:
    return PandaClient(f"{replay.url}/server/panda", ORIGIN, lambda: TOKEN, 5.0, journal)
