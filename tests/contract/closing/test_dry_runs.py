"""A dry run keeps nobody waiting: whenever a service is asked, every row of the request can be locked by others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError

from prodsys.actions.closing.cleaning import abort_and_clean, written_dids
from prodsys.actions.core.context import Context
from prodsys.actions.core.dry_run import run_dry
from prodsys.actions.planning.planning import approve, plan
from prodsys.actions.queries.showing import show_request
from prodsys.actions.requests.cloning import CloneOrder, clone
from prodsys.actions.runs.launching import LaunchAnswer, launch
from prodsys.ddm.client import RucioClient
from prodsys.errors import RucioUnavailable
from prodsys.ledger.requests import get_request
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import RequestRow
from prodsys.orchestrator.client import AirflowClient
from tests.contract.closing.settled import SOURCE, Settled, new_id
from tests.relay import relay

ONE_DISPATCHER = 4_711_017
NOBODY = "http://127.0.0.1:1"


class Looks:
    """What another session met at every call to a service."""

    def __init__(self, ctx: Context, request_id: str) -> None:
        self._ctx, self._request_id = ctx, request_id
        self.calls: list[str] = []
        self.locked: list[str] = []

    def __call__(self, call: str) -> None:
        self.calls.append(call)
        wanted = select(RequestRow).where(RequestRow.request_id == self._request_id).with_for_update(nowait=True)
        try:
            with self._ctx.sessions.begin() as session:
                session.scalars(wanted).all()
                if not session.scalar(text(f"select pg_try_advisory_xact_lock({ONE_DISPATCHER})")):
                    self.locked.append(f"{call} under the lock of the dispatcher")
        except OperationalError:
            self.locked.append(call)


@contextmanager
def watched(
    settled: Settled, url: str, rucio_url: str, client: Callable[..., object]
) -> Iterator[tuple[Context, Looks]]:
    """Yield hands whose every call to Rucio and Airflow is looked at."""
    looks = Looks(settled.ctx, settled.request_id)
    with relay(rucio_url, looks) as rucio, relay(url, looks) as airflow:
        clients = replace(
            settled.ctx.clients,
            rucio=lambda: client(url=rucio),
            airflow=lambda: AirflowClient(airflow, "prodsys", "p", 5),
        )
        yield replace(settled.ctx, clients=clients), looks


@pytest.fixture
def stage(settled, url, rucio_server) -> Iterator[tuple[Context, Looks, str]]:
    with watched(settled, url, rucio_server.url, rucio_server.client) as (ctx, looks):
        yield ctx, looks, settled.request_id


def test_abort_and_clean_asks_rucio_with_no_row_locked(stage) -> None:
    ctx, looks, request_id = stage
    found = run_dry(ctx, lambda hands: abort_and_clean(hands, request_id, "why"))
    assert len(found.answer.expiring) == 5, "the datasets; there are no containers yet"
    assert [effect for effect in found.effects if effect.startswith("rucio expire")] == [
        f"rucio expire {did} 86400" for did in found.answer.expiring
    ]
    assert len(looks.calls) > 5
    assert looks.locked == []
    assert show_request(ctx, request_id)["state"] == "running"


def test_an_act_that_writes_and_asks_in_turns_locks_nothing_either(stage) -> None:
    ctx, looks, request_id = stage

    def back_and_forth(hands: Context) -> int:
        with transaction(hands.sessions) as session:
            get_request(session, request_id, lock=True).reason = "first"
        there = [hands.rucio.dataset_info(did) for did in written_dids(hands, request_id)]
        with transaction(hands.sessions) as session:
            row = get_request(session, request_id, lock=True)
            assert row.reason == "first", "what the act wrote is seen by itself"
            row.priority = 7
        assert hands.airflow.dag_ready("prod__nothing") is not None
        assert hands.rucio.ping()
        return sum(info is not None for info in there)

    assert run_dry(ctx, back_and_forth).answer == 5
    assert looks.locked == []
    shown = show_request(ctx, request_id)
    assert shown["reason"] == ""


def test_a_launch_asks_airflow_while_nobody_is_kept_from_dispatching(hands, airflow, url, rucio_server) -> None:
    request_id = new_id()
    clone(hands, SOURCE, request_id, CloneOrder(seed_count=3, events_per_file=20))
    plan(hands, request_id)
    airflow.digest = approve(hands, request_id).digest
    settled = Settled(hands, request_id, ("", ""))
    with watched(settled, url, rucio_server.url, rucio_server.client) as (ctx, looks):
        found = run_dry(ctx, lambda stage: launch(stage, request_id))
    assert isinstance(found.answer, LaunchAnswer)
    assert found.answer.started
    assert [effect.split()[:3] for effect in found.effects] == [["airflow", "start", "run"]]
    assert any("/dags/" in call for call in looks.calls)
    assert looks.locked == []
    assert airflow.started == []


def test_what_a_service_answers_is_asked_once_however_often_the_act_begins_again(stage) -> None:
    ctx, looks, request_id = stage
    run_dry(ctx, lambda hands: abort_and_clean(hands, request_id, "why"))
    dids = [call for call in looks.calls if call.startswith("GET /dids/")]
    assert len(dids) == len(set(dids))


def test_an_outage_is_an_answer_too(stage, url) -> None:
    ctx, looks, request_id = stage
    away = replace(ctx, clients=replace(ctx.clients, rucio=lambda: RucioClient(NOBODY, "production", lambda: "t", 0.2)))
    with pytest.raises(RucioUnavailable):
        run_dry(away, lambda hands: abort_and_clean(hands, request_id, "why"))
    assert looks.locked == []
    assert show_request(ctx, request_id)["state"] == "running"
