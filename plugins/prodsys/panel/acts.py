"""The registry of acts: what may be done through the API, one entry each. All of it is done by `actions`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

from pydantic import BaseModel

from prodsys.actions import aborting, controlling, drafting, launching, pausing, planning, reusing
from prodsys.actions.cloning import CloneOrder, NewRequest, clone
from prodsys.actions.context import Context
from prodsys.actions.planning import PlanAnswer
from prodsys.ledger.seeds import Owned
from prodsys.model.moves import Right
from prodsys.model.request import RequestSpec
from prodsys.panel import bodies

ONE_REQUEST = "/requests/{request_id}"


def _as_it_is(answer: Any) -> dict[str, Any]:
    """The fields of a dataclass."""
    assert is_dataclass(answer) and not isinstance(answer, type)  # noqa: PT018
    return asdict(answer)


def _about_subject(subject: str, answer: Any) -> str:  # noqa: ARG001
    return subject


@dataclass(frozen=True)
class Entry:
    """One act.

    `do` gets hands, the subject of the path ("" without one) and the body; `show` gives the fields of the model
    `answer`; `about` names the request that the answer is about. `match`: the caller must say with If-Match which
    picture of the request he decided on.
    """

    name: str
    summary: str
    text: str
    right: Right
    do: Callable[[Context, str, Any], Any]
    answer: type[BaseModel]
    body: type[BaseModel] = bodies.Nothing
    show: Callable[[Any], dict[str, Any]] = _as_it_is
    about: Callable[[str, Any], str] = _about_subject
    match: bool = False
    creates: bool = False
    method: str = "POST"
    path: str = ""  # default: /requests/{request_id}/<name>
    tag: str = "requests"

    @property
    def route(self) -> str:
        """Path under the API."""
        return self.path or f"{ONE_REQUEST}/{self.name}"


def _clone(ctx: Context, source: str, body: bodies.Clone) -> NewRequest:
    order = CloneOrder(body.seed_count, body.seeds, body.events_per_file, body.chain, body.priority, body.partition)
    return clone(ctx, source, body.request_id, order)


def _show_spec(spec: RequestSpec) -> dict[str, Any]:
    return {"spec": spec}


def _show_new(new: NewRequest) -> dict[str, Any]:
    return {"spec": new.spec, "origin": new.origin, "changes": [asdict(one) for one in new.changes]}


def _show_plan(answer: PlanAnswer) -> dict[str, Any]:
    return {
        "digest": answer.digest,
        "warnings": list(answer.warnings),
        "changes": [asdict(one) for one in answer.changes],
        "waits_for": answer.waits_for,
        "estimate": answer.estimate.model_dump(mode="json") if answer.estimate else None,
        "plan": answer.plan.model_dump(mode="json"),
    }


def _show_reuse(shared: list[Owned]) -> dict[str, Any]:
    return {"shared": [{"owner": one.owner, "seeds": str(one.seeds)} for one in shared]}


ACTS: tuple[Entry, ...] = (
    Entry(
        "write",
        "Write a new request",
        "A draft with its seeds, from what is asked for. The same draft sent again changes nothing.",
        Right.CREATE,
        lambda ctx, _, body: drafting.draft(ctx, body),
        bodies.Drafted,
        RequestSpec,
        show=_show_spec,
        about=lambda _, spec: spec.request_id,
        creates=True,
        path="/requests",
    ),
    Entry(
        "revise",
        "Change what a request asks for",
        "A new revision, a draft again; possible until the request is approved. `notes` says what it lacks then.",
        Right.CREATE,
        drafting.revise,
        bodies.Drafted,
        RequestSpec,
        match=True,
        method="PUT",
        path=ONE_REQUEST,
    ),
    Entry(
        "clone",
        "A new draft like this request, with a new id and free seeds",
        "Also of history, which itself cannot be launched. The same clone asked for again by its id is returned as it "
        "stands; without an id only `Idempotency-Key` makes it safe to repeat.",
        Right.CREATE,
        _clone,
        bodies.MadeOf,
        bodies.Clone,
        show=_show_new,
        about=lambda _, new: new.request_id,
        creates=True,
    ),
    Entry(
        "reuse",
        "Declare that a draft uses seeds of another request again",
        "On purpose, with kind and reason; it stands in plan and certificate.",
        Right.CREATE,
        lambda ctx, request_id, body: reusing.declare_reuse(ctx, request_id, body.owner, body.kind, body.reason),
        bodies.Reused,
        bodies.Reuse,
        show=_show_reuse,
    ),
    Entry(
        "plan",
        "Plan: what will be submitted, written and replicated",
        "Answers with the digest that an approval binds to. Planning the same again changes nothing.",
        Right.PLAN,
        lambda ctx, request_id, _: planning.plan(ctx, request_id),
        bodies.Planned,
        show=_show_plan,
    ),
    Entry(
        "approve",
        "Approve the plan that was looked at",
        "Binds to the digest: a plan that is another by now is refused (`plan-changed`). Publishes the DAG.",
        Right.APPROVE,
        lambda ctx, request_id, body: planning.approve(ctx, request_id, body.digest),
        bodies.Planned,
        bodies.Approval,
        show=_show_plan,
    ),
    Entry(
        "withdraw",
        "Take an approval back, before the run is started",
        "The DAG leaves Airflow; the plan must be approved again.",
        Right.APPROVE,
        lambda ctx, request_id, body: controlling.withdraw(ctx, request_id, body.reason),
        bodies.ToldTasks,
        bodies.ReasonNeeded,
        match=True,
    ),
    Entry(
        "launch",
        "Start an approved request, now or at a time",
        "When the limit of running requests is reached it waits as `ready`. Launching again changes nothing.",
        Right.LAUNCH,
        lambda ctx, request_id, body: launching.launch(ctx, request_id, wait=body.wait, not_before=body.not_before),
        bodies.Launched,
        bodies.Launch,
        match=True,
    ),
    Entry(
        "priority",
        "Give a request and its unfinished PanDA tasks another priority",
        "From 1 to 1000; productions have 900.",
        Right.CONTROL,
        lambda ctx, request_id, body: controlling.set_priority(ctx, request_id, body.priority),
        bodies.ToldTasks,
        bodies.Priority,
        match=True,
    ),
    Entry(
        "pause",
        "Let a running request rest: PanDA tasks and Airflow run",
        "Said again, what does not rest yet is told again.",
        Right.CONTROL,
        lambda ctx, request_id, body: pausing.pause(ctx, request_id, body.reason),
        bodies.ToldTasks,
        bodies.Reason,
    ),
    Entry(
        "resume",
        "Let a paused request go on",
        "Said again, what still rests is told again.",
        Right.CONTROL,
        lambda ctx, request_id, _: pausing.resume(ctx, request_id),
        bodies.ToldTasks,
    ),
    Entry(
        "finish",
        "End the running PanDA tasks with what they have",
        "Settle then judges what came.",
        Right.CONTROL,
        lambda ctx, request_id, body: controlling.finish(ctx, request_id, body.reason),
        bodies.ToldTasks,
        bodies.Reason,
    ),
    Entry(
        "abort",
        "Stop a request for good: its PanDA tasks are killed",
        "The ledger says `aborted` first, so that nothing new is submitted; said again, what still lives is killed.",
        Right.ABORT,
        lambda ctx, request_id, body: aborting.abort(ctx, request_id, body.reason),
        bodies.ToldTasks,
        bodies.ReasonNeeded,
    ),
    Entry(
        "archive",
        "Put a request that has ended away",
        "Its DAG leaves Airflow; certificate and seeds stay.",
        Right.ARCHIVE,
        lambda ctx, request_id, _: controlling.archive(ctx, request_id),
        bodies.ToldTasks,
        match=True,
    ),
)
