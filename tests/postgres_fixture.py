"""A PostgreSQL server for tests: one a test process, started when first asked for; a fresh database a test.

``pytest_plugins = ["tests.postgres_fixture"]`` in ``tests/conftest.py`` makes these fixtures known everywhere. A server
is up in about a second, so that workers of pytest-xdist have one each and need not agree on anything.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from sandbox.stack.postgres import PostgresHandle, start_postgres

ZONE = "Europe/Moscow"  # not UTC, as at the institute: whatever is printed as UTC without being it fails
FreshDatabase = Callable[..., str]
_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresHandle]:
    """Yield the server of this test process; ``postgres.url(name)`` is the address of a database."""
    with start_postgres(tmp_path_factory.mktemp("postgres"), settings={"timezone": ZONE}) as server:
        yield server


@pytest.fixture(scope="session")
def template_database(postgres: PostgresHandle) -> Callable[[str, Callable[[str], None]], str]:
    """Return a function ``(name, prepare)``: the name of a database that ``prepare(url)`` filled, once a session.

    ``prepare`` must close its connections: a database in use cannot be copied.
    """
    prepared: set[str] = set()

    def ensure(name: str, prepare: Callable[[str], None]) -> str:
        if name not in prepared:
            prepare(postgres.create_database(name))
            prepared.add(name)
        return name

    return ensure


@pytest.fixture
def fresh_database(postgres: PostgresHandle) -> Iterator[FreshDatabase]:
    """Yield a function ``(template=None)``: address of a new database, a copy of the template, dropped after."""
    made: list[str] = []

    def create(template: str | None = None) -> str:
        made.append(f"test_{next(_NUMBERS)}")
        return postgres.create_database(made[-1], template=template)

    yield create
    for name in made:
        postgres.drop_database(name)
