"""Fixtures that every test may use, and which tests stay together when several workers run them side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from xdist.scheduler.protocol import Scheduling

pytest_plugins = ["tests.postgres_fixture", "tests.rucio_fixture"]

HERE = Path(__file__).parent
OWN_SERVERS = ("test_broken_answers.py", "test_stock_plugins.py")
"""Files of ``contract/chain`` that share no production with the others: they balance the two workers."""
LONGEST = (
    "panda",
    "chain",
    "actions",
    "chain with servers of its own",
    "exactly_once",
    "rucio",
    "jedi",
    "client",
    "closing",
    "rest",
)
"""These groups begin first, the others fill the gaps."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Among several workers the longest groups first; by itself pytest goes from the quick to the slow."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _rank(_group(item.path.relative_to(HERE))))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    """What shares servers goes to one worker: a folder of ``contract``, a file elsewhere.

    ``make test WORKERS=3`` takes a third less on two cores, since most tests wait; then a test that looks for a short
    status of PanDA may come too late.
    (``--dist loadgroup`` with its marks does nothing under pytest 9.2: xdist 3.8 writes the group into an attribute
    that pytest does not read any more.)
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByServers(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _group(Path(nodeid.split("::", 1)[0]).relative_to(HERE.name))

    config.option.loadscopereorder = False
    return ByServers(config, log)


def _group(place: Path) -> str:
    if place.parts[0] != "contract":
        return str(place)
    if place.parts[1] == "chain" and place.name in OWN_SERVERS:
        return LONGEST[1]
    return place.parts[1]


def _rank(group: str) -> int:
    if group in LONGEST:
        return LONGEST.index(group)
    return len(LONGEST) + group.endswith(".py")
