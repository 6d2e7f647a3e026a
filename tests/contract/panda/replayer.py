"""A recorded script played at a server: each call when its tasks are where they were, each reply compared."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.contract.panda.deadline import TooSlow
from tests.contract.panda.normal_form import as_row, being_fed, differences, in_motion, normal_reply, shape
from tests.contract.panda.outcome import FINAL, Outcome
from tests.contract.panda.script import Call, Script, Step, job_ids
from tests.contract.panda.skips import NAME_SPENT, NO_FAILURES, NO_SECOND_TOKEN, TOO_QUICK, TOO_SLOW
from tests.contract.panda.target import Server
from tests.contract.panda.translation import RECORDED_VO, Translation

LISTS = ("get_tasks_modified_since", "get_tasks_detailed_info_since", "statistics/", "metaconfig/")
"""Endpoints that tell of the whole server, which has other tasks too: rows are compared by their keys and types."""

OWN_TEST = "has a test of its own"
SINCE = "%Y-%m-%d %H:%M:%S"
COUNTED = ("get_details", "get_job_ids", "get_job_descriptions", "get_datasets_and_files", "job/")


class Strayed(Exception):
    """A task ended in a status from which the recorded one cannot come any more."""


@dataclass
class Replayed:
    """What came of a script: differences by step, steps that were left out with their reason, tasks as they are now."""

    script: Script
    compared: int = 0
    differing: list[str] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    missed: int = 0
    tasks: dict[int, int] = field(default_factory=dict)
    seen: dict[int, list[str]] = field(default_factory=dict)
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    trouble: str = ""

    def leave_out(self, reason: str) -> None:
        """Count a step that the target cannot show."""
        self.left_out[reason] = self.left_out.get(reason, 0) + 1


@dataclass(frozen=True)
class Tokens:
    """Tokens and Origins at the target for those in the recordings; None: there is none of this kind."""

    kinds: dict[str, str | None] = field(repr=False)
    origin: str
    bare_origin: str

    def headers(self, call: Call) -> tuple[str | None, str | None] | None:
        """Token and Origin to be sent for a recorded call; None when the target's tester was not given the token."""
        said = call["request_headers"]
        kind = str(said["Authorization"])
        if said["Authorization"] is None:
            token: str | None = None
        elif kind == "Bearer <garbage>":
            body = str(call["response_body"])
            token = "nonsense" if "segments" in body else "abc.def.ghi"
        else:
            token = self.kinds.get(kind)
            if token is None:
                return None
        origin = said["Origin"]
        known = {f"{RECORDED_VO}.production": self.origin, RECORDED_VO: self.bare_origin}
        return token, known.get(origin, origin)


