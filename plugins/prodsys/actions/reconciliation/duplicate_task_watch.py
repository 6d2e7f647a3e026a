"""A look at PanDA for a second live task on our seeds, whoever sent it: the reconciler's part of exactly once.

JEDI's twin check ends what is sent twice under one user name and one task name. What it cannot see is looked for here:
another user's task of our name, two refiners at once, an attempt the ledger has lost, our seeds under another name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from prodsys.actions.core.context import Context
from prodsys.actions.reconciliation.findings import Finding, check_request
from prodsys.actions.submission.duplicate_tasks import differences, kill_duplicate, recognise, replace_task
from prodsys.errors import SpecInvalid
from prodsys.ledger import submission_leases
from prodsys.ledger.journal import write_audit
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import RequestRow, TaskRow
from prodsys.ledger.tasks import list_all_tasks, seeds_of_task
from prodsys.model.names import TaskName
from prodsys.model.outcome import TaskInfo
from prodsys.model.statuses import DEAD, FINAL, IntentState, RequestState
from prodsys.panda.task_map import datasets_of_map, plain_name

UNSETTLED = frozenset({IntentState.SENDING, IntentState.IN_DOUBT})
SAME_WORK = ("transPath", "container_name")  # with the script's words: what makes equal seeds equal events


@dataclass(frozen=True)
class _Known:
    """The ledger's intents, by name, without their maps; archived requests are over."""

    by_name: Mapping[str, TaskRow]
    requests: frozenset[str]

    def open_beside(self, task: TaskRow) -> Iterator[TaskRow]:
        """Other attempts at the same step that are not final."""
        return (
            one for one in self.by_name.values() if one.step_id == task.step_id and one is not task and not one.final
        )


def find_duplicate_tasks(ctx: Context, repair: bool, window_s: float | None = None) -> Iterator[Finding]:
    """Every live task that works on seeds of ours and is not the one the ledger knows.

    With ``repair`` a twin of ours (the whole map is equal) is killed, the lowest stays; a task that the ledger had lost
    is written down again. What is not ours to kill is named.

    Parameters
    ----------
    window_s
        How far back PanDA is asked for modified tasks [s]; by default as the waits do. After a ledger was restored:
        back to the moment of its copy.
    """
    since = datetime.now(UTC) - timedelta(seconds=window_s or ctx.catalogue.profile.times.modified_window_s)
    shown = ctx.panda.list_tasks(ctx.catalogue.profile.vo, since)
    known, strangers = _read_ledger(ctx), []
    for info in shown:
        task = known.by_name.get(info.task_name or "")
        if info.status in DEAD:
            continue
        if task is None:
            strangers.append(info)
        elif info.jedi_task_id == task.jedi_task_id:
            yield from _reopened(known, task, info)
        else:
            yield from _namesake(ctx, _with_map(ctx, task), info, repair)
    yield from _strangers(ctx, known, strangers)
    yield from find_uncertain_submissions(ctx, repair)


def _read_ledger(ctx: Context) -> _Known:
    with transaction(ctx.sessions) as session:
        rows = list_all_tasks(session, RequestRow.state != RequestState.ARCHIVED)
        requests = frozenset(session.scalars(select(RequestRow.request_id)))
    by_name = {task.task_name: task for task, _ in rows}
    return _Known(by_name, requests)


def _with_map(ctx: Context, task: TaskRow) -> TaskRow:
    with transaction(ctx.sessions) as session:
        return session.get_one(TaskRow, task.task_row_id)


def _with_maps(ctx: Context, tasks: Sequence[TaskRow]) -> Sequence[TaskRow]:
    with transaction(ctx.sessions) as session:
        return session.scalars(select(TaskRow).where(TaskRow.task_row_id.in_([one.task_row_id for one in tasks]))).all()


def _subject(info: TaskInfo) -> str:
    """What a finding about a task of PanDA is about."""
    return f"task {info.jedi_task_id}"


def _request_of(task_name: str) -> str:
    return task_name.partition(".")[0]


