"""Requests of a recurring template run to certificates of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from prodsys.actions.runs.recurring import catch_up, show_template
from prodsys.ledger.requests import get_spec
from prodsys.ledger.session import transaction
from prodsys.model.recurring import RecurringPart, RecurringSpec
from prodsys.settings import REPOSITORY
from sandbox.stack.postgres import PostgresHandle
from tests.contract.chain.driving import Course
from tests.contract.chain.site import BOOK, EVENTS, ROBOT, Site

pytestmark = pytest.mark.timeout(900)  # whole chains, on a machine that may be busy
START = datetime(2025, 1, 6, tzinfo=UTC)
WEEK = timedelta(days=7)
OTHERS = {"name": "weekly-airflow", "first_number": 985, "first_seed": 710_001}  # than those of the first test


def template(site: Site) -> RecurringSpec:
    """A weekly sample of the configuration of the book."""
    with transaction(site.sessions) as session:
        book = get_spec(session, BOOK).model_dump(mode="json")
    part = {name: value for name, value in book.items() if name in RecurringPart.model_fields}
    return RecurringSpec(
        name="weekly-chain",
        schedule="weekly",
        start=START,
        intervals=4,
        id_prefix="DEMO",
        first_number=981,
        first_seed=700_001,
        seeds_per_interval=2,
        requester="prodmgr",
        approve="automatically",
        request=part | {"events_per_file": EVENTS, "chain": "SIM-RECO", "campaign": None},
    )


def test_each_interval_has_its_own_seeds_datasets_and_certificate(sites: dict[str, Site], started: object) -> None:
    site = sites["none"]
    weekly, ctx = template(site), site.context()
    made = catch_up(ctx, weekly, now=START + 2 * WEEK)
    assert [(one.request_id, one.seeds, one.state) for one in made] == [
        ("DEMO2025-981", "700001-700002", "approved"),
        ("DEMO2025-982", "700003-700004", "approved"),
    ]
    bodies = [json.loads(Path(Course(site, one.request_id).run().path).read_text()) for one in made]
    assert [(one["seeds_delivered"], one["requested_by"], one["verdict"]) for one in bodies] == [
        ("700001-700002", "prodmgr", "full"),
        ("700003-700004", "prodmgr", "full"),
    ]
    datasets = [{one["did"] for one in body["datasets"]} for body in bodies]
    assert not datasets[0] & datasets[1]
    shown = show_template(ctx, weekly, now=START + 2 * WEEK)
    assert [one.state for one in shown.intervals] == ["complete", "complete", ""]
    assert catch_up(ctx, weekly, now=START + 2 * WEEK) == []


# --- through Airflow ------------------------------------------------------------------------------------------------
@pytest.fixture
def airflow(
    sites: dict[str, Site], postgres: PostgresHandle, tmp_path: Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs a Python module beside an Airflow database, specs and connections of a site."""
    site, weekly = sites["none"], template(sites["none"]).model_copy(update=OTHERS)
    specs = tmp_path / "specs"
    (specs / "recurring").mkdir(parents=True)
    for one in (REPOSITORY / "include" / "specs").iterdir():
        if one.name != "recurring":
            (specs / one.name).symlink_to(one)
    (specs / "recurring" / f"{weekly.name}.yaml").write_text(weekly.model_dump_json())
    robot = {"login": ROBOT, "password": "unused"}
    issuer = {"issuer": site.rucio.signer.issuer}
    connections = {
        "PRODSYS_LEDGER": site.database_url.replace("postgresql+psycopg", "postgres"),
        "PANDA_DEFAULT": json.dumps({"conn_type": "panda", "host": site.sandbox.url, **robot, "extra": issuer}),
        "RUCIO_DEFAULT": json.dumps({"conn_type": "rucio", "host": site.rucio.url, **robot, "extra": issuer}),
    }
    bundle = {"name": "dags-folder", "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle", "kwargs": {}}
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PRODSYS_"))},
        **site.settings(tmp_path),
        **{f"AIRFLOW_CONN_{name}": value for name, value in connections.items()},
        "PRODSYS_SPECS": str(specs),
        "PYTHONPATH": f"{REPOSITORY / 'plugins'}:{REPOSITORY}",
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": postgres.create_database("chain_airflow"),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([bundle]),
    }

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", *arguments]
        done = subprocess.run(
            command, env=environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=420, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done

    return run


def test_airflow_runs_and_backfills_make_one_request_an_interval(
    sites: dict[str, Site], started: object, airflow: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    airflow("airflow", "db", "migrate")
    out = airflow("tests.contract.chain.recurring_runs", "recurring__weekly-airflow", f"{START:%Y-%m-%d}", "3").stdout
    [answer] = [json.loads(line[7:]) for line in out.splitlines() if line.startswith("ANSWER ")]
    begins = [START + number * WEEK for number in range(3)]
    assert answer["runs"] == [["success", begin.isoformat()] for begin in begins]
    assert answer["dateless"] == ["failed", "None"]
    assert "prodsys recurring run weekly-airflow --interval" in out
    assert answer["types"] == ["backfill"]
    made = {(begin, request) for (begin, _), request in zip(answer["backfill"], answer["again"], strict=True)}
    ids = [f"DEMO2025-{number}" for number in (985, 986, 987, 988)]
    assert made >= set(zip([begin.isoformat() for begin in begins], ids, strict=False))
    assert {request for _, request in made} <= set(ids)
    weekly = template(sites["none"]).model_copy(update=OTHERS)
    shown = show_template(sites["none"].context(), weekly, now=START + 3 * WEEK)
    assert [(one.request_id, one.state) for one in shown.intervals[:3]] == [
        (f"DEMO2025-{number}", "approved") for number in (985, 986, 987)
    ]
