"""One stage for all situations: two PostgreSQL servers, PanDA, JEDI, and a nursery of workers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from prodsys.actions.core.context import Context
from tests.chaos.nursery import Nursery, open_nursery
from tests.chaos.stage import Stage, open_stage


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Yield a stage with everything up."""
    with open_stage(tmp_path_factory.mktemp("exactly_once")) as ready:
        yield ready


@pytest.fixture(scope="session")
def nursery(stage: Stage) -> Iterator[Nursery]:
    """Yield a nursery; its workers end with it."""
    with open_nursery(stage.folder / "nursery.log") as ready:
        yield ready


@pytest.fixture
def ctx(stage: Stage) -> Context:
    """Hands of the manager."""
    return stage.hands()


@pytest.fixture
def request_id(stage: Stage) -> str:
    """A request that a run drives and nobody has submitted yet."""
    [made] = stage.ready_requests(1)
    return made
