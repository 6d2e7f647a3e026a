"""GET: findings of comparisons between the ledger and other services."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from prodsys.actions.queries import listing
from prodsys.model.statuses import Severity
from prodsys.web.api import views
from prodsys.web.api.paging import Limit, Offset, Page, page, window_of
from prodsys.web.api.parameters import MAX_ID, ActionContext, OfRequest
from prodsys.web.api.replies import reply

router = APIRouter()


@router.get(
    "/findings", tags=["findings"], summary="Disagreements between the services, newest first",
    response_model=Page[views.Finding],
)  # fmt: skip
def list_findings(
    request: Request,
    ctx: ActionContext,
    request_id: OfRequest = None,
    severity: Severity | None = None,
    waiting: Annotated[bool | None, Query(description="true: seen still, and decided by nobody")] = None,
    offset: Offset = 0,
    limit: Limit = 50,
) -> Response:
    """What the reconciler (each minute) and the comparison with catalogues (each hour) could not mend."""
    window = window_of(offset, limit)
    return page(request, listing.list_findings(ctx, window, request_id, severity, waiting), window, views.Finding)


@router.get("/findings/{finding_id}", tags=["findings"], summary="One finding", response_model=views.Finding)
def show_finding(request: Request, ctx: ActionContext, finding_id: Annotated[int, Path(ge=1, le=MAX_ID)]) -> Response:
    """With who decided it, when somebody did."""
    return reply(request, views.Finding.model_validate(listing.show_finding(ctx, finding_id)))