# --- our name ---------------------------------------------------------------------------------------------------------
def _namesake(ctx: Context, task: TaskRow, info: TaskInfo, repair: bool) -> Iterator[Finding]:
    """A live task of our name that is not the one we know."""
    request_id, about = _request_of(task.task_name), f"task {info.jedi_task_id} of {info.user_name or 'nobody'}"
    unlike = differences(ctx, task, info.jedi_task_id)
    if unlike:
        what = f"{about} is called {task.task_name} and does other work"
        advice = "ask its user: it writes under the names of this request"
        yield Finding(request_id, what, "; ".join(unlike[:3]), False, advice, _subject(info), "other work")
    elif task.jedi_task_id is None:
        yield from _forgotten(ctx, task, info, repair)
    elif info.jedi_task_id not in task.twins or info.status not in FINAL:
        yield _twin(ctx, task, info, about, repair)


def _twin(ctx: Context, task: TaskRow, info: TaskInfo, about: str, repair: bool) -> Finding:
    what = f"{about} does the work of {task.task_name} ({task.jedi_task_id}) a second time: it is {info.status}"
    cause = "sent under another user name, or refined by two refiners at once"
    if info.status in FINAL:
        if repair:
            kill_duplicate(ctx, task, task.jedi_task_id or 0, info)
        advice = "it has ended: its outputs are in the datasets of this request, look for seeds delivered twice"
        return Finding(_request_of(task.task_name), what, cause, False, advice, _subject(info), "ended")
    if repair:
        _end_twins(ctx, task)
    return Finding(_request_of(task.task_name), what, cause, repair, "find out who sent it")


def _end_twins(ctx: Context, task: TaskRow) -> None:
    """The lowest stays, also when it is not the one we knew."""
    kept = recognise(ctx, task, ctx.panda.find_tasks(task.task_name))
    if kept is not None and kept != task.jedi_task_id:
        replace_task(ctx, task, kept)


def _forgotten(ctx: Context, task: TaskRow, info: TaskInfo, repair: bool) -> Iterator[Finding]:
    """PanDA has our task, the ledger has no id: its answer was lost, or the ledger is a copy of an earlier day."""
    with transaction(ctx.sessions) as session:
        sending = submission_leases.has_time(session, task)
    if sending:  # its answer may still come; twins are ended without waiting for it
        if repair:
            recognise(ctx, task, ctx.panda.find_tasks(task.task_name))
        return
    repaired = repair and _settle(ctx, task)
    what = f"PanDA runs {task.task_name} as {info.jedi_task_id}, the ledger says {task.intent}"
    cause = "the ledger was restored from a copy" if task.intent == IntentState.INTENDED else "the answer was lost"
    yield Finding(_request_of(task.task_name), what, cause, repaired)


def _settle(ctx: Context, task: TaskRow) -> bool:
    """Write down the task that PanDA shows; whether there was one and nobody was quicker."""
    found = recognise(ctx, task, ctx.panda.find_tasks(task.task_name))
    if found is None:
        return False
    with transaction(ctx.sessions) as session:
        adopted = submission_leases.record_found(session, task, found)
        if adopted:
            detail = {"task_name": task.task_name, "jedi_task_id": found}
            write_audit(session, ctx.who, "adopt", _request_of(task.task_name), **detail)
    return adopted


def find_uncertain_submissions(ctx: Context, repair: bool) -> Iterator[Finding]:
    """Doubts that nobody settles, since their request is not driven any more: the task may run all the same."""
    others = [str(RequestState.RUNNING), str(RequestState.ARCHIVED)]
    with transaction(ctx.sessions) as session:
        doubts = list_all_tasks(session, TaskRow.intent.in_(UNSETTLED), RequestRow.state.not_in(others))
    for task, request in doubts:
        yield from check_request(request.request_id, _doubt(ctx, task, request.state, repair))


def _doubt(ctx: Context, task: TaskRow, state: str, repair: bool) -> Iterator[Finding]:
    with transaction(ctx.sessions) as session:
        if submission_leases.has_time(session, task):
            return
    if repair and _settle(ctx, _with_map(ctx, task)):
        what = f"{task.task_name} was sent before its request was {state}, and runs"
        yield Finding(_request_of(task.task_name), what, "the answer was lost", True, "it is told to end or rest")


