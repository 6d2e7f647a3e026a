"""A ledger with an approved request and its task, and a PanDA that the test writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests import airflow_environment  # noqa: F401 - before Airflow
from tests.airflow.triggers.conftest import Grid, grid  # noqa: F401 - a fixture
from tests.publishing import Ledger, read_catalogue

from prodsys.ledger.migrate import migrate  # isort: skip
from prodsys.ledger.session import make_engine, make_session_factory, transaction  # isort: skip
from prodsys.ledger.tables import DatasetRow, RequestRow, RuleRow, RunRow, StepRow, TaskRow  # isort: skip
from prodsys.ledger.tasks import to_multirange  # isort: skip
from prodsys.model.seeds import parse_seeds  # isort: skip

REQUEST, TASK = "PROD2025-016", 364
CONTEXT: Any = {  # of the run that drives the request
    "dag_run": SimpleNamespace(dag_id=f"prod__{REQUEST}", run_id=f"{REQUEST}-r1"),
    "ti": SimpleNamespace(task_id="sim.wait", try_number=1, max_tries=10),
}
TASK_MAP = {"taskName": f"{REQUEST}.SIM", "taskType": "prod", "pfnList": ["1", "2", "3"]}


@dataclass
class Book:
    """The ledger as these tests read and write it."""

    ledger: Ledger

    def add_task(self, status: str | None, intent: str = "recorded") -> None:
        with transaction(self.ledger.sessions) as session:
            step = StepRow(request_id=REQUEST, revision=1, kind="SIM", ordinal=0)
            session.add(step)
            session.flush()
            session.add(
                TaskRow(
                    step_id=step.step_id,
                    attempt=1,
                    task_name=TASK_MAP["taskName"],
                    seeds=to_multirange(parse_seeds("1-3")),
                    task_map=TASK_MAP,
                    intent=intent,
                    jedi_task_id=TASK,
                    status=status,
                )
            )

    def drive(self) -> None:
        """The run of CONTEXT drives the request."""
        with transaction(self.ledger.sessions) as session:
            row = session.get(RequestRow, REQUEST)
            assert row is not None
            row.state = "running"
            run = {"dag_id": CONTEXT["dag_run"].dag_id, "dag_run_id": CONTEXT["dag_run"].run_id}
            session.add(RunRow(**run, request_id=REQUEST, revision=1, driving=True))

    def request(self) -> tuple[str, str]:
        """State of the request and the reason for it."""
        with transaction(self.ledger.sessions) as session:
            row = session.get(RequestRow, REQUEST)
            assert row is not None
            return row.state, row.reason

    def add_rules(self, *rule_ids: str) -> None:
        with transaction(self.ledger.sessions) as session:
            session.add(DatasetRow(did="MC2025_S2:x", request_id=REQUEST, kind="dataset", files=3))
            session.flush()
            for rule_id in rule_ids:
                wanted: dict[str, Any] = {"rse_expression": "A|B", "copies": 2, "length": 3, "state": "REPLICATING"}
                session.add(RuleRow(rule_id=rule_id, did="MC2025_S2:x", request_id=REQUEST, **wanted))

    def task(self) -> TaskRow:
        with transaction(self.ledger.sessions) as session:
            return session.query(TaskRow).one()

    def rule(self, rule_id: str) -> RuleRow:
        with transaction(self.ledger.sessions) as session:
            return session.get_one(RuleRow, rule_id)


@pytest.fixture
def book(
    grid: Grid,  # noqa: F811
    fresh_database: Callable[..., str],
    template_database: Callable[[str, Callable[[str], None]], str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Book]:
    url = fresh_database(template=template_database("ledger_template", migrate))
    for name, value in {"HOME": str(tmp_path), "DATABASE_URL": url, "PANDA_MONITOR_URL": "http://monitor"}.items():
        monkeypatch.setenv(f"PRODSYS_{name}", value)
    monkeypatch.setenv("AIRFLOW_CONN_PRODSYS_LEDGER", url.replace("postgresql+psycopg", "postgres"))
    ledger = Ledger(url, make_session_factory(url), read_catalogue())
    ledger.publish(REQUEST)
    yield Book(ledger)
    make_engine(url).dispose()