class Replay:
    """One script at one server."""

    def __init__(
        self,
        script: Script,
        calls: list[Call],
        server: Server,
        translation: Translation,
        tokens: Tokens,
        borrow: Callable[[int], tuple[int, list[str]] | None],
        live: bool = False,
    ) -> None:
        self.script, self.calls, self.server, self.words, self.tokens = script, calls, server, translation, tokens
        self.borrow, self.result = borrow, Replayed(script)
        self._live = live
        self._spoilt: set[int] = set()
        self._at_least: dict[int, int] = {}
        self._twins = script.twins() if live else []

    def run(self) -> Replayed:
        """Play all steps; what the server did not reach in the session's time is told in `Replayed.trouble`."""
        try:
            self._borrow_tasks()
            for step in self.script.steps:
                self._play(step)
            self._look()
        except TooSlow as error:
            self.result.trouble = str(error)
            self.result.leave_out(TOO_SLOW)
        return self.result

    def _borrow_tasks(self) -> None:
        for recorded in sorted(self.script.foreign):
            found = self.borrow(recorded)
            if found is not None:
                self._know(recorded, found[0])

    def _know(self, recorded: int, task_id: int) -> None:
        self.result.tasks[recorded] = self.words.tasks[recorded] = task_id
        self.result.seen.setdefault(recorded, [])

    def _play(self, step: Step) -> None:
        if "after expiry" in str(step.call.get("note")):
            self.result.leave_out(OWN_TEST)
            return
        given = self.tokens.headers(step.call)
        if given is None:
            self.result.leave_out(NO_SECOND_TOKEN)
            return
        if any(one not in self.result.tasks for one in step.places):
            borrowed = self.script.foreign & step.places.keys() - self.result.tasks.keys()
            self.result.leave_out(NO_FAILURES if borrowed else NO_SECOND_TOKEN)
            return
        try:
            self._give_parts_to_twins()
            for one, place in step.places.items():
                self._reach(one, place)
            self._wait_for_files(step)
        except Strayed as error:
            self._stray(step, str(error))
            return
        if step.changes and step.made is None and self._is_known_too_early(step):
            self.result.missed += 1  # sent now it would do what it did not do then
            return
        if job_ids(step.call) and step.places and not self._jobs(step, job_ids(step.call)):
            self.result.missed += 1  # its jobs are not there yet
            return
        reply = self._send(step, *given)
        self._note_submission(step, reply)
        said, begun = self._compare(step, reply), time.monotonic()
        while said and self._may_come(step) and time.monotonic() - begun < self.server.settle_s:
            time.sleep(self.server.poll_s * 2)
            said = self._compare(step, self._send(step, *given))
        self._conclude(step, said)

    def _give_parts_to_twins(self) -> None:
        """Give the recorded survivor's part to the twin that lives: the one that JEDI refined first."""
        for row in [row for row in self._twins if row <= self.result.tasks.keys()]:
            self._twins.remove(row)
            survivor = next(one for one in row if self.script.statuses[one][-1:] != ["aborted"])
            lives = self._survivor_of(row)
            tasks = self.result.tasks
            one, other = tasks[lives], tasks[survivor]
            self._know(survivor, one)
            self._know(lives, other)

    def _survivor_of(self, row: set[int]) -> int:
        """Return the recorded id of the one twin that is not aborted."""
        while True:
            found = {one: self.server.status(self.result.tasks[one]) for one in row}
            alive = [one for one, status in found.items() if status not in ("toabort", "aborted")]
            if len(alive) == 1 and found[alive[0]] not in (None, "registered"):
                return alive[0]
            self.server.clock.check(f"one of the twins {sorted(self.result.tasks[one] for one in row)} to live")
            time.sleep(self.server.poll_s)

    def _is_known_too_early(self, step: Step) -> bool:
        unknown = [one for one, place in step.places.items() if place < 0]
        return any(self.server.status(self.result.tasks[one]) is not None for one in unknown)

    def _stray(self, step: Step, said: str) -> None:
        """Tell of a task that went another way, once; its later steps are left out.

        Where nobody can slow jobs down, a task that was done before a recorded command came is no difference.
        """
        ends = {self.result.seen[one][-1] for one in step.places if self.result.seen[one]}
        if self._live and ends == {"aborted"} and self.script.nameless(step):
            self.result.leave_out(NAME_SPENT)
            return
        too_quick = self._live and self.script.is_stopped(step.places) and ends <= {"done", "finished", "failed"}
        if not too_quick and not any(said in one for one in self.result.differing):
            self.result.differing.append(f"{step.label()}: {said}")
        self.result.leave_out(TOO_QUICK)

    def _reach(self, recorded: int, place: int) -> None:
        """Wait until a task is where it was, or beyond."""
        wanted, begun = self.script.statuses[recorded], time.monotonic()
        while place >= 0:
            at, seen = self._poll(recorded)
            if at >= place:
                return
            if seen[-1:] and seen[-1] in FINAL and (at < 0 or seen[-1] != wanted[at]):
                if wanted[-1] not in FINAL:
                    return  # the recording had stopped to look before this task's end
                raise Strayed(f"task {recorded} went {' > '.join(seen)}, recorded was {' > '.join(wanted)}")
            again = [index for index in range(place, len(wanted)) if seen[-1:] == wanted[index : index + 1]]
            if again and seen[-1] in FINAL and time.monotonic() - begun > self.server.again_s:
                self._at_least[recorded] = again[0]  # it went round between two looks
                return
            said = f"task {self.result.tasks[recorded]} to be {wanted[place]}, so far {' > '.join(seen) or 'unknown'}"
            self.server.clock.check(said)
            if time.monotonic() - begun > self.server.patience_s:
                raise Strayed(f"gave up waiting for {said}")
            self._poll_others(recorded)
            time.sleep(self.server.poll_s)

    def _poll(self, recorded: int) -> tuple[int, list[str]]:
        """Ask for a task's status; return its place in the recording and all statuses seen so far."""
        seen = self.result.seen[recorded]
        status = self.server.status(self.result.tasks[recorded])
        if status is not None and status not in seen[-1:]:
            seen.append(status)
        return max(place_of(seen, self.script.statuses[recorded]), self._at_least.get(recorded, -1)), seen

    def _poll_others(self, but: int) -> None:
        for one, seen in self.result.seen.items():
            if one != but and not (seen and seen[-1] in FINAL):
                self._poll(one)

    def _wait_for_files(self, step: Step) -> None:
        """A finish that came when files were finished comes again when some are."""
        if step.method != "task/finish" or not self.script.finished_files(step, self.calls):
            return
        task_id = self.result.tasks[next(iter(step.places))]
        while not (self.server.get("task/get_detailed_info", task_id=task_id)["data"] or {}).get("nFilesFinished"):
            self.server.clock.check(f"a finished file of task {task_id}")
            if self.server.status(task_id) in FINAL:
                return
            time.sleep(self.server.poll_s)

    def _send(self, step: Step, token: str | None, origin: str | None) -> httpx.Response:
        call = step.call
        query, body = self.words.there(call["query"] or None), self.words.there(call["request_body"])
        if query and "since" in query:
            query["since"] = [time.strftime(SINCE, time.gmtime(time.time() - 7200))]
        wanted = job_ids(call)
        if wanted and step.places:
            ids = self._jobs(step, wanted)
            if query and "job_ids" in query:
                query["job_ids"] = ids
            if isinstance(body, dict) and "job_ids" in body:
                body["job_ids"] = ids
        kind = call["request_headers"]["Content-Type"]
        body = "" if body is None and call["method"] == "POST" else body
        return self.server.call(
            call["method"], call["path"], query, body, token=token, origin=origin, content_type=kind
        )

    def _jobs(self, step: Step, wanted: list[int]) -> list[int]:
        """Jobs of the target in the place of recorded ones: all, or the first with the same attempt and status."""
        task_id = self.result.tasks[next(iter(step.places))]
        jobs = self.server.get("task/get_job_descriptions", task_id=task_id)["data"]
        body = step.call["response_body"]
        recorded = body["data"] if isinstance(body, dict) and step.method.startswith("job/get_desc") else []
        chosen: list[int] = []
        for one in recorded or []:
            alike = [
                job["PandaID"] for job in jobs
                if (job["attemptNr"], job["jobStatus"]) == (one["attemptNr"], one["jobStatus"])
                and self._alike(one, job) and job["PandaID"] not in chosen
            ]  # fmt: skip
            chosen += alike[:1]
        if len(chosen) == len(wanted):
            return chosen
        return [job["PandaID"] for job in jobs] if len(wanted) > 2 else [job["PandaID"] for job in jobs][: len(wanted)]

    def _alike(self, recorded: dict[str, Any], job: dict[str, Any]) -> bool:
        """Whether two jobs do the same work."""
        forms = [normal_reply("job/get_description", {"success": True, "message": "", "data": [one]})
                 for one in (recorded, self.words.back(job))]  # fmt: skip
        return bool(forms[0]["data"][0]["jobParameters"] == forms[1]["data"][0]["jobParameters"])

    def _note_submission(self, step: Step, reply: httpx.Response) -> None:
        body = _json(reply)
        if not isinstance(body, dict) or "new jediTaskID=" not in str(body.get("message")):
            return
        task_id = int(str(body["message"]).rsplit("=", 1)[1])
        self.server.submitted.add(task_id, self.server.another(*_owner(reply)))
        if step.made is not None:
            self._know(step.made, task_id)

    def _may_come(self, step: Step) -> bool:
        """Whether the recorded reply may still come: a command just sent is carried out some seconds later.

        A task that has ended, and was past this moment before the call, does not come back to it.
        """
        if step.call["method"] != "GET" or not step.places or self._spoilt & step.places.keys():
            return False
        seen = {one: self.result.seen[one] for one in step.places}
        ended = all(statuses[-1:] and statuses[-1] in FINAL for statuses in seen.values())
        return not (ended and self._moment_is_over(step))

    def _compare(self, step: Step, reply: httpx.Response) -> str:
        recorded = normal_reply(step.method, step.call["response_body"])
        got = normal_reply(step.method, self._back(step, reply))
        if reply.status_code >= 400 and "html" in str(step.call["response_content_type"]):
            recorded = got = "a page"
        head = f"HTTP {step.call['status']}, {step.call['response_content_type']}"
        said = differences(head, f"HTTP {reply.status_code}, {reply.headers.get('content-type')}")
        return said or self.compare_bodies(step, recorded, got)

    def _conclude(self, step: Step, said: str) -> None:
        self.result.compared += 1
        if said and (self._spoilt & step.places.keys() or self._moment_is_over(step)):
            self.result.missed += 1
            if step.changes and step.method != "task/submit":  # it did what it did not do then: later replies differ
                self._spoilt |= step.places.keys()
        elif said:
            self.result.differing.append(f"{step.label()}\n{said}")

    def compare_bodies(self, step: Step, recorded: Any, got: Any) -> str:
        """How a reply in normal form differs from the recorded one, by what can be compared at this step."""
        if any(part in step.method for part in LISTS):
            return "" if "statistics/" in step.method else shape(as_row(recorded), as_row(got))
        if step.changes and "kill_unfinished" not in step.method:
            return differences(recorded, got)
        if self._live and step.places and self.script.waits(step):
            return differences(*(being_fed(step.method, one) for one in (recorded, got)))
        stopped = self.script.interrupted(step)
        if self.script.still(step) and not stopped:
            return differences(recorded, got)
        if any(part in step.method for part in COUNTED) or step.changes:
            return shape(recorded, got)
        tells_why = self.script.still(step) or self.script.waits(step)
        moving = [in_motion(step.method, one, tells_why) for one in (recorded, got)]
        return differences(*moving)

    def _back(self, step: Step, reply: httpx.Response) -> Any:
        """Reply in recorded words: JSON where JSON was recorded."""
        body = _json(reply) if isinstance(step.call["response_body"], (dict, list)) else None
        return self.words.back(reply.text if body is None else body)

    def _moment_is_over(self, step: Step) -> bool:
        """Whether a task is not where it was when the call was recorded; then another reply is no difference."""
        return any(self.server.status(self.result.tasks[one]) != self.script.status(step, one) for one in step.places)

    def _look(self) -> None:
        """Take the tasks of this script as they are now."""
        for recorded, task_id in sorted(self.result.tasks.items()):
            if recorded not in self.script.foreign:
                self._poll(recorded)
                self.result.outcomes[recorded] = self.server.look(task_id, self.result.seen[recorded])


def place_of(seen: list[str], wanted: list[str]) -> int:
    """Index in the recorded statuses that a task has reached, by all statuses seen; -1 for none."""
    at = -1
    for status in seen:
        if at >= 0 and wanted[at] == status:
            continue
        at = next((index for index in range(at + 1, len(wanted)) if wanted[index] == status), at)
    return at


def _json(reply: httpx.Response) -> Any:
    try:
        return json.loads(reply.content)
    except ValueError:
        return None


def _owner(reply: httpx.Response) -> tuple[str, str]:
    headers = reply.request.headers
    return headers["Authorization"].removeprefix("Bearer "), headers["Origin"]
