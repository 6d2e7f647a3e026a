"""Connections, their forms and their tests; PanDA is the recordings over HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests import airflow_environment  # noqa: F401 - before Airflow
from tests.contract.client.replay import Replay, serve

import airflow  # isort: skip
from jsonschema import Draft7Validator  # isort: skip
from prodsys.errors import AirflowUnavailable, SettingMissing, StepFailed  # isort: skip
from prodsys.hooks.failing import final_errors_fail  # isort: skip
from prodsys.hooks.ledger import LedgerHook  # isort: skip
from prodsys.hooks.links import PandaTaskLink, task_page  # isort: skip
from prodsys.hooks.panda import PandaHook  # isort: skip
from prodsys.hooks.provider_info import get_provider_info  # isort: skip
from prodsys.hooks.rucio import RucioHook  # isort: skip
from prodsys.settings import Settings  # isort: skip
from airflow.sdk.exceptions import AirflowFailException  # isort: skip

PRODUCTION = {"success": True, "message": "", "data": {"is_production_user": True, "user_dn_clean": "production"}}
ALIVE = {"success": True, "message": "", "data": None}


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PRODSYS_HOME", str(tmp_path))


@pytest.fixture
def replay() -> Any:
    with serve() as server:
        for method, path, body in (
            ("GET", "/.well-known/openid-configuration", {"token_endpoint": f"{server.url}/token"}),
            ("POST", "/token", {"access_token": "t0ken", "expires_in": 60}),
        ):
            server.answer(method, "", body)
            server.replies[method, path, json.dumps([{}, None])] = server.replies.pop(
                (method, "/api/v1/", json.dumps([{}, None]))
            )
        server.answer("GET", "system/is_alive", ALIVE)
        server.answer("GET", "system/get_user_attributes", PRODUCTION)
        yield server


def _connect(monkeypatch: pytest.MonkeyPatch, kind: str, **fields: Any) -> None:
    body = {"conn_type": kind, "login": "production", "password": "s3cret"} | fields
    monkeypatch.setenv(f"AIRFLOW_CONN_{kind.upper()}_DEFAULT", json.dumps(body))


def test_the_panda_connection_is_tested_with_its_own_robot(replay: Replay, monkeypatch: pytest.MonkeyPatch):
    _connect(monkeypatch, "panda", host=replay.url, extra={"issuer": replay.url, "audience": "panda2"})
    assert PandaHook().test_connection() == (True, f"PanDA at {replay.url} answers and sees the production role")
    last = replay.seen[-1]
    assert (last.headers["Authorization"], last.headers["Origin"]) == ("Bearer t0ken", "spd.production")
    replay.answer("GET", "system/get_user_attributes", {"success": True, "message": "", "data": {}})
    passed, words = PandaHook().test_connection()
    assert not passed
    assert "PRODSYS_PANDA_ORIGIN" in words
    assert "s3cret" not in words


def test_a_connection_test_says_what_is_missing(replay: Replay, monkeypatch: pytest.MonkeyPatch):
    _connect(monkeypatch, "panda", extra={"issuer": replay.url})
    passed, words = PandaHook().test_connection()
    assert (passed, "host" in words) == (False, True)
    _connect(monkeypatch, "panda", host=replay.url)
    passed, words = PandaHook().test_connection()
    assert (passed, "PRODSYS_IAM_ISSUER" in words) == (False, True)
    _connect(
        monkeypatch, "rucio", host="http://127.0.0.1:1", extra={"issuer": replay.url, "account": "a", "timeout_s": 0.2}
    )
    passed, words = RucioHook().test_connection()
    assert (passed, "Rucio is not available" in words) == (False, True)


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({"host": "https://panda.example/"}, "https://panda.example"),
        ({"host": "http://panda.example", "port": 25080}, "http://panda.example:25080"),
        ({"host": "panda.example"}, "https://panda.example"),
        ({"host": "panda.example", "port": 25080, "schema": "http"}, "http://panda.example:25080"),
    ],
)
def test_an_address_is_read_in_both_forms(monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], url: str):
    _connect(monkeypatch, "panda", **fields)
    assert PandaHook().url == url


def test_what_a_connection_does_not_say_comes_from_the_profile(monkeypatch: pytest.MonkeyPatch):
    _connect(monkeypatch, "rucio", host="http://r")
    hook = RucioHook()
    assert hook.timeout_s == hook.profile.times.call_timeout_s
    with pytest.raises(SettingMissing, match="PRODSYS_RUCIO_ACCOUNT"):
        _ = hook.account
    monkeypatch.setenv("PRODSYS_RUCIO_ACCOUNT", "production")
    assert RucioHook().account == "production"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_the_ledger_is_reached_with_its_own_driver(monkeypatch: pytest.MonkeyPatch, scheme: str):
    monkeypatch.setenv("AIRFLOW_CONN_PRODSYS_LEDGER", f"{scheme}://prodsys:p%40ss%2Fw@127.0.0.1:5433/prodsys")
    url = LedgerHook().ledger_url
    assert (url.drivername, url.host, url.port, url.database) == ("postgresql+psycopg", "127.0.0.1", 5433, "prodsys")
    assert (url.username, url.password) == ("prodsys", "p@ss/w")
    assert "p@ss" not in repr(url)


def test_the_declaration_is_what_airflow_asks_of_a_provider():
    info = get_provider_info()
    schema = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text(encoding="utf-8"))
    assert list(Draft7Validator(schema).iter_errors(info)) == []
    hooks = {kind["connection-type"]: kind["hook-class-name"] for kind in info["connection-types"]}
    for hook in (PandaHook, RucioHook):
        assert hooks[hook.conn_type] == f"{hook.__module__}.{hook.__name__}"
        assert set(hook.get_ui_field_behaviour()) == {"hidden_fields", "relabeling", "placeholders"}
    assert info["extra-links"] == [f"{PandaTaskLink.__module__}.PandaTaskLink"]


def test_a_task_page_needs_an_id_and_a_monitor():
    monitor = Settings({"PRODSYS_PANDA_MONITOR_URL": "http://monitor/"})
    assert task_page(364, monitor) == "http://monitor/task/364"
    assert task_page(364, Settings({"PRODSYS_PANDA_URL": "http://panda"})) == "http://panda/task/364"
    assert (task_page(None, monitor), task_page("364", monitor), task_page(364, Settings({}))) == ("", "", "")


def test_only_what_another_try_cannot_mend_fails_at_once():
    with pytest.raises(AirflowFailException, match="PROD2025-016 SIM: failed"), final_errors_fail():
        raise StepFailed("PROD2025-016", "SIM", "failed", "no seed came")
    with pytest.raises(AirflowUnavailable), final_errors_fail():
        raise AirflowUnavailable("x")
