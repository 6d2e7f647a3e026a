"""Every method on tasks and jobs: verb, role, missing, extra and badly typed arguments, no token, no JSON."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.panda.endpoints import SAMPLES, Method, read_methods
from tests.contract.panda.target import Server
from tests.contract.panda.targets import Target

METHODS = read_methods()
WRONG: dict[str, tuple[Any, str, str]] = {
    "int": ("abc", "must be of type int, got str.", "with value 'abc' could not be casted to type int from str."),
    "str": (7, "must be of type str, got int.", ""),
    "Dict": ([], "must be of type dict, got list.", ""),
    "bool": ("x", "must be of type bool, got str.", ""),
}
"""Value of a wrong type by annotation; what is said of it in a body and in a query (empty: a query takes it)."""


def _chosen(condition: Any) -> list[Any]:
    return [pytest.param(one, id=one.path.replace("/", "-")) for one in METHODS if condition(one)]


def _call(server: Server, method: Method, given: dict[str, Any], verb: str = "", **how: Any) -> dict[str, Any]:
    verb = verb or method.call_verb
    query, body = (given, None) if verb == "GET" else (None, given)
    reply = server.call(verb, f"/api/v1/{method.path}", query, body, **how)
    assert (reply.status_code, reply.headers["content-type"]) == (200, "text/plain"), reply.text[:300]
    return reply.json()


def _refused(message: str) -> dict[str, Any]:
    return {"success": False, "message": message, "data": None}


def test_the_list_is_complete() -> None:
    assert len(METHODS) == 42
    assert sum(one.who == "production role" for one in METHODS) == 16


@pytest.mark.parametrize("method", _chosen(lambda one: one.required))
def test_a_missing_argument_is_named(server: Server, method: Method) -> None:
    said = f"Argument error: missing a required argument: '{method.required[0].name}'"
    assert _call(server, method, {}) == _refused(said)


@pytest.mark.parametrize("method", _chosen(lambda one: True))
def test_an_argument_too_many_is_named(server: Server, method: Method) -> None:
    said = "Argument error: got an unexpected keyword argument 'extra'"
    assert _call(server, method, {**method.good(), "extra": 1}) == _refused(said)


@pytest.mark.parametrize("method", _chosen(lambda one: one.verb != "any"))
def test_the_wrong_verb_is_refused(server: Server, method: Method) -> None:
    wrong = "GET" if method.verb == "POST" else "POST"
    assert _call(server, method, method.good(), wrong) == _refused(f"expecting {method.verb}, received {wrong}")


def _typed(method: Method) -> bool:
    return any(one.kind in WRONG and (method.call_verb == "POST" or WRONG[one.kind][2]) for one in method.required)


@pytest.mark.parametrize("method", _chosen(_typed))
def test_an_argument_of_the_wrong_type_is_named(server: Server, method: Method) -> None:
    column = 1 if method.call_verb == "POST" else 2
    wrong = next(one for one in method.required if one.kind in WRONG and WRONG[one.kind][column])
    value, *said = WRONG[wrong.kind]
    given = {**method.good(), wrong.name: value}
    assert _call(server, method, given) == _refused(f"Type error: '{wrong.name}' {said[column - 1]}")


@pytest.mark.parametrize("method", _chosen(lambda one: one.who != "no auth"))
def test_without_a_token_nothing_is_done(server: Server, method: Method) -> None:
    assert _call(server, method, method.good(), token=None) == _refused("SSL secure connection is required")


@pytest.mark.parametrize("method", _chosen(lambda one: one.who == "production role"))
def test_without_the_role_it_is_refused(target: Target, method: Method) -> None:
    said = _refused("production or pilot role required")
    assert _call(target.without_role(), method, method.good()) == said


@pytest.mark.parametrize("method", _chosen(lambda one: one.verb == "POST"))
def test_a_body_that_is_no_json_is_refused(server: Server, method: Method) -> None:
    reply = server.call("POST", f"/api/v1/{method.path}", body="{nonsense")
    assert (reply.status_code, reply.headers["content-type"]) == (500, "text/plain")
    assert reply.text.startswith("ERROR : received invalid JSON : Expecting property name enclosed in double quotes")


def test_there_is_a_sample_for_every_type() -> None:
    assert {one.kind for method in METHODS for one in method.required} <= set(SAMPLES)
