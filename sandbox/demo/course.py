"""The course of the demonstration: import, clone, plan, approve, launch, follow. Each part may be run again."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from prodsys.actions.core.context import Context
from prodsys.actions.planning.planning import approve, plan
from prodsys.actions.queries.showing import RequestLine, show_list, show_request
from prodsys.actions.requests.cloning import CloneOrder, clone
from prodsys.actions.requests.importing import import_intake
from prodsys.actions.runs.launching import launch
from prodsys.errors import ProductionError, SeedsTaken
from prodsys.intake.files import read_files
from prodsys.model import seeds as seed_ranges
from prodsys.model.seeds import SeedRange, parse_seeds
from prodsys.model.statuses import DELIVERED, RequestState
from sandbox.demo import book
from sandbox.demo.screen import Screen

ENDED = DELIVERED | {RequestState.FAILED, RequestState.ABORTED}
LOOK_AGAIN_S = 1.0
LONGEST_S = 900.0


class DemoFailed(ProductionError):
    """The demonstration did not end as it should."""


def record_sheet(ctx: Context, screen: Screen) -> list[RequestLine]:
    """Import the sheet and show what it recorded; the lines of its requests."""
    screen.title(f"Import of {book.SHEET.name}")
    intake = read_files([book.SHEET], ctx.catalogue)
    answer = import_intake(ctx, intake)
    for note in answer.notes:
        screen.say(f"  row {note.row}: {note.value!r} {note.message}")
    for fault in answer.faults:
        raise DemoFailed(f"the sheet has a fault: {fault}")
    ids = [one.spec.request_id for one in intake.accepted]
    lines = [line for line in show_list(ctx) if line.request_id in ids]
    rows = [
        (one.request_id, one.recorded_status, one.state, one.tag, one.seeds, ", ".join(one.labels)) for one in lines
    ]
    screen.table(("request", "the sheet says", "state here", "tag", "seeds", "remark"), rows)
    said = Counter(line.recorded_status for line in lines)
    screen.say("  the sheet says: " + ", ".join(f"{number} {word}" for word, number in said.items()))
    for one in lines:
        for shared in show_request(ctx, one.request_id)["reuse"]:
            if shared["request"] == one.request_id:
                what = f"{shared['request']} and {shared['owner']} share seeds {shared['seeds']} ({shared['kind']})"
                screen.say(f"  {what}: never add the two samples together")
    return lines


def show_refusal(ctx: Context, lines: list[RequestLine], screen: Screen) -> None:
    """Ask for seeds that have an owner: refused."""
    owner = lines[-1]
    first = parse_seeds(owner.seeds)[0].first
    wanted = (SeedRange(first=first, last=first + book.SEEDS - 1),)
    asked = book.clone_id(owner.request_id)[:-3] + "999"
    screen.title(f"Asking for seeds {seed_ranges.show(wanted)}, which {owner.request_id} owns")
    try:
        clone(ctx, owner.request_id, asked, CloneOrder(seeds=wanted, events_per_file=book.EVENTS, chain=book.CHAIN))
    except SeedsTaken as error:
        screen.say(f"  refused: {error}")
        return
    raise DemoFailed(f"seeds {seed_ranges.show(wanted)} were given away twice")


def clone_all(ctx: Context, lines: list[RequestLine], screen: Screen) -> dict[str, list[int]]:
    """Clone every request of the sheet; clone -> its seeds, in the sheet's order."""
    screen.title(f"Clones: {book.CHAIN}, {book.SEEDS} seeds of {book.EVENTS} events each, the next free seeds")
    order = CloneOrder(seed_count=book.SEEDS, events_per_file=book.EVENTS, chain=book.CHAIN)
    seeds = {}
    for line in lines:
        spec = clone(ctx, line.request_id, book.clone_id(line.request_id), order)
        seeds[spec.request_id] = list(seed_ranges.iterate(spec.seeds))
        screen.say(f"  {line.request_id} -> {spec.request_id}: seeds {seed_ranges.show(spec.seeds)}")
    return seeds


def bring_to_run(ctx: Context, clones: list[str], screen: Screen) -> None:
    """Plan, approve and launch what is not launched yet."""
    screen.title("Plan, approve, launch")
    for request_id in clones:
        if (state := _state(ctx, request_id)) in {RequestState.DRAFT, RequestState.PLANNED}:
            digest = plan(ctx, request_id).digest
            approve(ctx, request_id, digest)
            screen.say(f"  {request_id}: plan {digest[:19]} approved by {ctx.who}")
        elif state is not RequestState.APPROVED:
            screen.say(f"  {request_id} is {state} already")
    for request_id in clones:
        if _state(ctx, request_id) in {RequestState.APPROVED, RequestState.READY}:
            answer = launch(ctx, request_id)
            screen.say(f"  {request_id}: run {answer.dag_run_id} {answer.message}")


def _state(ctx: Context, request_id: str) -> RequestState:
    return RequestState(show_request(ctx, request_id)["state"])


def follow(ctx: Context, clones: list[str], screen: Screen) -> list[dict[str, Any]]:
    """Watch until every clone has ended; what the ledger holds about each.

    Raises
    ------
    DemoFailed
        They did not end in time.
    """
    screen.title("Running")
    end = time.monotonic() + LONGEST_S
    with screen.live() as show:
        while True:
            pictures = [show_request(ctx, one) for one in clones]
            _show(show, pictures)
            if all(RequestState(one["state"]) in ENDED for one in pictures):
                return pictures
            if time.monotonic() > end:
                late = ", ".join(f"{one['request_id']} ({one['state']})" for one in pictures)
                raise DemoFailed(
                    f"after {LONGEST_S:.0f} s not all have ended: {late}; see the logs: prodsys stack status"
                )
            time.sleep(LOOK_AGAIN_S)


def _show(show: Callable[[list[tuple[str, ...]]], None], pictures: list[dict[str, Any]]) -> None:
    show([_progress(one) for one in pictures])


def _progress(picture: dict[str, Any]) -> tuple[str, ...]:
    tasks = {one["step"]: one for one in picture["tasks"]}
    verdicts = {one["step"]: one["verdict"] for one in picture["steps"]}
    cells = [picture["request_id"], picture["state"]]
    for step in ("SIM", "RECO"):
        task = tasks.get(step)
        text = f"{task['jedi_task_id'] or '-'} {task['status'] or task['intent']}" if task else ""
        cells += [text, verdicts.get(step) or ""]
    rules = picture["rules"]
    cells.append(f"{sum(rule['state'] == 'OK' for rule in rules)}/{len(rules)}" if rules else "")
    return tuple(cells)
