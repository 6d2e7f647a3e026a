"""Acts before a run: write, clone, extend, try, check, plan, approve, launch."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from prodsys.actions.core.context import Context
from prodsys.actions.planning import approving, checking, planning, trial
from prodsys.actions.planning.planning import PlanAnswer
from prodsys.actions.planning.trial import TrialAnswer
from prodsys.actions.requests import deletion, drafting, extending, seed_reuse
from prodsys.actions.requests.cloning import CloneOrder, NewRequest, clone
from prodsys.actions.requests.drafting import Revised
from prodsys.actions.runs import controlling, launching
from prodsys.ledger.seeds import Owned
from prodsys.model.request import RequestSpec
from prodsys.model.transitions import Permission
from prodsys.model.written import plain
from prodsys.web.api import bodies
from prodsys.web.api.command import ONE_REQUEST, Entry


def _clone(ctx: Context, source: str, body: bodies.Clone) -> NewRequest:
    order = CloneOrder(
        body.seed_count,
        body.seeds,
        body.events_per_file,
        body.chain,
        body.priority,
        body.partition,
        body.bunches,
        body.bunches_at_once,
        body.queue,
        body.rse,
    )
    return clone(ctx, source, body.request_id, order)


def _write(ctx: Context, _: str, body: RequestSpec) -> Revised:
    written = plain(body)
    kept = drafting.draft(ctx, written)
    return Revised(kept, drafting.understood(written, kept))


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


def _show_trial(made: TrialAnswer) -> dict[str, Any]:
    plan = _show_plan(made.plan) if made.plan else None
    return {"trial": made.trial, "seeds": made.seeds, "events": made.events, "plan": plan}


def _show_reuse(shared: list[Owned]) -> dict[str, Any]:
    return {"shared": [{"owner": one.owner, "seeds": str(one.seeds)} for one in shared]}


BEFORE: tuple[Entry, ...] = (
    Entry(
        "write",
        "Write a new request",
        "A draft with its seeds, from what is asked for. The same draft sent again changes nothing.",
        Permission.CREATE,
        _write,
        bodies.Drafted,
        RequestSpec,
        about=lambda _, drafted: drafted.spec.request_id,
        creates=True,
        path="/requests",
    ),
    Entry(
        "revise",
        "Change what a request asks for",
        "A new revision, a draft again; possible until the request is approved. `notes` says what it lacks then.",
        Permission.CREATE,
        lambda ctx, request_id, body: drafting.revise(ctx, request_id, plain(body)),
        bodies.Drafted,
        RequestSpec,
        match=True,
        method="PUT",
        path=ONE_REQUEST,
    ),
    Entry(
        "edit",
        "Change some fields of a request",
        "A JSON merge patch (RFC 7396): fields that are not named stay, null sets one back to its default. Events "
        "follow from seeds and events per file, unless they are named. A new revision, a draft again; possible until "
        "the request is approved.",
        Permission.CREATE,
        lambda ctx, request_id, body: drafting.edit(ctx, request_id, body.model_dump(exclude_unset=True)),
        bodies.Drafted,
        bodies.Patch,
        match=True,
        method="PATCH",
        path=ONE_REQUEST,
    ),
    Entry(
        "delete",
        "Delete a request that is not approved",
        "Lists show it no more, its audit lines stay. Its id is not given out again, its seeds come free.",
        Permission.CREATE,
        lambda ctx, request_id, body: deletion.delete(ctx, request_id, body.reason),
        bodies.ToldTasks,
        bodies.Reason,
        match=True,
        method="DELETE",
        path=ONE_REQUEST,
    ),
    Entry(
        "clone",
        "A new draft like this request, with a new id and free seeds",
        "Also of history, which itself cannot be launched. The same clone asked for again by its id is returned as it "
        "stands; without an id only `Idempotency-Key` makes it safe to repeat.",
        Permission.CREATE,
        _clone,
        bodies.MadeOf,
        bodies.Clone,
        show=_show_new,
        about=lambda _, new: new.request_id,
        creates=True,
    ),
    Entry(
        "extend",
        "More events of the same configuration: a new draft with the next seeds",
        "The two samples may be added together. Refused when the same request would make other events today.",
        Permission.CREATE,
        lambda ctx, request_id, body: extending.extend(ctx, request_id, body.request_id, body.seed_count),
        bodies.MadeOf,
        bodies.Extension,
        show=_show_new,
        about=lambda _, new: new.request_id,
        creates=True,
    ),
    Entry(
        "trial",
        "The same chain on the first seeds, in a partition whose data expire",
        "Made and planned; what it takes corrects the plan of the mass production. One that is on its way, or has "
        "succeeded, is returned as it stands.",
        Permission.CREATE,
        lambda ctx, request_id, body: trial.start_trial(ctx, request_id, body.request_id, body.seed_count),
        bodies.Tried,
        bodies.Extension,
        show=_show_trial,
        about=lambda _, made: made.trial,
        creates=True,
    ),
    Entry(
        "reuse",
        "Declare that a draft uses seeds of another request again",
        "On purpose, with kind and reason; it stands in plan and certificate.",
        Permission.CREATE,
        lambda ctx, request_id, body: seed_reuse.declare_reuse(ctx, request_id, body.owner, body.kind, body.reason),
        bodies.Reused,
        bodies.Reuse,
        show=_show_reuse,
    ),
    Entry(
        "check",
        "Look at a draft: specs, names, seeds, scripts, room",
        "Every fault is named, not only the first; without one it becomes `checked`.",
        Permission.PLAN,
        lambda ctx, request_id, _: checking.check(ctx, request_id),
        bodies.Checked,
    ),
    Entry(
        "plan",
        "Plan: what will be submitted, written and replicated",
        "Answers with the digest that an approval binds to. Planning the same again changes nothing.",
        Permission.PLAN,
        lambda ctx, request_id, _: planning.plan(ctx, request_id),
        bodies.Planned,
        show=_show_plan,
    ),
    Entry(
        "approve",
        "Approve the plan that was looked at",
        "Binds to the digest: a plan that is another by now is refused (`plan-changed`). Publishes the DAG.",
        Permission.APPROVE,
        lambda ctx, request_id, body: planning.approve(ctx, request_id, body.digest),
        bodies.Planned,
        bodies.Approval,
        show=_show_plan,
    ),
    Entry(
        "reject",
        "Say no to the plan that was shown",
        "The request has to be planned again before it can be approved; a first approval of a large one is forgotten.",
        Permission.APPROVE,
        lambda ctx, request_id, body: approving.reject(ctx, request_id, body.reason, body.digest),
        bodies.Rejected,
        bodies.No,
    ),
    Entry(
        "withdraw",
        "Take an approval back, before the run is started",
        "The DAG leaves Airflow; the plan must be approved again.",
        Permission.APPROVE,
        lambda ctx, request_id, body: controlling.withdraw(ctx, request_id, body.reason),
        bodies.ToldTasks,
        bodies.ReasonNeeded,
        match=True,
    ),
    Entry(
        "launch",
        "Start an approved request, now or at a time",
        "When the limit of running requests is reached it waits as `ready`. Launching again changes nothing.",
        Permission.LAUNCH,
        lambda ctx, request_id, body: launching.launch(ctx, request_id, wait=False, not_before=body.not_before),
        bodies.Launched,
        bodies.Launch,
        match=True,
    ),
)
