"""Every method of the three clients is declared: a dry run makes it, or writes it down. None is known by its name."""

from __future__ import annotations

import inspect

import pytest

from prodsys.actions.core.dry_run import CHANGES, READS
from prodsys.ddm.client import RucioClient
from prodsys.orchestrator.client import AirflowClient
from prodsys.panda.client import PandaClient

CLIENTS = {"panda": PandaClient, "rucio": RucioClient, "airflow": AirflowClient}


@pytest.mark.parametrize("service", list(CLIENTS))
def test_the_lists_are_the_public_methods_of_the_client(service: str) -> None:
    public = {name for name, _ in inspect.getmembers(CLIENTS[service], inspect.isfunction) if not name.startswith("_")}
    assert READS[service] | CHANGES[service] == public
    assert not READS[service] & CHANGES[service]


def test_no_service_is_left_out() -> None:
    assert READS.keys() == CHANGES.keys() == CLIENTS.keys()
