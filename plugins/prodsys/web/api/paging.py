"""Lists page by page: which part was asked for, and the page with its total and the address of the next."""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from prodsys.ledger.searching import MAX_LIMIT, Found, Window
from prodsys.web.api.replies import reply

Item = TypeVar("Item", bound=BaseModel)
MAX_OFFSET = 10_000_000
TEXT = r"^[^\x00-\x1f\x7f]+$"

Offset = Annotated[int, Query(ge=0, le=MAX_OFFSET, description="how many items to leave out")]
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="how many items a page has at most")]
Text = Annotated[str | None, Query(min_length=1, max_length=200, pattern=TEXT)]


class Page(BaseModel, Generic[Item]):
    """One page of a list."""

    items: list[Item]
    total: int = Field(description="items of the whole list", examples=[137])
    offset: int = Field(description="items before this page", examples=[0])
    limit: int = Field(description="items a page has at most", examples=[50])
    next: str | None = Field(
        description="path and query of the next page; null on the last", examples=["/prodsys/api/v1/requests?offset=50"]
    )


def window_of(offset: int, limit: int, sort: str = "") -> Window:
    """The part of a list that was asked for."""
    return Window(offset, limit, sort)


def page(request: Request, found: Found[dict[str, Any]], window: Window, item: type[Item]) -> Response:
    """The answer with one page; ``Link`` names the next one too."""
    following = window.offset + window.limit
    address = request.url.include_query_params(offset=following, limit=window.limit)
    further = f"{address.path}?{address.query}" if following < found.total else None
    body = Page[item](  # type: ignore[valid-type]
        items=[item.model_validate(row) for row in found.rows],
        total=found.total,
        offset=window.offset,
        limit=window.limit,
        next=further,
    )
    return reply(request, body, headers={"Link": f'<{further}>; rel="next"'} if further else {})
