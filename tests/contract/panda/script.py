"""A recorded scenario as a script: who is asked what, and which statuses its tasks had when it was asked. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.contract.panda.outcome import FINAL

Call = dict[str, Any]

STILL = FINAL | {"tobroken"}
"""Statuses in which nothing moves: what a task tells then is compared value by value."""


_NEAR_S = 5.0
"""Recorded calls this near to each other tell of the same state [s]."""

_STOPS = ("task/kill", "task/finish", "task/kill_unfinished_jobs")


def _accepted(call: Call) -> bool:
    body = call["response_body"]
    return isinstance(body, dict) and bool(body["success"])


@dataclass(frozen=True)
class Step:
    """One recorded call, with the recorded place of each task it speaks of.

    `places` maps a recorded task id to the index in `Script.statuses` of the status that the task had, -1 when the
    server did not know it yet. `made` is the recorded id of the task a submission made, or None.
    """

    index: int
    call: Call
    places: dict[int, int]
    made: int | None

    @property
    def method(self) -> str:
        """Module and method, ``task/kill``."""
        return str(self.call["path"]).removeprefix("/api/v1/")

    @property
    def changes(self) -> bool:
        """Whether the call may change something."""
        return self.call["method"] == "POST" and "get_" not in self.method

    def label(self) -> str:
        """Place of the step in its recording, for a person."""
        query = ", ".join(f"{key}={'+'.join(map(str, values))}" for key, values in (self.call["query"] or {}).items())
        return f"call {self.index}: {self.call['method']} {self.method} {query}".strip()[:160]


@dataclass
class Script:
    """Calls of tasks that belong together, in their order, and the statuses each task was seen in."""

    scenario: str
    steps: list[Step] = field(default_factory=list)
    statuses: dict[int, list[str]] = field(default_factory=dict)
    foreign: set[int] = field(default_factory=set)

    def status(self, step: Step, task_id: int) -> str | None:
        """Status a task had at a step; None when the server did not know it."""
        place = step.places[task_id]
        return self.statuses[task_id][place] if place >= 0 else None

    def still(self, step: Step) -> bool:
        """Whether all tasks of a step stood still, or were not known yet."""
        return all(self.status(step, one) in {None, *STILL} for one in step.places)

    def nameless(self, step: Step) -> bool:
        """Whether a task of a step was sent under the empty name, which no run can make its own."""
        sent = [one for one in self.steps if one.made in step.places]
        return any(one.call["request_body"]["task_parameters"].get("taskName") == "" for one in sent)

    def twins(self) -> list[set[int]]:
        """Return tasks that were sent in a row with one map by one user, all but one of which were aborted."""
        rows: list[tuple[object, set[int]]] = []
        for step in self.steps:
            sent = (step.call["request_body"], step.call["request_headers"]) if step.made is not None else None
            if sent is not None and rows and rows[-1][0] == sent:
                rows[-1][1].add(int(step.made or 0))
            else:
                rows.append((sent, {step.made} if step.made is not None else set()))
        return [row for sent, row in rows if sent is not None and len(row) > 1 and self._one_lived(row)]

    def _one_lived(self, row: set[int]) -> bool:
        """Whether the recording saw all but one of these tasks aborted; names that need not be unique all live."""
        return sum(self.statuses[one][-1:] == ["aborted"] for one in row) == len(row) - 1

    def waits(self, step: Step) -> bool:
        """Whether all tasks of a step said what they wait for."""
        return all(self.status(step, one) == "pending" for one in step.places)

    def interrupted(self, step: Step) -> bool:
        """Whether a command had stopped jobs of the step's tasks before: how far they were is a matter of moments."""
        stops = [one for one in self.steps if one.method in _STOPS and one.index < step.index and _accepted(one.call)]
        return bool(self.foreign) or any(step.places.keys() & one.places.keys() for one in stops)

    def is_stopped(self, tasks: Iterable[int]) -> bool:
        """Whether a recorded command stops or holds one of the tasks, or they come from a scenario where one does."""
        stops = [one for one in self.steps if one.method in (*_STOPS, "task/pause") and _accepted(one.call)]
        wanted = set(tasks)
        return bool(self.foreign & wanted) or any(wanted & one.places.keys() for one in stops)

    def finished_files(self, step: Step, calls: list[Call]) -> int:
        """How many files the server said to be finished around a step, its tasks being where they were."""
        found = [0]
        for call in calls:
            data = call["response_body"]["data"] if isinstance(call["response_body"], dict) else None
            if set(_task_ids(call)) != set(step.places) or not isinstance(data, dict) or "statistics" not in data:
                continue
            near = abs(float(call["t"]) - float(step.call["t"])) < _NEAR_S
            number = re.search(r"finished\*(\d+)", str(data["statistics"]))
            found += [int(number[1])] if near and number else []
        return max(found)


