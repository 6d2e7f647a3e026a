"""Routes of the acts, made from their registry; conditions, keys and dry runs are the same for all of them."""

from __future__ import annotations

import inspect
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from prodsys.actions.core.context import Context
from prodsys.actions.core.dry_run import run_dry
from prodsys.actions.core.request_snapshot import RequestSnapshot, expect, show_snapshot
from prodsys.errors import LedgerUnavailable
from prodsys.ledger.idempotency import Call, StoredAnswer, claim_key, keep_answer, let_go
from prodsys.model.request import RequestSpec, digest_of
from prodsys.model.statuses import RequestState
from prodsys.model.written import WrittenRequest
from prodsys.web.api.bodies import Done
from prodsys.web.api.command import Entry
from prodsys.web.api.command_registry import ACTS
from prodsys.web.api.parameters import MAX_ID, ActionContext, DryRun, IdempotencyKey, IfMatch, RequestId
from prodsys.web.api.replies import ANY, JSON, etag, tags_in
from prodsys.web.problems import MEDIA_TYPE, problem_of, problem_responses
from prodsys.web.refusals import AnswerLost, ConditionMissing, TooBusy

AT_ONCE = 6  # acts of one process: the others of its 40 threads, which are Airflow's too, stay free for quick answers
LOOK_AGAIN_S = 5  # after a 202
WAIT = "wait"  # field of a body: the caller wants to know when the run is started
REPLAYED = "Idempotency-Replayed"
NUMBERS = ("question_id", "finding_id")  # subjects that are no requests
WRITTEN: dict[type[BaseModel], type[BaseModel]] = {RequestSpec: WrittenRequest}  # what comes in by a door is cleaned
CONDITIONAL = "{request_id}"  # acts on a request that is there take If-Match
log = logging.getLogger(__name__)


@dataclass
class Progress:
    """How far a call came: once the act has returned, the ledger holds what it did."""

    done: bool = False


@dataclass(frozen=True)
class Order:
    """An act as it was asked for."""

    entry: Entry
    subject: str
    body: BaseModel
    dry_run: bool = False
    if_match: str | None = None
    key: str | None = None


class Slots:
    """So many acts at once, and no more: an act may wait for PanDA, and must not take all threads with it."""

    def __init__(self, number: int = AT_ONCE) -> None:
        self._free, self._number = threading.BoundedSemaphore(number), number

    @contextmanager
    def one(self) -> Iterator[None]:
        """Take a slot for as long as the act lasts; TooBusy when none is free."""
        if not self._free.acquire(blocking=False):
            raise TooBusy(self._number)
        try:
            yield
        finally:
            self._free.release()


def make_router() -> APIRouter:
    """A router with a route for each act."""
    router = APIRouter()
    for entry in ACTS:
        router.add_api_route(
            entry.route,
            endpoint_of(entry),
            methods=[entry.method],
            tags=[entry.tag],
            name=entry.name,
            operation_id=f"{entry.tag}_{entry.name}".replace("-", "_"),
            summary=entry.summary,
            description=_description(entry),
            response_model=Done[entry.answer],  # type: ignore[name-defined]
            status_code=201 if entry.creates else 200,
            responses={**problem_responses(*_refusals(entry)), **_accepted(entry)},
        )
    return router


def _description(entry: Entry) -> str:
    lines = [entry.text, f"Needs the right `{entry.right}` (policy.yaml says which roles have it)."]
    if entry.match:
        lines.append("`If-Match` is required (428 without it), but for a dry run.")
    if entry.creates:
        lines.append("`Location` names the new request; a dry run answers 200.")
    return "\n\n".join(lines)


def _accepted(entry: Entry) -> dict[int | str, dict[str, Any]]:
    """The other answer of acts that start a run: done, and the run is to come."""
    if WAIT not in entry.body.model_fields:
        return {}
    words = "done; the run is to come: look at `Location` after `Retry-After` seconds until it is there"
    return {202: {"description": words, "model": Done[entry.answer]}}  # type: ignore[name-defined]


def _refusals(entry: Entry) -> tuple[int, ...]:
    return (400, 403, 404, 409, 412, 413, 422, *((428,) if entry.match else ()), 502)


def endpoint_of(entry: Entry) -> Callable[..., Response]:
    """The endpoint of an act; its signature is what FastAPI reads and documents."""

    def endpoint(request: Request, ctx: Context, body: BaseModel, **given: Any) -> Response:
        subject = next((str(given.pop(name)) for name in ("request_id", *NUMBERS) if name in given), "")
        order = Order(entry, subject, body, given["dry_run"], given.get("if_match"), given["idempotency_key"])
        return perform(request, ctx, order)

    kind = inspect.Parameter.KEYWORD_ONLY
    wanted: dict[str, tuple[Any, Any]] = {"request": (Request, ...), "ctx": (ActionContext, ...)}
    if "{request_id}" in entry.route:
        wanted["request_id"] = (RequestId, ...)
    for name in NUMBERS:
        if f"{{{name}}}" in entry.route:
            wanted[name] = (Annotated[int, Path(ge=1, le=MAX_ID)], ...)
    needed = any(field.is_required() for field in entry.body.model_fields.values())
    wanted["body"] = (Annotated[WRITTEN.get(entry.body, entry.body), Body()], ... if needed else entry.body())
    wanted["dry_run"] = (DryRun, False)
    if CONDITIONAL in entry.route:
        wanted["if_match"] = (IfMatch, None)
    wanted["idempotency_key"] = (IdempotencyKey, None)
    endpoint.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(name, kind, annotation=note, default=inspect.Parameter.empty if value is ... else value)
            for name, (note, value) in wanted.items()
        ]
    )
    return endpoint


