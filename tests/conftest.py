"""Fixtures that every test may use, and which tests stay together when several workers run them side by side."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["tests.postgres_fixture", "tests.rucio_fixture"]

HERE = Path(__file__).parent
LONGEST = ("chain", "panda", "exactly_once", "rest", "actions")  # they begin first, the others fill the gaps


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep together what shares servers: a folder of ``contract``, a file elsewhere (``-n 2 --dist loadgroup``)."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    if hasattr(config, "workerinput"):  # a worker of several; by itself pytest goes from the quick to the slow
        items.sort(key=lambda item: _rank(_group(item)))


def _group(item: pytest.Item) -> str:
    place = item.path.relative_to(HERE)
    return place.parts[1] if place.parts[0] == "contract" else str(place)


def _rank(group: str) -> int:
    if group in LONGEST:
        return LONGEST.index(group)
    return len(LONGEST) + group.endswith(".py")
