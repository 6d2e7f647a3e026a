"""schemathesis over the API: whatever a program sends, the answer is one that the description documents."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import negative_data_rejection
from starlette.testclient import TestClient

from prodsys.actions.core.context import Clients, Context, clients_of
from prodsys.actions.planning.planning import approve, plan
from prodsys.actions.requests.cloning import CloneOrder, clone
from prodsys.actions.requests.importing import import_intake
from prodsys.errors import AirflowUnavailable, PandaUnavailable, RucioUnavailable
from prodsys.intake.catalogue import load_catalogue
from prodsys.intake.files import read_files
from prodsys.ledger.journal import LedgerJournal
from prodsys.ledger.session import make_engine, make_session_factory
from prodsys.settings import REPOSITORY, Settings
from prodsys.web.api.schema import FILE, generated
from tests.contract.actions.conftest import DEMO, _migrate
from tests.contract.rest.conftest import API, Mounted

EXAMPLES = int(os.environ.get("REST_EXAMPLES", "12"))  # calls a route; each meets the ledger
TOKEN = {"Authorization": "Bearer admin"}
DRAFTS = ("DEMO2025-011", "DEMO2025-012", "DEMO2025-013")


class Away:
    """A service that never answers, at once."""

    def __init__(self, error: type[Exception]) -> None:
        self._error = error

    def __getattr__(self, call: str) -> Callable[..., object]:
        def refuse(*_given: object, **_named: object) -> None:
            raise self._error(f"{call}: no answer")

        return refuse


def alone(ctx: Context) -> Context:
    """The same hands where no service is configured."""
    return replace(ctx, clients=clients_of(Settings({}), ctx.catalogue, LedgerJournal(ctx.sessions, ctx.who)))


@pytest.fixture(scope="module")
def context(postgres, template_database, tmp_path_factory):
    url = postgres.create_database("rest_schema", template=template_database("ledger_template", _migrate))
    away = Clients(*(lambda kind=kind: Away(kind) for kind in (PandaUnavailable, RucioUnavailable, AirflowUnavailable)))
    ctx = Context(
        who="manager",
        roles=frozenset({"manager"}),
        catalogue=load_catalogue(REPOSITORY / "include" / "specs", "sandbox"),
        sessions=make_session_factory(url),
        clients=away,
        home=tmp_path_factory.mktemp("home"),
        monitor_url="http://127.0.0.1:1",
    )
    import_intake(ctx, read_files([DEMO / "requests_sheet.csv"], ctx.catalogue))
    for request_id in DRAFTS:
        clone(ctx, "PROD2025-016", request_id, CloneOrder(seed_count=3, events_per_file=20))
    approve(alone(ctx), DRAFTS[0], plan(alone(ctx), DRAFTS[0]).digest)
    yield ctx
    make_engine(url).dispose()


@pytest.fixture(scope="module")
def served(context: Context):
    return Mounted(context).root


CONFIG = SchemathesisConfig.from_dict(
    {
        "checks": {
            # Rules over several fields (seeds x events) and over the ledger are not told by a schema.
            "positive_data_acceptance": {
                "expected-statuses": ["2xx", "304", "403", "404", "409", "412", "422", "428", "503"]
            },
            "not_a_server_error": {
                "expected-statuses": ["2xx", "3xx", "4xx", "503"]
            },  # 503: the services are away here
        }
    }
)
# A query holds nothing but text: schemathesis takes `campaign=true` for a boolean let in. What a filter refuses
# is tried in test_lists.py.
LENIENT = {"get": [negative_data_rejection]}
rest = schemathesis.openapi.from_path(FILE, config=CONFIG)
OPERATIONS = [found.ok() for found in rest.get_all_operations()]


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda one: one.value)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.label)
def test_every_answer_is_as_described(served, operation, mode):
    rest.app = served

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    @given(case=operation.as_strategy(mode))
    def every(case):
        case.call_and_validate(headers=TOKEN, app=served, excluded_checks=LENIENT.get(operation.method, []))

    every()


def test_the_description_in_the_repository_is_the_one_that_the_code_gives():
    assert FILE.read_text(encoding="utf-8") == generated(), "run make docs"


def test_the_served_description_is_the_same(served):
    with TestClient(served) as client:
        told = client.get(f"{API}/openapi.json", headers=TOKEN)
    assert told.json() == json.loads(generated())


def test_every_act_is_described_with_summary_right_and_refusals():
    for path, operations in rest.raw_schema["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], path
            assert {"401", "403", "500", "503"} <= set(operation["responses"]), path
            if method != "get":
                assert "Needs the right" in operation["description"]
                assert {"400", "409", "412", "422"} <= set(operation["responses"])
                assert "dry_run" in {one["name"] for one in operation["parameters"]}


def test_the_book_still_stands(context):
    """After all that was sent: what the ledger holds can be read, and planned."""
    ctx = alone(context)
    clone(ctx, "PROD2025-016", "DEMO2027-001", CloneOrder(seed_count=3, events_per_file=20))
    assert approve(ctx, "DEMO2027-001", plan(ctx, "DEMO2027-001").digest)
