"""GET: requests, plans, tasks, seeds, datasets, certificates, questions, audit. Endpoints are plain functions: they
run in threads, never on the event loop.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from prodsys.actions.core.request_snapshot import show_snapshot
from prodsys.actions.queries import listing
from prodsys.actions.queries.showing_seeds import show_shared_seeds
from prodsys.errors import SpecInvalid
from prodsys.ledger import searching
from prodsys.ledger.searching import AuditFilter, DatasetFilter, RequestFilter, TaskFilter
from prodsys.model.outcome import SeedState
from prodsys.model.seeds import MAX_SEED, SeedRange
from prodsys.model.statuses import IntentState, RequestState, TaskStatus
from prodsys.model.transitions import Permission
from prodsys.web.api import views
from prodsys.web.api.paging import Limit, Offset, Page, Text, page, window_of
from prodsys.web.api.parameters import MAX_ID, NAME, ActionContext, OfRequest, RequestId, may_audit
from prodsys.web.api.replies import reply
from prodsys.web.api.timestamps import Timestamp
from prodsys.web.guard import person_of

router = APIRouter()
Word = Annotated[str | None, Query(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")]
Digest = Annotated[str, Path(pattern=r"^sha256:[0-9a-f]{64}$", examples=[views.DIGEST])]
OfConfiguration = Annotated[str | None, Query(pattern=r"^sha256:[0-9a-f]{64}$", examples=[views.DIGEST])]
TaskWord = Annotated[str, Field(pattern=f"^({'|'.join(TaskStatus)})$", examples=["running"])]
Seed = Annotated[int | None, Query(ge=1, le=MAX_SEED)]


def _order(orders: dict[str, searching.Column]) -> object:
    names = "|".join(orders)
    return Query(pattern=f"^-?({names})$", description=f"one of {', '.join(orders)}; `-` before it turns it round")


@router.get("/me", tags=["me"], summary="Who the server takes you for, and what you may do", response_model=views.Me)
def me(request: Request, ctx: ActionContext) -> Response:
    """Name, roles at Airflow and here, rights."""
    person, rights = person_of(request), ctx.catalogue.policy.rights
    body = views.Me(
        name=person.name,
        airflow_roles=sorted(person.airflow_roles),
        roles=sorted(ctx.roles),
        rights=[right for right in Permission if ctx.roles & set(rights[right])],
    )
    return reply(request, body)


# --- requests ------------------------------------------------------------------------------------------------------
@router.get("/requests", tags=["requests"], summary="Requests, page by page", response_model=Page[views.RequestLine])
def list_requests(
    request: Request,
    ctx: ActionContext,
    state: Annotated[list[RequestState] | None, Query(description="only these states")] = None,
    campaign: Word = None,
    requester: Word = None,
    chain: Word = None,
    label: Word = None,
    related_to: Word = None,
    text: Text = None,
    changed_since: Timestamp | None = None,
    sort: Annotated[str, _order(searching.REQUEST_ORDERS)] = "request_id",
    offset: Offset = 0,
    limit: Limit = 50,
) -> Response:
    """`text` is looked for in id, tag, campaign and reason, whatever its case; `related_to` finds clones, extensions
    and trials of a request, and what a recurring template made.
    """
    wanted = RequestFilter(tuple(state or ()), campaign, requester, text, chain, label, related_to, changed_since)
    window = window_of(offset, limit, sort)
    return page(request, listing.list_requests(ctx, wanted, window), window, views.RequestLine)


@router.get(
    "/requests/{request_id}", tags=["requests"], summary="One request, with its ETag",
    response_model=views.RequestPicture,
)  # fmt: skip
def show_request(request: Request, ctx: ActionContext, request_id: RequestId) -> Response:
    """Everything a decision about it depends on. The ETag is what `If-Match` of a change wants: it stays the same while
    tasks and files come and go, and changes when state, plan, priority, spec or a question do.
    """
    look = show_snapshot(ctx, request_id)
    return reply(request, views.RequestPicture.model_validate(look.body), tag=look.tag)


@router.get(
    "/requests/{request_id}/steps", tags=["requests"], summary="Steps of a request with their verdicts",
    response_model=views.StepList,
)  # fmt: skip
def list_steps(request: Request, ctx: ActionContext, request_id: RequestId) -> Response:
    """In the order of the chain, bunch by bunch."""
    items = [views.Step.model_validate(one) for one in listing.list_request_steps(ctx, request_id)]
    return reply(request, views.StepList(items=items))


@router.get(
    "/requests/{request_id}/seeds", tags=["requests"], summary="What each seed of a request brought",
    response_model=Page[views.Outcome],
)  # fmt: skip
def list_outcomes(
    request: Request,
    ctx: ActionContext,
    request_id: RequestId,
    step: Word = None,
    state: SeedState | None = None,
    offset: Offset = 0,
    limit: Limit = 50,
) -> Response:
    """Step by step, seed by seed, once the step is settled; `state=missing` lists what is missing and why."""
    window = window_of(offset, limit)
    return page(request, listing.list_outcomes(ctx, request_id, window, step, state), window, views.Outcome)


@router.get(
    "/requests/{request_id}/runs", tags=["requests"], summary="Airflow runs of a request",
    response_model=views.RunList,
)  # fmt: skip
def list_runs(request: Request, ctx: ActionContext, request_id: RequestId) -> Response:
    """Those that drove it, and those that were turned away."""
    items = [views.Run.model_validate(one) for one in listing.list_runs(ctx, request_id)]
    return reply(request, views.RunList(items=items))


@router.get(
    "/requests/{request_id}/history", tags=["requests"], summary="What was done to a request, oldest first",
    response_model=Page[views.AuditLine],
)  # fmt: skip
def list_history(
    request: Request, ctx: ActionContext, request_id: RequestId, offset: Offset = 0, limit: Limit = 50
) -> Response:
    """Everybody who may look sees the history of a request; `/audit` over all of them needs more."""
    window = window_of(offset, limit)
    return page(request, listing.list_history(ctx, request_id, window), window, views.AuditLine)


# --- plans and certificates ----------------------------------------------------------------------------------------
@router.get("/plans", tags=["plans"], summary="Plans, newest first", response_model=Page[views.PlanLine])
def list_plans(
    request: Request,
    ctx: ActionContext,
    request_id: OfRequest = None,
    approved: bool | None = None,
    sort: Annotated[str, _order(searching.PLAN_ORDERS)] = "-planned_at",
    offset: Offset = 0,
    limit: Limit = 50,
) -> Response:
    """Plans of all revisions."""
    window = window_of(offset, limit, sort)
    return page(request, listing.list_plans(ctx, window, request_id, approved), window, views.PlanLine)


@router.get("/plans/{digest}", tags=["plans"], summary="One plan with its body", response_model=views.PlanPicture)
def show_plan(request: Request, ctx: ActionContext, digest: Digest) -> Response:
    """Tasks, names, volume, rules: what approving this digest means."""
    return reply(request, views.PlanPicture.model_validate(listing.show_plan(ctx, digest)))


@router.get(
    "/certificates", tags=["certificates"], summary="Certificates, newest first",
    response_model=Page[views.CertificateLine],
)  # fmt: skip
def list_certificates(
    request: Request, ctx: ActionContext, request_id: OfRequest = None, offset: Offset = 0, limit: Limit = 50
) -> Response:
    """Every revision is one of its own; none is ever edited."""
    window = window_of(offset, limit)
    return page(request, listing.list_certificates(ctx, window, request_id), window, views.CertificateLine)


@router.get(
    "/certificates/{request_id}", tags=["certificates"], summary="The certificate of a request",
    response_model=views.CertificatePicture,
)  # fmt: skip
def show_certificate(
    request: Request,
    ctx: ActionContext,
    request_id: RequestId,
    revision: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="default: the newest")] = None,
) -> Response:
    """404 while the request has none."""
    found = listing.show_certificate_of(ctx, request_id, revision)
    return reply(request, views.CertificatePicture.model_validate(found))


# --- tasks ---------------------------------------------------------------------------------------------------------
@router.get("/tasks", tags=["tasks"], summary="PanDA tasks, page by page", response_model=Page[views.Task])
def list_tasks(
    request: Request,
    ctx: ActionContext,
    request_id: OfRequest = None,
    step: Word = None,
    status: Annotated[list[TaskWord] | None, Query(description="PanDA's words")] = None,
    intent: IntentState | None = None,
    jedi_task_id: Annotated[int | None, Query(ge=1, le=MAX_ID)] = None,
    final: bool | None = None,
    text: Text = None,
    sort: Annotated[str, _order(searching.TASK_ORDERS)] = "created_at",
    offset: Offset = 0,
    limit: Limit = 50,
) -> Response:
    """As the ledger saw them last."""
    wanted = TaskFilter(request_id, step, tuple(status or ()), intent, text, None, jedi_task_id, final)
    window = window_of(offset, limit, sort)
    return page(request, listing.list_tasks(ctx, wanted, window), window, views.Task)


@router.get("/tasks/{task_name}", tags=["tasks"], summary="One PanDA task", response_model=views.TaskPicture)
def show_task(
    request: Request,
    ctx: ActionContext,
    task_name: Annotated[str, Path(max_length=250, pattern=NAME, examples=[views.TASK])],
) -> Response:
    """With the map it was submitted with."""
    return reply(request, views.TaskPicture.model_validate(listing.show_task(ctx, task_name)))


# --- seeds and data ------------------------------------------------------------------------------------------------
@router.get("/seeds", tags=["seeds"], summary="Seeds and their first owners", response_model=Page[views.Claim])
def list_seeds(
    request: Request,
    ctx: ActionContext,
    configuration: OfConfiguration = None,
    request_id: OfRequest = None,
    first: Seed = None,
    last: Seed = None,
    offset: Offset = 0,
    limit: Limit = 50,
) -> Response:
    """By configuration and seeds; `first` and `last` ask for what overlaps these seeds."""
    asked = _seeds_between(first, last) if first or last else None
    window = window_of(offset, limit)
    return page(request, listing.list_claims(ctx, window, configuration, request_id, asked), window, views.Claim)


def _seeds_between(first: int | None, last: int | None) -> SeedRange:
    begin, end = first or 1, last or MAX_SEED
    if end < begin:
        raise SpecInvalid("query.last", f"{end} lies before first, {begin}", "swap them, or leave one out")
    return SeedRange(first=begin, last=end)


@router.get(
    "/seeds/shared", tags=["seeds"], summary="Which requests hold the same events", response_model=views.SharedPairs
)
def list_shared_seeds(request: Request, ctx: ActionContext) -> Response:
    """All pairs of requests of one configuration with common seeds: never add their samples together."""
    items = [views.SharedPair.model_validate(one) for one in show_shared_seeds(ctx)]
    return reply(request, views.SharedPairs(items=items))


@router.get(
    "/seeds/{configuration}/free", tags=["seeds"], summary="Where free seeds begin", response_model=views.FreeSeeds
)
def show_free_seeds(request: Request, ctx: ActionContext, configuration: Digest) -> Response:
    """Lowest seed above all that anybody of the configuration owns; nothing is reserved by asking."""
    free = listing.free_seeds(ctx, configuration)
    return reply(request, views.FreeSeeds(configuration=configuration, next_free=free))


@router.get("/datasets", tags=["datasets"], summary="Datasets and containers", response_model=Page[views.Dataset])
def list_datasets(
    request: Request,
    ctx: ActionContext,
    request_id: OfRequest = None,
    kind: Word = None,
    step: Word = None,
    data_type: Word = None,
    text: Text = None,
    sort: Annotated[str, _order(searching.DATASET_ORDERS)] = "did",
    offset: Offset = 0,
    limit: Limit = 50,
) -> Response:
    """As they were read back from Rucio."""
    window = window_of(offset, limit, sort)
    wanted = DatasetFilter(request_id, kind, step, data_type, text)
    return page(request, listing.list_datasets(ctx, wanted, window), window, views.Dataset)


DidPath = Annotated[str, Path(max_length=276, pattern=NAME, examples=[views.DID])]


@router.get(
    "/datasets/{did:path}/files", tags=["datasets"], summary="Files of a dataset", response_model=Page[views.File]
)
def list_files(request: Request, ctx: ActionContext, did: DidPath, offset: Offset = 0, limit: Limit = 50) -> Response:
    """In the order of seeds."""
    window = window_of(offset, limit)
    return page(request, listing.list_files(ctx, did, window), window, views.File)


@router.get(
    "/datasets/{did:path}", tags=["datasets"], summary="One dataset with its rules",
    response_model=views.DatasetPicture,
)  # fmt: skip
def show_dataset(request: Request, ctx: ActionContext, did: DidPath) -> Response:
    """With its replication rules."""
    return reply(request, views.DatasetPicture.model_validate(listing.show_dataset(ctx, did)))


# --- who did what, and what is asked of persons --------------------------------------------------------------------
@router.get(
    "/audit", tags=["audit"], summary="Who did what, newest first", response_model=Page[views.AuditLine],
    dependencies=[Depends(may_audit)],
)  # fmt: skip
def list_audit(
    request: Request,
    ctx: ActionContext,
    request_id: OfRequest = None,
    who: Word = None,
    action: Word = None,
    since: Timestamp | None = None,
    until: Timestamp | None = None,
    sort: Annotated[str, _order(searching.AUDIT_ORDERS)] = "-at",
    offset: Offset = 0,
    limit: Limit = 50,
) -> Response:
    """For those whom Airflow lets read its audit log."""
    window = window_of(offset, limit, sort)
    wanted = AuditFilter(request_id, who, action, since, until)
    return page(request, listing.list_audit(ctx, wanted, window), window, views.AuditLine)


@router.get(
    "/questions", tags=["questions"], summary="Questions to persons, newest first",
    response_model=Page[views.Question],
)  # fmt: skip
def list_questions(
    request: Request,
    ctx: ActionContext,
    request_id: OfRequest = None,
    waiting: Annotated[bool | None, Query(description="true: without an answer")] = None,
    offset: Offset = 0,
    limit: Limit = 50,
) -> Response:
    """Asked when a step brought too little and policy has nothing left to try."""
    window = window_of(offset, limit)
    return page(request, listing.list_questions(ctx, window, request_id, waiting), window, views.Question)


@router.get("/questions/{question_id}", tags=["questions"], summary="One question", response_model=views.Question)
def show_question(request: Request, ctx: ActionContext, question_id: Annotated[int, Path(ge=1, le=MAX_ID)]) -> Response:
    """With its answer, when somebody gave one."""
    return reply(request, views.Question.model_validate(listing.show_question(ctx, question_id)))