def perform(request: Request, ctx: Context, order: Order) -> Response:
    """Do an act once, or say what it would do; a call with a known key gets the answer it got."""
    ctx.check_permission(order.entry.name, order.entry.right)
    if order.entry.match and order.if_match is None and not order.dry_run:
        raise ConditionMissing(order.subject)
    slots: Slots = request.app.state.slots
    with slots.one():
        if order.key is None or order.dry_run:
            return _response(_do(request, ctx, order, Progress()))
        return _response(_once(request, ctx, order, order.key))


def _once(request: Request, ctx: Context, order: Order, key: str) -> StoredAnswer:
    body = order.body.model_dump(mode="json")
    call = Call(ctx.who, key, request.method, request.url.path, digest_of(body))
    held = claim_key(ctx.sessions, call)
    if isinstance(held, StoredAnswer):
        return StoredAnswer(held.status, {**held.headers, REPLAYED: "true"}, held.body)
    progress = Progress()
    try:
        answer = _do(request, ctx, order, progress)
    except BaseException as error:
        if progress.done:
            _quietly(lambda: keep_answer(ctx.sessions, call, held, _lost(request, order)))
        elif not (_makes_another(order) and isinstance(error, LedgerUnavailable)):  # else it may have been committed
            _quietly(lambda: let_go(ctx.sessions, call, held))
        raise
    _quietly(lambda: keep_answer(ctx.sessions, call, held, answer))
    return answer


def _makes_another(order: Order) -> bool:
    """Whether doing it twice makes two requests: the id is left to the server."""
    return order.entry.creates and getattr(order.body, "request_id", None) is None


def _lost(request: Request, order: Order) -> StoredAnswer:
    """What the next call with the key is told, when the act was done and its answer could not be made."""
    about = order.subject or "the list of requests"
    if order.entry.creates and order.subject:
        about = f"what was made of {about} (GET /requests?related_to={about})"
    problem = problem_of(AnswerLost(about), request.url.path)
    return StoredAnswer(problem.status_code, {"Content-Type": MEDIA_TYPE}, bytes(problem.body).decode())


def _quietly(change: Callable[[], None]) -> None:
    """The act was done or refused already: what becomes of its key does not change that."""
    try:
        change()
    except LedgerUnavailable as error:
        log.warning("an idempotency key was left as it was: %s", error)


def _do(request: Request, ctx: Context, order: Order, progress: Progress) -> StoredAnswer:
    entry = order.entry
    outcome = run_dry(ctx, lambda inside: _act(inside, order, progress)) if order.dry_run else None
    found, look = outcome.answer if outcome else _act(ctx, order, progress)
    about = entry.about(order.subject, found)
    done = Done[entry.answer](  # type: ignore[name-defined]
        act=entry.name,
        request_id=about,
        state=look.body["state"] if look else "",
        dry_run=order.dry_run,
        would=outcome.effects if outcome else [],
        answer=entry.answer.model_validate(entry.show(found)),
    )
    status, headers = _status(request, order, about, look)
    return StoredAnswer(status, headers, done.model_dump_json())


def _act(ctx: Context, order: Order, progress: Progress) -> tuple[Any, RequestSnapshot | None]:
    """What the act answers, and the request after it; None for an act about none."""
    found = order.entry.do(_expecting(ctx, order), order.subject, order.body)
    progress.done = True
    about = order.entry.about(order.subject, found)
    return found, show_snapshot(ctx, about) if about else None


def _expecting(ctx: Context, order: Order) -> Context:
    """A context that refuses when the request is another than the caller saw."""
    tags = tags_in(order.if_match or ANY, strong=True)
    return ctx if ANY in tags else expect(ctx, order.subject, tags)


def _status(request: Request, order: Order, about: str, look: RequestSnapshot | None) -> tuple[int, dict[str, str]]:
    if order.dry_run or look is None:
        return 200, {}
    headers, place = {"ETag": etag(look.tag)}, f"{request.scope.get('root_path', '')}/requests/{about}"
    if order.entry.creates:
        return 201, {**headers, "Location": place}
    if _is_to_come(order, look):
        return 202, {**headers, "Location": place, "Retry-After": str(LOOK_AGAIN_S)}
    return 200, headers


def _is_to_come(order: Order, look: RequestSnapshot) -> bool:
    """Whether the caller wants the run, and the dispatcher has yet to start it."""
    wanted = getattr(order.body, WAIT, False)
    return wanted and look.body["state"] == RequestState.READY and look.body["launched_at"] is None


def _response(answer: StoredAnswer) -> Response:
    return Response(answer.body, answer.status, headers=answer.headers, media_type=JSON)
