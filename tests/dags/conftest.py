"""DAG files read as Airflow reads them, with nothing but local files to read from."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from tests import airflow_environment
from tests.publishing import read_catalogue, write_folder

from airflow.dag_processing.dagbag import DagBag  # isort: skip

REPOSITORY = airflow_environment.REPOSITORY
REQUESTS = tuple(f"PROD2025-{number:03d}" for number in range(10, 17))


class Reached(AssertionError):
    """Parsing reached out for something that is not a local file."""


@pytest.fixture
def files_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Refuse every connection, name look-up and SQL statement."""

    def refuse(*arguments: Any, **_: Any) -> None:
        raise Reached(f"reached for {arguments!r} while parsing")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    event.listen(Engine, "before_cursor_execute", refuse)
    yield
    event.remove(Engine, "before_cursor_execute", refuse)


@pytest.fixture
def parse(files_only: None) -> Callable[[Path], DagBag]:
    """Read a folder with sockets and databases shut."""

    def read(folder: Path) -> DagBag:
        return DagBag(dag_folder=str(folder), bundle_path=folder, bundle_name="tests")

    return read


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """Give a folder with the seven requests of the sheet, as the bundle writes it."""
    return write_folder(tmp_path / "requests", REQUESTS, read_catalogue())