def read_scripts(scenario: str, calls: list[Call]) -> list[Script]:
    """Scripts of a recording: one for each group of tasks that have to do with each other, and one for the rest."""
    polls = _polls(calls)
    made = {index: one for index, call in enumerate(calls) if (one := _made(call)) is not None}
    owners = _job_owners(calls)
    mentioned = [_mentioned(call, made.get(index), owners) for index, call in enumerate(calls)]
    groups = _groups(calls, mentioned, made)
    scripts: dict[int, Script] = {}
    for index in _in_order(calls, made):
        call, own = calls[index], mentioned[index]
        leader = groups.get(own[0], own[0]) if own else _by_name(call, calls, made, groups)
        script = scripts.setdefault(leader, Script(scenario))
        asked = [one for one in own if one != made.get(index)] if index in made else own
        if call["path"].endswith("task/submit"):
            further = [*_namesakes(call, calls, made, index), *_producers(call, calls, made)]
            asked = [*asked, *(one for one in further if one not in asked and groups.get(one) == leader)]
        places = {one: _place(polls.get(one, []), float(call["t"])) for one in asked}
        script.steps.append(Step(index, call, places, made.get(index)))
        for one in own:
            script.statuses[one] = [status for _, status in polls.get(one, [])]
            if one not in made.values():
                script.foreign.add(one)
    for script in scripts.values():
        script.steps = _without_repetition(script)
    return list(scripts.values())


def _made(call: Call) -> int | None:
    body = call["response_body"]
    if not isinstance(body, dict) or not body["success"] or not str(body["message"]).startswith("succeeded. new"):
        return None
    return int(str(body["message"]).rsplit("=", 1)[1])


def _task_ids(call: Call) -> list[int]:
    found: list[int] = []
    for holder in (call["query"], call["request_body"]):
        given = holder if isinstance(holder, dict) else {}
        for key in ("task_id", "parent_tid"):
            value = given.get(key)
            value = value[0] if isinstance(value, list) and value else value
            if isinstance(value, int) or (isinstance(value, str) and value.isdigit()):
                found.append(int(value))
        listed = given.get("task_id_list")
        found += [int(one) for one in listed] if isinstance(listed, list) else []
    return [one for one in found if one < 90_000_000]


def job_ids(call: Call) -> list[int]:
    """Job ids a call asks for."""
    for holder in (call["query"], call["request_body"]):
        if isinstance(holder, dict) and isinstance(holder.get("job_ids"), list):
            return [int(one) for one in holder["job_ids"] if str(one).isdigit()]
    return []


def _job_owners(calls: list[Call]) -> dict[int, int]:
    owners = {}
    for call in calls:
        body = call["response_body"]
        if call["path"].endswith("task/get_job_ids") and isinstance(body, dict) and body["data"]:
            owners.update(dict.fromkeys(body["data"], _task_ids(call)[0]))
    return owners


def _mentioned(call: Call, made: int | None, owners: dict[int, int]) -> list[int]:
    found = _task_ids(call) + [owners[one] for one in job_ids(call) if one in owners]
    found += [made] if made is not None else []
    return list(dict.fromkeys(found))


def task_name(call: Call) -> str | None:
    """Name in a submitted map."""
    body = call["request_body"]
    params = body.get("task_parameters") if isinstance(body, dict) else None
    return params.get("taskName") if isinstance(params, dict) else None


def _parent_name(call: Call) -> str | None:
    body = call["request_body"]
    params = body.get("task_parameters") if isinstance(body, dict) else None
    return params.get("parentTaskName") if isinstance(params, dict) else None


def _namesakes(call: Call, calls: list[Call], made: dict[int, int], index: int) -> list[int]:
    name = task_name(call)
    limit = made.get(index)
    return [
        one for at, one in made.items()
        if name and task_name(calls[at]) == name and (at < index if limit is None else one < limit)
    ]  # fmt: skip


