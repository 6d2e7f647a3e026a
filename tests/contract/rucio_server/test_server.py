"""The sandbox's Rucio server: tokens of our issuer, rights of the robot, rules that move real bytes."""

from __future__ import annotations

import hashlib
import json
import os
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.rucio.configuration import SCOPES
from tests.rucio_fixture import RucioServer

SCOPE = "MC2025_S2"
TIMEOUT_S = 20
PATIENCE_S = 60


class Rest:
    """Rucio's REST interface with a token, without any client library."""

    def __init__(self, server: RucioServer, token: str) -> None:
        self._http = httpx.Client(
            base_url=server.url, timeout=TIMEOUT_S, headers={"X-Rucio-Auth-Token": token}, follow_redirects=True
        )

    def call(self, method: str, path: str, **body: Any) -> httpx.Response:
        content = json.dumps(body) if body else None
        return self._http.request(method, path, content=content, headers={"Content-Type": "application/json"})


@pytest.fixture
def rest(rucio_server: RucioServer) -> Rest:
    return Rest(rucio_server, rucio_server.token())


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def path_of(server: RucioServer, rse: str, name: str) -> Path:
    digest = hashlib.md5(f"{SCOPE}:{name}".encode()).hexdigest()
    return server.rse_root / rse / SCOPE / digest[:2] / digest[2:4] / name


@pytest.fixture
def dataset(rucio_server: RucioServer, rest: Rest) -> tuple[str, list[str]]:
    """A dataset of two files that lie at JINR."""
    name = rucio_server.did(scope=SCOPE).name
    assert rest.call("POST", f"/dids/{SCOPE}/{name}", type="DATASET").status_code == 201
    files = []
    for number in (1, 2):
        file, content = f"{name}.{number:06}.root", os.urandom(20_000)
        path = path_of(rucio_server, "JINR_EOS", file)
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        row = {"scope": SCOPE, "name": file, "bytes": len(content), "adler32": f"{zlib.adler32(content):08x}"}
        files.append(row)
    attachment = {"scope": SCOPE, "name": name, "rse": "JINR_EOS", "dids": files}
    answer = rest.call("POST", "/dids/attachments", attachments=[attachment], ignore_duplicate=True)
    assert answer.status_code == 201, answer.text
    return name, [row["name"] for row in files]


def add_rule(rest: Rest, name: str, expression: str, copies: int) -> str:
    rule = {"copies": copies, "rse_expression": expression, "account": "production", "grouping": "DATASET"}
    answer = rest.call("POST", "/rules/", dids=[{"scope": SCOPE, "name": name}], **rule)
    assert answer.status_code == 201, answer.text
    return str(answer.json()[0])


def rule_of(rest: Rest, rule_id: str) -> dict[str, Any]:
    return rest.call("GET", f"/rules/{rule_id}").json()


def test_a_token_of_our_issuer_is_the_account_production(rest: Rest) -> None:
    assert rest.call("GET", "/accounts/whoami").json()["account"] == "production"


@pytest.mark.parametrize(
    "claims",
    [{"audience": "panda"}, {"subject": "stranger"}, {"lifetime_s": -60}],
    ids=["audience", "subject", "expired"],
)
def test_another_token_is_refused(rucio_server: RucioServer, claims: dict[str, Any]) -> None:
    answer = Rest(rucio_server, rucio_server.token(**claims)).call("GET", "/rses/JINR_EOS")
    assert answer.status_code == 401


def test_the_scopes_of_the_specs_belong_to_production(rest: Rest) -> None:
    assert set(rest.call("GET", "/accounts/production/scopes/").json()) >= set(SCOPES)


def test_a_rule_moves_real_bytes(rucio_server: RucioServer, rest: Rest, dataset: tuple[str, list[str]]) -> None:
    name, files = dataset
    rule_id = add_rule(rest, name, "JINR_EOS|PNPI_EOS", 2)
    wait_for(lambda: rule_of(rest, rule_id)["state"] == "OK")
    assert rule_of(rest, rule_id)["locks_ok_cnt"] == 4
    for file in files:
        copies = [path_of(rucio_server, rse, file).read_bytes() for rse in ("JINR_EOS", "PNPI_EOS")]
        assert copies[0] == copies[1]
    assert not list(rucio_server.rse_root.rglob(".*.root.*"))


def test_damaged_bytes_are_never_passed_on(
    rucio_server: RucioServer, rest: Rest, dataset: tuple[str, list[str]]
) -> None:
    name, files = dataset
    path_of(rucio_server, "JINR_EOS", files[0]).write_bytes(b"x" * 20_000)
    rule_id = add_rule(rest, name, "PNPI_EOS", 1)
    wait_for(lambda: rule_of(rest, rule_id)["state"] == "STUCK")
    assert "adler32" in str(rule_of(rest, rule_id)["error"])
    assert not path_of(rucio_server, "PNPI_EOS", files[0]).exists()
    assert path_of(rucio_server, "PNPI_EOS", files[1]).exists()


def test_the_robot_may_change_and_end_its_own_rules(rest: Rest, dataset: tuple[str, list[str]]) -> None:
    rule_id = add_rule(rest, dataset[0], "JINR_EOS", 1)
    assert rest.call("PUT", f"/rules/{rule_id}", options={"lifetime": 1}).status_code == 200
    wait_for(lambda: rest.call("GET", f"/rules/{rule_id}").status_code == 404)


def test_the_robot_may_add_a_scope_of_its_own(rest: Rest) -> None:
    name = f"MC2031_{os.getpid()}"
    assert rest.call("POST", f"/accounts/production/scopes/{name}").status_code == 201


@pytest.mark.parametrize(
    ("path", "body"),
    [("/accounts/intruder", {"type": "USER", "email": "a@b"}), ("/rses/NEW_EOS", {"deterministic": True})],
)
def test_the_robot_is_no_administrator(rest: Rest, path: str, body: dict[str, Any]) -> None:
    assert rest.call("POST", path, **body).status_code == 401


def test_starting_again_keeps_the_catalogue(rucio_server: RucioServer, dataset: tuple[str, list[str]]) -> None:
    rucio_server.server.stop()
    rucio_server.restart()
    rest = Rest(rucio_server, rucio_server.token())
    assert rest.call("GET", f"/dids/{SCOPE}/{dataset[0]}").json()["name"] == dataset[0]
