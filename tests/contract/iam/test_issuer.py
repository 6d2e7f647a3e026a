"""The issuer keeps to OpenID Connect, read by libraries that are not ours (authlib, PyJWT)."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import httpx
import jwt
import pytest
from authlib.integrations.httpx_client import OAuth2Client
from starlette.testclient import TestClient

from sandbox.iam.clients import Client, write_clients
from sandbox.iam.server import CLIENTS_FILE, create_app

ISSUER = "http://127.0.0.1:18999/"
ROBOT = Client(secret="s3cret", name="production", groups=("spd", "spd/production"), audiences=("panda", "rucio"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_clients(
        tmp_path / CLIENTS_FILE, {"production": ROBOT, "brief": Client(secret="b", name="brief", lifetime_s=1)}
    )
    return tmp_path


@pytest.fixture
def iam(folder: Path) -> Iterator[TestClient]:
    with TestClient(create_app(folder, ISSUER), base_url=ISSUER) as client:
        yield client


def ask(iam: httpx.Client, **form: str) -> httpx.Response:
    known = {"grant_type": "client_credentials", "client_id": "production", "client_secret": "s3cret"}
    return iam.post("/token", data={**known, **form})


def claims(iam: httpx.Client, token: str, **options: object) -> dict:
    row = iam.get("/jwk").json()["keys"][0]
    return jwt.decode(token, jwt.PyJWK.from_dict(row).key, algorithms=["RS256"], issuer=ISSUER, **options)


def test_a_robot_gets_a_token_that_others_can_check(iam: TestClient) -> None:
    answer = ask(iam, audience="panda").json()
    seen = claims(iam, answer["access_token"], audience="panda")
    assert (seen["sub"], seen["name"], seen["aud"]) == ("production", "production", "panda")
    assert seen["groups"] == ["spd", "spd/production"]
    assert seen["scope"] == answer["scope"] == "openid wlcg"
    assert seen["exp"] - seen["iat"] == answer["expires_in"] == 3600


def test_without_an_audience_it_is_for_all_configured_ones(iam: TestClient) -> None:
    seen = claims(iam, ask(iam).json()["access_token"], audience="rucio")
    assert seen["aud"] == ["panda", "rucio"]


def test_resource_is_another_word_for_audience(iam: TestClient) -> None:
    assert claims(iam, ask(iam, resource="rucio").json()["access_token"], audience="rucio")["aud"] == "rucio"


def test_a_stock_client_library_is_served(iam: TestClient) -> None:
    endpoint = iam.get("/.well-known/openid-configuration").json()["token_endpoint"]
    with OAuth2Client("production", "s3cret", transport=iam._transport) as client:
        token = client.fetch_token(endpoint, grant_type="client_credentials", audience="rucio")
    assert claims(iam, token["access_token"], audience="rucio")["sub"] == "production"


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "nobody"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"scope": "openid admin"}, 400, "invalid_scope"),
    ],
)
def test_a_refusal_says_why(iam: TestClient, form: dict[str, str], status: int, error: str) -> None:
    answer = ask(iam, **form)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


def test_a_mangled_basic_header_is_refused(iam: TestClient) -> None:
    answer = iam.post("/token", data={"grant_type": "client_credentials"}, headers={"Authorization": "Basic %%%"})
    assert answer.status_code == 401


def test_introspection_knows_good_from_foreign(iam: TestClient) -> None:
    login = {"Authorization": "Basic " + base64.b64encode(b"production:s3cret").decode()}
    token = ask(iam).json()["access_token"]
    assert iam.post("/introspect", data={"token": token}, headers=login).json()["sub"] == "production"
    assert iam.post("/introspect", data={"token": token + "x"}, headers=login).json() == {"active": False}
    assert iam.post("/introspect", data={"token": token}).status_code == 401


def test_userinfo_tells_who_bears_the_token(iam: TestClient) -> None:
    token = ask(iam).json()["access_token"]
    assert iam.get("/userinfo", headers={"Authorization": f"Bearer {token}"}).json()["groups"] == [
        "spd",
        "spd/production",
    ]
    assert iam.get("/userinfo").status_code == 401


def test_tokens_outlive_a_restart_and_secrets_stay_private(iam: TestClient, folder: Path) -> None:
    token = ask(iam).json()["access_token"]
    with TestClient(create_app(folder, ISSUER), base_url=ISSUER) as again:
        assert claims(again, token, audience="panda")["sub"] == "production"
    assert {oct(path.stat().st_mode & 0o777) for path in folder.iterdir()} == {"0o600"}


def test_a_new_client_is_known_without_a_restart(iam: TestClient, folder: Path) -> None:
    assert ask(iam, client_id="late", client_secret="x").status_code == 401
    write_clients(folder / CLIENTS_FILE, {"late": Client(secret="x", name="late")})
    assert ask(iam, client_id="late", client_secret="x").status_code == 200


def test_health_signs_for_real(iam: TestClient) -> None:
    assert iam.get("/health").json() == {"status": "healthy"}
