"""The gate: no route answers without a credential, whatever the path, the method and the body."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from prodsys.web.api.command_routes import make_router
from prodsys.web.api.read_routes import router
from prodsys.web.application import create_app
from prodsys.web.person import Access, Person
from prodsys.web.refusals import NotAuthenticated

API = "/prodsys/api/v1"
ROUTES = sorted(
    (method, re.sub(r"\{(\w+)(:path)?\}", lambda found: "7" if "question" in found[1] else "X1", route.path))
    for one in (router, make_router())
    for route in one.routes
    if isinstance(route, APIRoute)
    for method in route.methods
)
OTHERS = [("GET", "/openapi.json"), ("GET", "/nothing"), ("PUT", "/me"), ("GET", "/../..")]
PROBLEM = "application/problem+json"


async def token_user(request: Any) -> Person:
    name = request.headers.get("authorization", "").removeprefix("Bearer ")
    if name == "broken":
        raise RuntimeError("secret internals")
    if name not in {"guest", "viewer"}:
        raise NotAuthenticated("Not authenticated")
    return Person(name)


def no_context(person: Person) -> NoReturn:
    raise RuntimeError(f"secret internals: postgresql://prodsys:password@db for {person.name}")


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    def may(person: Person, access: Access) -> bool:
        return person.name == "viewer" and access is Access.LOOK

    root = FastAPI(openapi_url=None)
    root.mount("/prodsys", create_app(token_user, may, make_context=no_context))
    with TestClient(root) as opened:
        yield opened


def test_the_routes_are_those_of_the_issue():
    for word in ("requests", "plans", "tasks", "seeds", "datasets", "audit", "certificates", "questions"):
        assert ("GET", f"/{word}") in ROUTES
    for act in ("plan", "approve", "launch", "pause", "resume", "finish", "priority", "abort", "archive", "clone"):
        assert ("POST", f"/requests/X1/{act}") in ROUTES


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer forged"}, {"Cookie": "_token=x"}])
@pytest.mark.parametrize(
    ("method", "path"), [*ROUTES, ("GET", "/openapi.json"), ("GET", "/no"), ("PUT", "/me"), ("GET", "/..")]
)
def test_no_route_answers_without_a_credential(client, method, path, headers):
    for body in (b"{}", b"not json"):
        answer = client.request(method, API + path, content=body, headers=headers)
        assert (answer.status_code, answer.headers["content-type"]) == (401, PROBLEM)
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["type"] == "urn:prodsys:problem:not-authenticated"


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_who_may_not_see_dags_at_airflow_sees_nothing_here(client, method, path):
    answer = client.request(method, API + path, content=b"{}", headers={"Authorization": "Bearer guest"})
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:prodsys:problem:access-refused")


@pytest.mark.parametrize("token", ["broken", "viewer"])
def test_an_unexpected_error_says_nothing_about_our_insides(client, token, caplog):
    answer = client.get(API + "/requests", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.headers["content-type"]) == (500, PROBLEM)
    assert answer.json() == {
        "type": "urn:prodsys:problem:unexpected",
        "title": "Something went wrong here",
        "status": 500,
        "detail": "Something went wrong here; the log of this server says why",
        "instance": API + "/requests",
    }
    assert caplog.text.count("RuntimeError: secret internals") >= 1  # there it is wanted
    assert len([one for one in caplog.records if one.name.startswith("prodsys")]) == 1


def test_nobody_opens_a_web_socket(client):
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(API + "/requests"):
        pass


def test_a_path_or_method_that_is_not_there_is_a_problem_too(client):
    headers = {"Authorization": "Bearer viewer"}
    assert client.get(API + "/nothing", headers=headers).headers["content-type"] == PROBLEM
    answer = client.put(API + "/me", headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (405, PROBLEM)
    assert answer.headers["allow"] == "GET"
