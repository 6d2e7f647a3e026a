"""A request that only has to be closed, over a real ledger and a real Rucio, with the fixtures of ``actions``."""

from __future__ import annotations

from dataclasses import replace

import pytest

from prodsys.orchestrator.client import AirflowClient
from tests.contract.actions.conftest import airflow, ctx, import_demo, ledger_url, url  # noqa: F401 - fixtures
from tests.contract.closing.settled import Settled, bring_to_certificate, make_settled

SHEET = "requests_sheet.csv"


@pytest.fixture
def hands(ctx, import_demo, url, rucio_server):  # noqa: F811
    """Hands with a small Airflow and the real Rucio, and the requests of the sheet."""
    import_demo(SHEET)
    client = rucio_server.client()
    clients = replace(ctx.clients, airflow=lambda: AirflowClient(url, "prodsys", "p", 5), rucio=lambda: client)
    return replace(ctx, clients=clients)


@pytest.fixture
def settled(hands, airflow, rucio_server) -> Settled:  # noqa: F811
    """A request with all its data in Rucio, in no container yet."""
    return make_settled(hands, airflow, rucio_server)


@pytest.fixture
def closing(settled: Settled) -> Settled:
    """The same, with containers, rules and replicas: only the certificate is missing."""
    bring_to_certificate(settled)
    return settled