def _producers(call: Call, calls: list[Call], made: dict[int, int]) -> list[int]:
    """Tasks that fill the datasets which a submitted map reads."""
    read = _datasets(call, "input")
    return [one for at, one in made.items() if read & _datasets(calls[at], "output")]


def _datasets(call: Call, kind: str) -> set[str]:
    body = call["request_body"]
    params = body.get("task_parameters") if isinstance(body, dict) else None
    items = params.get("jobParameters") or [] if isinstance(params, dict) else []
    return {str(item["dataset"]) for item in items if item.get("param_type") == kind and item.get("dataset")}


def _groups(calls: list[Call], mentioned: list[list[int]], made: dict[int, int]) -> dict[int, int]:
    """Leader of each task: tasks are together when one call speaks of both, or when they have one name."""
    leader: dict[int, int] = {one: one for own in mentioned for one in own}

    def find(one: int) -> int:
        while leader[one] != one:
            one = leader[one]
        return one

    first_of: dict[str, int] = {}
    for index, own in enumerate(mentioned):
        name = task_name(calls[index])
        together = list(own)
        if name and index in made:
            together.append(first_of.setdefault(name, made[index]))
            together += _producers(calls[index], calls, made)
        for one in together[1:]:
            leader[find(one)] = find(together[0])
    return {one: find(one) for one in leader}


def _by_name(call: Call, calls: list[Call], made: dict[int, int], groups: dict[int, int]) -> int:
    """Group of a call without ids: that of the task whose name it holds; 0 for the rest."""
    asked = [str(one) for values in (call["query"] or {}).values() for one in values]
    for index, one in made.items():
        name = task_name(calls[index])
        if name and (name in (task_name(call), _parent_name(call)) or any(f'"{name}"' in text for text in asked)):
            return groups.get(one, one)
    return 0


_TOLD = re.compile(r"jediTaskID=(\d+) (?:is in the|\(currently in) (\w+) state")
"""A refused submission tells the status of the task that has the name."""


def _polls(calls: list[Call]) -> dict[int, list[tuple[float, str]]]:
    """When each task was first seen in each status."""
    seen: dict[int, list[tuple[float, str]]] = {}
    for call in sorted(calls, key=lambda one: float(one["t"])):
        told = _told(call)
        if told and told[1] not in [status for _, status in seen.get(told[0], [])[-1:]]:
            seen.setdefault(told[0], []).append((float(call["t"]), told[1]))
    return seen


def _told(call: Call) -> tuple[int, str] | None:
    """Task and status that a reply tells."""
    body = call["response_body"]
    if not isinstance(body, dict):
        return None
    if call["path"].endswith("task/get_status") and body["success"] and _task_ids(call):
        return _task_ids(call)[0], str(body["data"])
    match = _TOLD.search(str(body["message"]))
    return (int(match[1]), match[2]) if match else None


def _place(polls: list[tuple[float, str]], moment: float) -> int:
    return sum(begun <= moment for begun, _ in polls) - 1


def _in_order(calls: list[Call], made: dict[int, int]) -> Iterable[int]:
    """Indices in the order to be sent: as recorded, but submissions in a row by the ids they got."""
    order: list[int] = []
    row: list[int] = []
    for index in range(len(calls)):
        if index in made and not calls[index].get("repeat"):
            row.append(index)
            continue
        order += [*sorted(row, key=made.__getitem__), index]
        row = []
    return order + sorted(row, key=made.__getitem__)


def _without_repetition(script: Script) -> list[Step]:
    """Of reads that were repeated in one place only the last; status polls are the replayer's own."""
    kept: dict[str, Step] = {}
    for step in script.steps:
        key = json.dumps([step.method, step.call["query"], step.call["request_body"], sorted(step.places.items())])
        key += str(step.call["request_headers"])
        if step.changes or not step.places:
            key += f" {step.index}"
        elif step.method == "task/get_status" and all(place >= 0 for place in step.places.values()):
            key = f"status {sorted(step.places.items())} {step.call['request_headers']}"
        elif step.method in ("task/get_job_ids", "job/get_status"):
            key = f"{step.method} {sorted(step.places.items())} {len(job_ids(step.call))}"
        if key in kept and not step.changes:
            del kept[key]
        kept[key] = step
    return list(kept.values())
