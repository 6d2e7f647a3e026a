"""A ledger with one approved request, and the context Airflow hands to an operator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests import airflow_environment  # noqa: F401 - before Airflow
from tests.publishing import Ledger, read_catalogue, take_place

from prodsys.ledger.migrate import migrate  # isort: skip
from prodsys.ledger.session import make_engine, make_session_factory  # isort: skip

REQUEST = "PROD2025-016"
NOBODY = "http://127.0.0.1:1"  # nothing listens there


@dataclass(frozen=True)
class Run:
    """What operators read of a DAG run."""

    dag_id: str
    run_id: str
    triggering_user_name: str | None = "prodsys"  # the service account, as launching does


@dataclass
class TaskInstance:
    """What operators use of a task instance: XComs are kept to be looked at."""

    map_index: int = -1
    task_id: str = "task"
    try_number: int = 1
    max_tries: int = 10
    xcoms: dict[str, Any] = field(default_factory=dict)

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = value


@pytest.fixture
def ledger(
    fresh_database: Callable[..., str],
    template_database: Callable[[str, Callable[[str], None]], str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Ledger]:
    """Yield a ledger with a launched request; no other service is there."""
    url = fresh_database(template=template_database("ledger_template", migrate))
    password = tmp_path / "password"
    password.write_text("unused")
    for name, value in {
        "HOME": str(tmp_path / "home"),
        "DATABASE_URL": url,
        "AIRFLOW_URL": NOBODY,
        "AIRFLOW_USER": "prodsys",
        "AIRFLOW_PASSWORD_FILE": str(password),
    }.items():
        monkeypatch.setenv(f"PRODSYS_{name}", value)
    monkeypatch.setenv("AIRFLOW_CONN_PRODSYS_LEDGER", url.replace("postgresql+psycopg", "postgres"))
    ledger = Ledger(url, make_session_factory(url), read_catalogue())
    ledger.publish(REQUEST)
    take_place(ledger.sessions, REQUEST)
    yield ledger
    make_engine(url).dispose()


@pytest.fixture
def context() -> Callable[..., dict[str, Any]]:
    def make(run_id: str = f"{REQUEST}-r1", try_number: int = 1, who: str | None = "prodsys") -> dict[str, Any]:
        run, instance = Run(f"prod__{REQUEST}", run_id, who), TaskInstance(try_number=try_number)
        return {"dag_run": run, "run_id": run_id, "ti": instance}

    return make
