"""Wait for replication rules without holding a worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prodsys.ddm.facts import RuleInfo
from prodsys.ddm.verbs import rule_complete
from prodsys.model.statuses import RuleState
from prodsys.panda.feed import Cycle
from prodsys.triggers.feeds import Ask
from prodsys.triggers.waiting import DEADLINE, WaitingTrigger

COMPLETE, GONE = "complete", "gone"


class RucioRuleTrigger(WaitingTrigger):
    """Fires ``{"request_id", "status", "reason"}`` once: all rules complete, one of them gone, or too late.

    Parameters
    ----------
    request_id
        Whose rules they are.
    rules
        Rule id -> [copies, files of its dataset]: complete means OK with all locks, since a rule on an empty dataset is
        OK at once.
    deadline_ts
        When the wait gives up, seconds of the epoch; nothing is cancelled.
    conn_id
        Airflow connection of type ``rucio``.
    poll_s
        Between two looks at all rules that are waited for [s].
    resume_min_s
        Earliest event after the wait began [s].
    """

    classpath = f"{__name__}.RucioRuleTrigger"
    arguments = ("request_id", "rules", "deadline_ts", "conn_id", "poll_s", "resume_min_s")

    def __init__(
        self,
        *,
        request_id: str,
        rules: Mapping[str, list[int]],
        deadline_ts: float,
        conn_id: str,
        poll_s: float,
        resume_min_s: float,
    ) -> None:
        super().__init__(deadline_ts=deadline_ts, conn_id=conn_id, poll_s=poll_s, resume_min_s=resume_min_s)
        self.request_id, self.rules = request_id, {rule_id: list(wanted) for rule_id, wanted in rules.items()}
        self._open = set(self.rules)

    @classmethod
    def connect(cls, arguments: Mapping[str, Any]) -> Ask:
        """All rules that are waited for, in a few calls."""
        from prodsys.hooks.rucio import RucioHook

        client = RucioHook(arguments["conn_id"]).get_conn()
        return lambda keys: client.rule_states(sorted(keys))

    def keys(self) -> tuple[str, ...]:
        """The rules."""
        return tuple(self.rules)

    def judge(self, cycle: Cycle[str, RuleInfo]) -> dict[str, Any] | None:
        """Event when the wait is over; a stuck rule is Rucio's to repair."""
        for rule_id in sorted(self._open):
            info = cycle.news_of(rule_id)
            if info is None:
                continue
            if info.state is RuleState.GONE:
                return self._event(GONE, f"rule {rule_id} expired, was denied or deleted")
            copies, length = self.rules[rule_id]
            if rule_complete(info, copies, length):
                self._open.discard(rule_id)
        return None if self._open else self._event(COMPLETE, "")

    def late(self) -> dict[str, Any]:
        """Event after the deadline."""
        shown = ", ".join(sorted(self._open)[:3])
        return self._event(DEADLINE, f"{len(self._open)} of {len(self.rules)} rules are not complete in time: {shown}")

    def _event(self, status: str, reason: str) -> dict[str, Any]:
        return {"request_id": self.request_id, "status": status, "reason": reason}
