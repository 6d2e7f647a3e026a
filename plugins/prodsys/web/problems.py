"""Errors as people and programs read them: problem+json (RFC 9457), made from our exception tree."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from prodsys import errors
from prodsys.web import refusals

log = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
URN = "urn:prodsys:problem:"
RETRY_AFTER_S = 5
ANSWERED = "prodsys.answered"  # in a scope: the error that comes is answered and logged
SHOWN = 300  # characters of a value that are repeated


class Problem(BaseModel):
    """What went wrong (RFC 9457). Further members carry the ids that the error speaks of."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="what kind of problem; stable", examples=[f"{URN}move-refused"])
    title: str = Field(description="the same for all problems of a type", examples=["The state does not allow it"])
    status: int = Field(description="status of HTTP", examples=[409])
    detail: str = Field(
        description="what is wrong here, and what to do about it",
        examples=["pause is not possible while PROD2025-016 is planned; possible now: plan, approve, abort"],
    )
    instance: str = Field(description="path of the call", examples=["/prodsys/api/v1/requests/PROD2025-016/pause"])


@dataclass(frozen=True)
class Kind:
    """A type of problem; `open` False: the text may name hosts or files, and stays in the log."""

    status: HTTPStatus
    name: str
    title: str
    open: bool = True
    retry: bool = False


S = HTTPStatus
UNEXPECTED = Kind(S.INTERNAL_SERVER_ERROR, "unexpected", "Something went wrong here", open=False)
NO_JSON = Kind(S.BAD_REQUEST, "no-json", "The body is no JSON")
FAULTY_VALUE = Kind(S.UNPROCESSABLE_ENTITY, "invalid", "A value cannot be")
KINDS: dict[type[BaseException], Kind] = {  # the nearest ancestor counts
    errors.ProductionError: Kind(S.CONFLICT, "refused", "Refused"),
    errors.ServiceUnavailable: Kind(S.SERVICE_UNAVAILABLE, "unavailable", "A service does not answer", retry=True),
    errors.LedgerUnavailable: Kind(
        S.SERVICE_UNAVAILABLE, "ledger-unavailable", "The ledger does not answer", open=False, retry=True
    ),
    errors.IdentityUnavailable: Kind(
        S.SERVICE_UNAVAILABLE, "identity-unavailable", "The identity provider does not answer", open=False, retry=True
    ),
    errors.AirflowUnavailable: Kind(
        S.SERVICE_UNAVAILABLE,
        "airflow-unavailable",
        "Airflow does not answer, or does not show the DAG yet",
        open=False,
        retry=True,
    ),
    errors.RequestUnavailable: Kind(S.SERVICE_UNAVAILABLE, "request-paused", "The request rests", retry=True),
    errors.SpecInvalid: FAULTY_VALUE,
    errors.FileUnreadable: FAULTY_VALUE,
    errors.SettingMissing: Kind(S.INTERNAL_SERVER_ERROR, "not-configured", "This server lacks a setting", open=False),
    errors.RequestUnknown: Kind(S.NOT_FOUND, "request-unknown", "No such request"),
    errors.NotFound: Kind(S.NOT_FOUND, "unknown", "No such thing"),
    errors.TaskUnknown: Kind(S.NOT_FOUND, "task-unknown", "PanDA knows no such task"),
    errors.RequestChanged: Kind(S.PRECONDITION_FAILED, "request-changed", "The request has changed meanwhile"),
    errors.InvalidTransition: Kind(S.CONFLICT, "move-refused", "The state does not allow it"),
    errors.SeedsTaken: Kind(S.CONFLICT, "seeds-taken", "Seeds have an owner"),
    errors.PlanChanged: Kind(S.CONFLICT, "plan-changed", "The plan is another"),
    errors.KeyBusy: Kind(S.CONFLICT, "key-busy", "The same call is being worked on", retry=True),
    errors.KeyReused: Kind(S.UNPROCESSABLE_ENTITY, "key-reused", "The idempotency key belongs to another call"),
    errors.NotAllowed: Kind(S.FORBIDDEN, "not-allowed", "Your role does not allow it"),
    errors.PandaError: Kind(S.BAD_GATEWAY, "panda-error", "PanDA said no"),
    errors.RucioError: Kind(S.BAD_GATEWAY, "rucio-error", "Rucio said no"),
    errors.InsufficientSpace: Kind(S.CONFLICT, "space-lacking", "It does not fit"),
    errors.DatasetConflict: Kind(S.CONFLICT, "dataset-conflict", "Rucio holds something else"),
    errors.AirflowRefused: Kind(S.BAD_GATEWAY, "airflow-refused", "Airflow said no"),
    refusals.SpecsFaulty: Kind(S.INTERNAL_SERVER_ERROR, "specs-faulty", "This server's specs are faulty", open=False),
    refusals.NotAuthenticated: Kind(S.UNAUTHORIZED, "not-authenticated", "Who are you?"),
    refusals.OriginRefused: Kind(S.FORBIDDEN, "origin-refused", "Not from this origin"),
    refusals.AccessRefused: Kind(S.FORBIDDEN, "access-refused", "Airflow does not let you see it"),
    refusals.BodyTooLarge: Kind(S.REQUEST_ENTITY_TOO_LARGE, "too-large", "The body is too large"),
    refusals.ConditionMissing: Kind(S.PRECONDITION_REQUIRED, "condition-missing", "If-Match is missing"),
}
PLAIN = {  # what the framework refuses before a route of ours is reached, or while it reads the body
    kind.status: kind
    for kind in (
        NO_JSON,
        KINDS[refusals.BodyTooLarge],
        Kind(S.NOT_FOUND, "path-unknown", "No such path"),
        Kind(S.METHOD_NOT_ALLOWED, "method-unknown", "Not with this method"),
    )
}