# --- other names ------------------------------------------------------------------------------------------------------
def _strangers(ctx: Context, known: _Known, strangers: Sequence[TaskInfo]) -> Iterator[Finding]:
    """Live tasks the ledger does not know; those that still work are compared with all of ours that do."""
    work = any(info.status not in FINAL for info in strangers)
    ours = _with_maps(ctx, [task for task in known.by_name.values() if not task.final]) if work else ()
    for info in strangers:
        yield from _stranger(ctx, known, info, ours)


def _stranger(ctx: Context, known: _Known, info: TaskInfo, ours: Sequence[TaskRow]) -> Iterator[Finding]:
    """A live task the ledger does not know: an attempt it has forgotten, or our seeds under another name."""
    about = f"task {info.jedi_task_id} ({info.task_name}) of {info.user_name or 'nobody'}"
    request_id = _our_request(known, info.task_name or "")
    if request_id:
        cause = "the ledger was restored from a copy, or somebody made it by hand"
        advice = "when this attempt is opened it is adopted, if its whole map is ours; else it must be killed"
        yield Finding(request_id, f"{about} lives, the ledger knows no such attempt", cause, False, advice)
        return
    if info.status in FINAL:
        return
    yield from _second_readers(ctx, known, info, about)
    for task in ours:
        if shared := _shared_seeds(task, info):
            what = f"{about} runs {len(shared)} seeds of {task.task_name}, the first is {shared[0]}"
            advice = "it is not ours to kill: ask its user"
            cause, fact = "the same script on the same seeds", f"seeds of {task.task_name}"
            yield Finding(_request_of(task.task_name), what, cause, False, advice, _subject(info), fact)


def _second_readers(ctx: Context, known: _Known, info: TaskInfo, about: str) -> Iterator[Finding]:
    """A reconstruction of what a task of ours has read, or reads, with the same script, under another name."""
    theirs = {plain_name(one) for one in datasets_of_map(info.task_map, "input")}
    for task in known.by_name.values():
        read = {plain_name(one) for one in task.inputs.values()}
        if theirs and theirs == read and _same_script(_with_map(ctx, task).task_map, info.task_map):
            what = f"{about} reads what {task.task_name} reads ({sorted(read)[0]}), with the same script"
            advice = "ask its user: the same events would be reconstructed twice"
            yield Finding(_request_of(task.task_name), what, "a second task on the same input", False, advice)


def _our_request(known: _Known, task_name: str) -> str:
    try:
        request_id = TaskName.parse(task_name).request_id
    except SpecInvalid:
        return ""
    return request_id if request_id in known.requests else ""


def _shared_seeds(task: TaskRow, info: TaskInfo) -> Sequence[int]:
    """Seeds that a task of another name works on with the same script."""
    ours, theirs = task.task_map, info.task_map
    if not _same_script(ours, theirs):
        return ()
    listed = theirs.get("pfnList")
    seeds = {str(one) for one in listed} if isinstance(listed, list) else set()
    return [seed for seed in seeds_of_task(task) if str(seed) in seeds] if seeds else ()


def _same_script(ours: Mapping[str, object], theirs: Mapping[str, object]) -> bool:
    return all(ours.get(key) == theirs.get(key) for key in SAME_WORK) and _script(ours) == _script(theirs)


def _script(task_map: Mapping[str, object]) -> str:
    """First words of what a job runs: the script without its arguments."""
    parameters = task_map.get("jobParameters")
    first = parameters[0] if isinstance(parameters, list) and parameters else None
    return str(first.get("value")).partition(" ")[0] if isinstance(first, dict) else ""


def _reopened(known: _Known, task: TaskRow, info: TaskInfo) -> Iterator[Finding]:
    """An attempt that was final works again, beside a later one on the same seeds."""
    if not task.final or info.status in FINAL:
        return
    seeds = set(seeds_of_task(task))
    for other in known.open_beside(task):
        if not seeds.isdisjoint(seeds_of_task(other)):
            what = f"task {info.jedi_task_id} ({task.task_name}) works again beside {other.task_name}, on its seeds"
            advice = f"finish it in PanDA: {other.task_name} brings what is missing"
            yield Finding(_request_of(task.task_name), what, "retried or reopened in PanDA", False, advice)
