"""DAGs of recurring templates: parsed without a query, scheduled with real intervals, run on a real ledger."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pendulum
import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowFailException
from airflow.serialization.serialized_objects import DagSerialization, LazyDeserializedDAG
from airflow.timetables.base import TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable

from tests.airflow_environment import REPOSITORY
from tests.publishing import read_catalogue

from prodsys.actions.queries.showing import show_list  # isort: skip
from prodsys.actions.core.context import Clients, Context  # isort: skip
from prodsys.errors import ServiceUnavailable  # isort: skip
from prodsys.building.recurring import build_recurring_dag, recurring_dags  # isort: skip
from prodsys.ledger.migrate import migrate  # isort: skip
from prodsys.ledger.session import make_engine, make_session_factory  # isort: skip
from prodsys.model.recurring import RecurringSpec  # isort: skip

NOBODY = "http://127.0.0.1:1"  # nothing listens there
WEEK = timedelta(days=7)
START = datetime(2025, 9, 29, 1, 30, tzinfo=UTC)
BASE: dict[str, Any] = {
    "name": "weekly",
    "schedule": "weekly",
    "start": START,
    "intervals": 30,
    "id_prefix": "DEMO",
    "first_number": 501,
    "first_seed": 1001,
    "seeds_per_interval": 5,
    "requester": "prodmgr",
    "request": {
        "stage": "S2",
        "collision": "pp",
        "energy_gev": 27,
        "polarization": "UU",
        "geometry": "DSSD, TS",
        "software": "spdroot-dev",
        "version": "4.1.7.2",
        "tag": "minbias-P8-spdroot4172-dev",
        "events_per_file": 20,
    },
}


def make(**changes: Any) -> RecurringSpec:
    return RecurringSpec.model_validate(BASE | changes)


def intervals(template: RecurringSpec) -> Iterator[tuple[datetime, datetime]]:
    """What Airflow's scheduler makes of the DAG, from its start to its end."""
    timetable = DagSerialization.from_dict(DagSerialization.to_dict(build_recurring_dag(template))).timetable
    assert isinstance(timetable, CronDataIntervalTimetable)
    dag = build_recurring_dag(template)
    between = TimeRestriction(pendulum.instance(dag.start_date), pendulum.instance(dag.end_date), catchup=True)
    last = None
    while info := timetable.next_dagrun_info(last_automated_data_interval=last, restriction=between):
        last = info.data_interval
        assert info.run_after == last.end
        yield last.start.astimezone(UTC), last.end.astimezone(UTC)