def kind_of(error: BaseException) -> Kind:
    """The type of problem that an error is; `UNEXPECTED` for what nobody raised on purpose.

    A class without an entry has the status of its nearest ancestor, and a name and title of its own.
    """
    own = type(error)
    if own in KINDS or not isinstance(error, errors.ProductionError):
        return KINDS.get(own, UNEXPECTED)
    nearest = next(KINDS[one] for one in own.__mro__ if one in KINDS)
    title = (own.__doc__ or nearest.title).strip().splitlines()[0].rstrip(".")
    return replace(nearest, name=re.sub(r"(?<!^)(?=[A-Z])", "-", own.__name__).lower(), title=title)


def problem_of(error: BaseException, path: str) -> JSONResponse:
    """The answer to a call that ended in this error."""
    kind = kind_of(error)
    if kind.status >= S.INTERNAL_SERVER_ERROR:
        log.error("%s: %s: %s", path, type(error).__name__, error, exc_info=error if kind is UNEXPECTED else None)
    members = _ids(error) if kind.open else {}
    detail = str(error) if kind.open else f"{kind.title}; the log of this server says why"
    headers = {"Retry-After": str(RETRY_AFTER_S)} if kind.retry else {}
    if kind.status is S.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return _response(kind, detail, path, members, headers)


def _response(
    kind: Kind, detail: str, path: str, members: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> JSONResponse:
    body = {
        **members,
        "type": URN + kind.name,
        "title": kind.title,
        "status": int(kind.status),
        "detail": detail,
        "instance": path,
    }
    return JSONResponse(body, kind.status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def _ids(error: BaseException) -> dict[str, Any]:
    """What an error carries besides its text: ids, states, remedies."""
    return {name: _plain(value) for name, value in vars(error).items() if not name.startswith("_")}


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return str(value)[:SHOWN]
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return str(value)[:SHOWN]


def install(app: FastAPI) -> None:
    """Answer every error of an application with a problem."""

    async def ours(request: Request, error: Exception) -> JSONResponse:
        return problem_of(error, request.url.path)

    async def faulty(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return _faulty(request, error)

    async def plain(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        status = S(error.status_code)
        kind = PLAIN.get(status) or Kind(status, "http", status.phrase)
        return _response(kind, str(error.detail), request.url.path, {}, error.headers)

    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        request.scope[ANSWERED] = True  # Starlette raises it once more, after the answer
        return problem_of(error, request.url.path)

    app.add_exception_handler(errors.ProductionError, ours)
    app.add_exception_handler(Exception, unexpected)
    app.add_exception_handler(RequestValidationError, faulty)
    app.add_exception_handler(HTTPException, plain)


def _faulty(request: Request, error: RequestValidationError) -> JSONResponse:
    """A body that is no JSON is a bad request; a value that cannot be is named with its place."""
    found = error.errors()
    if any(one["type"] == "json_invalid" for one in found):
        return _response(NO_JSON, "send JSON", request.url.path, {})
    faults = [
        {"place": ".".join(map(str, one["loc"])), "message": one["msg"].removeprefix("Value error, ")[:SHOWN]}
        for one in found
    ]
    detail = "; ".join(f"{one['place']}: {one['message']}" for one in faults)
    return _response(FAULTY_VALUE, detail, request.url.path, {"errors": faults})


ALWAYS = (401, 403, 500, 503)  # any call may end so


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route documents: the problems that its call may end in."""
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {
        status: {"description": _about(status), "content": {MEDIA_TYPE: schema}}
        for status in sorted({*ALWAYS, *statuses})
    }


def _about(status: int) -> str:
    names = sorted({kind.name for kind in (*KINDS.values(), UNEXPECTED) if kind.status == status})
    return f"{S(status).phrase}: {', '.join(names)}" if names else S(status).phrase
