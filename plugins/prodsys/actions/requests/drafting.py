"""Drafts written one by one: a new request from its spec, and a changed spec for one that is still open to change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prodsys.actions.core.context import Context
from prodsys.actions.requests.cloning import check_prefix
from prodsys.actions.requests.file_versions import BY_HAND
from prodsys.actions.requests.importing import (
    OPEN_TO_CHANGE,
    ImportAnswer,
    create_request,
    import_one,
    lock_for,
    source_of,
)
from prodsys.errors import InvalidTransition, RequestChanged, SpecInvalid
from prodsys.intake.result import Accepted
from prodsys.ledger.requests import find_request, get_request, get_spec, refusal, refuse_deleted
from prodsys.ledger.seeds import claim
from prodsys.ledger.session import transaction
from prodsys.model.difference import changes_between
from prodsys.model.request import Configuration, RequestSpec
from prodsys.model.statuses import STATE_OF_RECORD, RequestState
from prodsys.model.transitions import Permission, possible_acts
from prodsys.model.written import check_request, merged, read_request, spelled_as_known


@dataclass(frozen=True)
class Revised:
    """A revised request; `notes` says what it lacks, such as seeds that are taken."""

    spec: RequestSpec
    notes: tuple[str, ...] = ()


def draft(ctx: Context, spec: RequestSpec) -> RequestSpec:
    """A new draft with its seeds; the same draft asked for again is returned as it stands.

    Raises
    ------
    SeedsTaken
        Its seeds have an owner: nothing was written.
    InvalidTransition, IdTaken
        The id is in use by something else, or was.
    SpecInvalid
        It says that it is history, its id has an unknown prefix, a word is unknown or a size beyond its bound.
    """
    spec = _check(ctx, spec)
    with transaction(ctx.sessions) as session:
        lock_for(session, spec)
        row = find_request(session, spec.request_id, lock=True)
        if row is None:
            check_request(spec, ctx.catalogue)
            create_request(session, ctx.who, spec, source_of(Accepted(spec, BY_HAND, None)))
            if not spec.reads:
                claim(session, Configuration.of(spec).digest(), spec.request_id, spec.seeds)
            return spec
        refuse_deleted(row)
        stored = get_spec(session, spec.request_id)
        if stored.digest() != spec.digest():
            ways = possible_acts(RequestState(row.state))
            raise InvalidTransition(spec.request_id, row.state, "writing another request under this id", ways)
        return stored


def understood(written: RequestSpec, kept: RequestSpec) -> tuple[str, ...]:
    """Words that are kept otherwise than they were written."""
    return tuple(f"{one.field} is taken as {one.now!r}" for one in changes_between(written, kept))


def revise(ctx: Context, request_id: str, spec: RequestSpec, *, seen: RequestSpec | None = None) -> Revised:
    """A new revision of a request that is open to change, a draft again; the same spec changes nothing.

    Raises
    ------
    RequestChanged
        It does not ask for what was ``seen`` any more.
    InvalidTransition
        It is approved or past it: clone it.
    IdTaken
        It is a trial, or a request of a recurring template.
    SpecInvalid
        It says that it is history, or that it is another request; a word is unknown or a size beyond its bound.
    """
    written, spec = spec, _check(ctx, spec)
    if spec.request_id != request_id:
        raise SpecInvalid("request_id", f"{spec.request_id} is not {request_id}", "a request keeps its id: clone it")
    with transaction(ctx.sessions) as session:
        lock_for(session, spec)
        row = get_request(session, request_id, lock=True)
        if RequestState(row.state) not in OPEN_TO_CHANGE - {RequestState.RECORDED}:
            raise refusal(row, "changing what it asks for")
        if seen and (now := get_spec(session, request_id).digest()) != seen.digest():
            raise RequestChanged(request_id, (seen.digest(),), now)
        check_request(spec, ctx.catalogue)
        answer = ImportAnswer()
        import_one(session, ctx.who, Accepted(spec, BY_HAND, None), answer)
    return Revised(spec, (*understood(written, spec), *(str(fault) for fault in answer.faults)))


def edit(ctx: Context, request_id: str, changes: Mapping[str, Any]) -> Revised:
    """A new revision of a request with some fields changed; None sets a field back to its default.

    Events follow from seeds and events per file, unless they are named.

    Raises
    ------
    RequestChanged
        Somebody else changed it in this moment.
    SpecInvalid, InvalidTransition, IdTaken
        As `revise`.
    """
    ctx.check_permission("write a request", Permission.CREATE)
    with transaction(ctx.sessions) as session:
        stored = get_spec(session, request_id)
    return revise(ctx, stored.request_id, read_request(merged(stored, changes)), seen=stored)


def _check(ctx: Context, spec: RequestSpec) -> RequestSpec:
    """The request as it is kept."""
    ctx.check_permission("write a request", Permission.CREATE)
    check_prefix(ctx.catalogue, spec.request_id)
    if STATE_OF_RECORD[spec.recorded_status] is not RequestState.DRAFT:
        raise SpecInvalid(
            "recorded_status", f"{spec.recorded_status} is history", "draft; history comes with prodsys request import"
        )
    return spelled_as_known(spec, ctx.catalogue)
