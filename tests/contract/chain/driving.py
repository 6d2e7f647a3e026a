"""What the DAG of a request does, one action after the other, by hand."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest

from prodsys.actions.closing.collection import CertifyAnswer, certify, ensure_collected, ensure_rules
from prodsys.actions.core.context import Context
from prodsys.actions.runs.launching import run_id_of
from prodsys.actions.runs.run_ownership import enter
from prodsys.actions.settlement.registration import ensure_step_data
from prodsys.actions.settlement.settling import SettleAnswer, settle_step
from prodsys.actions.settlement.step_questions import Question
from prodsys.actions.settlement.step_questions import answer as answer_question
from prodsys.actions.submission.submitting import ensure_submitted
from prodsys.actions.submission.waiting import (
    RuleSeen,
    record_rules,
    record_status,
    rules_to_wait_for,
    task_to_wait_for,
)
from prodsys.ddm.verbs import rule_complete
from prodsys.errors import SeedsLost, ServiceUnavailable, StepFailed, TaskUnknown
from prodsys.ledger.requests import get_request
from prodsys.ledger.session import transaction
from prodsys.model.names import dag_id_of
from prodsys.model.policy import Answer
from prodsys.model.statuses import FINAL
from tests.contract.chain.site import Calls, Killed, Site
from tests.publishing import take_place

T = TypeVar("T")
PATIENCE_S = 150.0
LOOK_AGAIN_S = 0.3
NEVER = 1_000_000  # calls


def patiently(done: Callable[[], T | None], what: str) -> T:
    """The first answer that is not None."""
    until = time.monotonic() + PATIENCE_S
    while (answer := done()) is None:
        assert time.monotonic() < until, f"waited in vain for {what}"
        time.sleep(LOOK_AGAIN_S)
    return answer


def acquire_run(ctx: Context, request_id: str) -> None:
    """As the gate of the run that was started last."""
    take_place(ctx.sessions, request_id)
    answer = enter(ctx, request_id, 1, *newest_run(ctx, request_id))
    assert answer.drive, answer.message


def newest_run(ctx: Context, request_id: str) -> tuple[str, str]:
    """DAG and run that launching, or opening the request again, started last."""
    with transaction(ctx.sessions) as session:
        return dag_id_of(request_id), run_id_of(get_request(session, request_id))


def wait_for_task(ctx: Context, request_id: str, kind: str, bunch: int | None = None) -> None:
    """As trigger and sensor: look at PanDA until the task of the step is final."""

    def look() -> bool | None:
        target = task_to_wait_for(ctx, request_id, kind, bunch)
        if target.status in FINAL:
            return True
        try:
            status = ctx.panda.get_status(target.jedi_task_id)
        except TaskUnknown:
            return None
        if status == target.status:
            return None
        record_status(ctx, target.jedi_task_id, status)
        return None  # another task of the step may still work

    patiently(look, f"the task of {request_id} {kind}")


def wait_for_rules(ctx: Context, request_id: str) -> None:
    """As the wait for replication."""
    targets = rules_to_wait_for(ctx, request_id)

    def look() -> bool | None:
        states = ctx.rucio.rule_states([one.rule_id for one in targets])
        seen = {one: RuleSeen(info.state, info.locks_ok, info.error) for one, info in states.items()}
        record_rules(ctx, request_id, seen)
        return all(rule_complete(states[one.rule_id], one.copies, one.length) for one in targets) or None

    patiently(look, f"the rules of {request_id}")


@dataclass
class Course:
    """A request on its way.

    ``twice``: every action is done once more at once, and what that changed is kept. ``mortal``: the process dies after
    every single change in Rucio and a new one begins the action again; ``kills`` are counted.
    """

    site: Site
    request_id: str
    twice: bool = False
    mortal: bool = False
    settled_late: bool = False
    raced: bool = False
    answers: list[tuple[Answer, str]] = field(default_factory=list)  # of the person who is asked, one after the other
    asked: list[Question] = field(default_factory=list)
    changed_again: dict[str, Any] = field(default_factory=dict)
    kills: int = 0

    def run(self, between: Callable[[str], None] = lambda kind: None) -> CertifyAnswer:
        """To the certificate; ``between`` is called with the step when its task has ended, before it is settled."""
        acquire_run(self.site.context(), self.request_id)
        for kind in ("SIM", "RECO"):
            self.run_task(kind)
            between(kind)
            self.settle(kind)
        return self.close()

    def run_task(self, kind: str) -> None:
        """Submit and wait."""
        self._do(f"submit {kind}", lambda ctx: ensure_submitted(ctx, self.request_id, kind))
        wait_for_task(self.site.context(), self.request_id, kind)

    def settle(self, kind: str) -> None:
        """Verdict and data."""
        self.conclude(kind)
        try:
            self._do(f"data {kind}", lambda ctx: ensure_step_data(ctx, self.request_id, kind))
        except SeedsLost:
            self.conclude(kind)
            self._do(f"data {kind}", lambda ctx: ensure_step_data(ctx, self.request_id, kind))
        if self.settled_late and kind == "RECO":
            self._settle_late("SIM")

    def conclude(self, kind: str) -> None:
        """As the operator: wait for what recovers, hand questions on, until the chain may go on."""
        while True:
            answer = self._do(f"settle {kind}", lambda ctx: settle_step(ctx, self.request_id, kind))
            if answer.wait is not None:
                wait_for_task(self.site.context(), self.request_id, kind)
            elif answer.question is not None:
                self._be_asked(answer)
            else:
                return

    def _be_asked(self, settled: SettleAnswer) -> None:
        question = settled.question
        assert question is not None
        given, reason = self.answers.pop(0) if self.answers else (Answer.FAIL, "")
        self.asked.append(question)
        taken = answer_question(self.site.context(), question.question_id, given, reason, wake=False)
        if given in {Answer.FAIL, Answer.ABORT}:
            raise StepFailed(self.request_id, question.step, settled.verdict or "", f"{settled.message}; {taken.said}")

    def _settle_late(self, kind: str) -> None:
        """Somebody clears `settle` alone: what `data` found out is not forgotten."""
        ctx = self.site.context()
        settle_step(ctx, self.request_id, kind)
        with pytest.raises(StepFailed, match=f"{kind}: .*the request cannot be closed"):
            ensure_collected(ctx, self.request_id)
        ensure_step_data(ctx, self.request_id, kind)

    def close(self) -> CertifyAnswer:
        """Containers, rules, certificate."""
        self._do("collect", lambda ctx: ensure_collected(ctx, self.request_id))
        self._do("rules", lambda ctx: ensure_rules(ctx, self.request_id))
        wait_for_rules(self.site.context(), self.request_id)
        run = newest_run(self.site.context(), self.request_id)
        return self._do("certify", lambda ctx: certify(ctx, self.request_id, *run))

    def _do(self, name: str, act: Callable[[Context], T]) -> T:
        answer = self._beside_another(act) if self.raced else self._to_the_end(name, act)
        if self.twice:
            calls = Calls()
            assert act(self.site.context(calls)) == answer, name
            assert calls.lines or name.startswith(("submit", "certify")), f"{name} asked nobody"
            self.changed_again[name] = calls.changes()
        return answer

    def _beside_another(self, act: Callable[[Context], T]) -> T:
        """Two workers do the same at once, as when one was thought dead; what may be tried again is tried again."""

        def work() -> T:
            return patiently(lambda: self._unless_unavailable(act), "the other worker")

        with ThreadPoolExecutor(2) as pool:
            one, other = [pool.submit(work) for _ in range(2)]
            assert one.result() == other.result()
            return one.result()

    def _unless_unavailable(self, act: Callable[[Context], T]) -> T | None:
        try:
            return act(self.site.context())
        except ServiceUnavailable:
            return None

    def _to_the_end(self, name: str, act: Callable[[Context], T]) -> T:
        for attempt in itertools.count(1):
            try:
                return act(self.site.context(dies_after=self._calls(name, attempt) if self.mortal else None))
            except Killed:
                self.kills += 1
        raise AssertionError("counting does not end")

    def _calls(self, name: str, attempt: int) -> int:
        """Where nothing but Rucio changes between two changes, dying of changes is enough."""
        return attempt if name.startswith(("data", "certify")) else NEVER