@pytest.fixture
def specs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give specs of their own with three templates, one of them faulty, one at rest."""
    folder = tmp_path / "specs"
    folder.mkdir()
    for one in (REPOSITORY / "include" / "specs").iterdir():
        if one.name != "recurring":
            (folder / one.name).symlink_to(one)
    (folder / "recurring").mkdir()
    for template in (make(), make(name="resting", active=False), make(name="daily", schedule="daily")):
        (folder / "recurring" / f"{template.name}.yaml").write_text(template.model_dump_json())
    (folder / "recurring" / "faulty.yaml").write_text("name: faulty\nschedule: never\n")
    monkeypatch.setenv("PRODSYS_SPECS", str(folder))
    return folder


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"schedule": "daily", "intervals": 120},
        {"schedule": "monthly", "start": "2025-09-01", "intervals": 30},
        {"schedule": "30 1 * * 1,4", "intervals": 60},
        {"schedule": "30 1-23/5 * * *", "intervals": 60},
    ],
    ids=str,
)
def test_airflow_schedules_the_intervals_of_the_template_and_no_others(changes: dict[str, Any]) -> None:
    template = make(**changes)
    assert list(intervals(template)) == [template.bounds(one) for one in range(template.intervals)]


def test_no_interval_has_no_length_where_clocks_change_and_years_end() -> None:
    lengths = {(end - begin).total_seconds() for begin, end in intervals(make())}
    assert lengths == {WEEK.total_seconds()}  # from September to April


def test_a_faulty_template_harms_no_other_and_one_at_rest_has_no_dag(
    specs: Path, parse: Callable[[Path], DagBag]
) -> None:
    bag = parse(REPOSITORY / "dags")
    assert bag.import_errors == {}
    assert {name for name in bag.dags if name.startswith("recurring__")} == {"recurring__weekly", "recurring__daily"}


def test_an_airflow_task_builds_the_dag_it_needs_and_no_other(specs: Path) -> None:
    assert [dag.dag_id for dag in recurring_dags("recurring__weekly")] == ["recurring__weekly"]


def test_every_dag_says_whose_and_what_it_is(specs: Path, parse: Callable[[Path], DagBag]) -> None:
    dag = parse(REPOSITORY / "dags").dags["recurring__weekly"]
    assert (dag.owner, dag.max_active_runs, dag.catchup, dag.dagrun_timeout) == ("prodmgr", 1, True, None)
    assert (dag.start_date, dag.end_date) == (START, START + 29 * WEEK)
    assert "DEMO2025-501" in dag.doc_md
    assert not dag.has_on_failure_callback


def test_the_serialised_dag_is_the_same_in_every_parse(specs: Path, parse: Callable[[Path], DagBag]) -> None:
    hashes = [LazyDeserializedDAG.from_dag(parse(REPOSITORY / "dags").dags["recurring__weekly"]).hash for _ in range(2)]
    assert hashes[0] == hashes[1]


# --- runs on a real ledger ------------------------------------------------------------------------------------------
@pytest.fixture
def ledger_url(
    specs: Path,
    fresh_database: Callable[..., str],
    template_database: Callable[[str, Callable[[str], None]], str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[str]:
    url = fresh_database(template=template_database("ledger_template", migrate))
    monkeypatch.setenv("AIRFLOW_CONN_PRODSYS_LEDGER", url.replace("postgresql+psycopg", "postgres"))
    gone = {"conn_type": "panda", "host": NOBODY, "login": "production", "password": "x", "extra": {"issuer": NOBODY}}
    monkeypatch.setenv("AIRFLOW_CONN_PANDA_DEFAULT", json.dumps(gone))
    monkeypatch.setenv("PRODSYS_HOME", str(specs.parent))
    yield url
    make_engine(url).dispose()


class Run:
    """What the operator reads of a DAG run."""

    def __init__(self, begin: datetime | None, end: datetime | None) -> None:
        self.data_interval_start, self.data_interval_end = begin, end


def execute(begin: datetime | None, end: datetime | None) -> str:
    [dag] = recurring_dags("recurring__weekly")
    return dag.get_task("request").execute({"dag_run": Run(begin, end)})


def made(url: str) -> dict[str, str]:
    def nobody() -> Any:
        raise AssertionError("no other service is asked")

    clients = Clients(nobody, nobody, nobody)
    ctx = Context("test", frozenset(), read_catalogue(), make_session_factory(url), clients, Path(), "")
    return {one.request_id: one.seeds for one in show_list(ctx)}


def test_runs_make_one_request_an_interval_however_often_they_are_run(ledger_url: str) -> None:
    """Its plan must wait until PanDA answers; Airflow tries again, and the request is the same."""
    for begin, end in list(intervals(make()))[2::-1]:  # a backfill in reverse, each of its runs tried twice
        for _ in range(2):
            with pytest.raises(ServiceUnavailable):
                execute(begin, end)
    assert made(ledger_url) == {
        "DEMO2025-501": "1001-1005",
        "DEMO2025-502": "1006-1010",
        "DEMO2025-503": "1011-1015",
    }


def test_a_run_without_a_logical_date_is_refused_with_the_remedy(ledger_url: str) -> None:
    with pytest.raises(AirflowFailException, match="prodsys recurring run weekly --interval"):
        execute(None, None)
    with pytest.raises(AirflowFailException, match="has no data interval"):
        execute(START, START)  # what a plain cron string would give
    with pytest.raises(AirflowFailException, match="no interval begins at"):
        execute(START + timedelta(days=1), START + WEEK)
    with pytest.raises(AirflowFailException, match="is not one of its schedule"):
        execute(START, START + timedelta(days=1))
    assert made(ledger_url) == {}
