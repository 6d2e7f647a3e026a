"""What calls name: ids in paths, context of the caller, conditions and keys in headers."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import Depends, Header, Path, Query
from pydantic import AfterValidator
from starlette.requests import Request

from prodsys.actions.core.context import Context
from prodsys.errors import SpecInvalid
from prodsys.model.names import canonical_id
from prodsys.web.context_factory import ContextFactory
from prodsys.web.guard import Guards, person_of
from prodsys.web.person import Access
from prodsys.web.refusals import AccessRefused

NAME = r"^[\x21-\x7e]+$"  # ids, names and DIDs hold no blank and nothing unprintable
MAX_ID = 2**63 - 1


def known_query(request: Request) -> None:
    """Refuse a query parameter that the route does not know, or has twice: a filter misspelt would find everything."""
    known = _query_of(request.app.openapi(), request.scope["route"].path_format, request.method)
    for name in request.query_params:
        given = len(request.query_params.getlist(name))
        if name not in known:
            raise SpecInvalid(f"query.{name}", "is not known here", f"known: {', '.join(sorted(known)) or 'none'}")
        if given > 1 and not known[name]:
            raise SpecInvalid(f"query.{name}", f"is given {given} times", "give it once")


def _query_of(schema: dict[str, Any], path: str, method: str) -> dict[str, bool]:
    """Query parameters of a route, each with whether it may be given several times."""
    operation = schema["paths"].get(path, {}).get(method.lower(), {})
    found = [one for one in operation.get("parameters", []) if one["in"] == "query"]
    return {one["name"]: '"array"' in json.dumps(one["schema"]) for one in found}


def action_context(request: Request) -> Context:
    """Context of the person whom the guard let in."""
    make: ContextFactory = request.app.state.make_context
    return make(person_of(request))


def may_audit(request: Request) -> None:
    """AccessRefused unless Airflow lets the person read its audit log."""
    guards: Guards = request.app.state.guards
    person = person_of(request)
    if not guards.may(person, Access.AUDIT):
        raise AccessRefused(person.name, Access.AUDIT)


ActionContext = Annotated[Context, Depends(action_context)]
RequestId = Annotated[
    str,
    Path(max_length=64, pattern=NAME, examples=["PROD2025-016"], description="id of a request"),
    AfterValidator(canonical_id),
]
OfRequest = Annotated[
    str | None,
    Query(pattern=r"^[A-Z][A-Z0-9]*[0-9]{4}-[0-9]{3,40}$", max_length=64, examples=["PROD2025-016"]),
    AfterValidator(lambda value: value and canonical_id(value)),
]
IfMatch = Annotated[
    str | None,
    Header(
        max_length=500,
        pattern=r'^\s*(\*|(W/)?"[^"]*"(\s*,\s*(W/)?"[^"]*")*)\s*$',
        description="ETag of the picture of the request that this was decided on; `*`: any",
        examples=['"fe2a4590e91f1819e993a59556981b98"'],
    ),
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="a name for this very call, such as a UUID: sent again within a day, it gets the first answer",
    ),
]
DryRun = Annotated[bool, Query(description="say what would happen, and change nothing")]
