"""Wait for the replicas of a request."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator

from prodsys.ddm.verbs import rule_complete
from prodsys.errors import IdentityUnavailable, RucioError, RucioUnavailable
from prodsys.hooks.failing import final_errors_fail, record_failures
from prodsys.hooks.outages import WaitsForServices, outages_waited
from prodsys.hooks.rucio import RucioHook
from prodsys.triggers.rule import COMPLETE, RucioRuleTrigger

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from airflow.sdk import Context as AirflowContext

    from prodsys.actions.core.context import Context
    from prodsys.actions.submission.waiting import RuleTarget

WHO = "airflow"


class RucioRuleSensor(WaitsForServices, BaseSensorOperator):
    """Waits, deferred, until every file of the request's datasets has all its copies.

    A stuck rule is Rucio's to repair and is waited for; one that is gone fails at once. A Rucio that is away is waited
    for.

    Parameters
    ----------
    request_id
        Whose replicas.
    rucio_conn_id
        Airflow connection of type ``rucio``.
    """

    template_fields = ("request_id",)
    ui_color = "#e4efdf"

    def __init__(self, *, request_id: str, rucio_conn_id: str = RucioHook.default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.request_id, self.rucio_conn_id = request_id, rucio_conn_id

    def execute(self, context: AirflowContext) -> int:
        """Number of rules when all are complete already; else wait. Every try starts here."""
        with final_errors_fail():
            times = self._hands().catalogue.profile.times
        return self.resume(context, {"request_id": self.request_id}, time.time() + times.wait_max_s)

    def resume(self, context: AirflowContext, event: Any, deadline_ts: float | None = None) -> int:
        """Number of rules once all are complete; goes on waiting when they are not."""
        with final_errors_fail():
            ctx = self._hands()
            with record_failures(ctx, context, self.request_id, self.task_id), outages_waited(self, ctx, context):
                rules = self._rules(ctx)
                complete = self._look(ctx, rules)
                status, reason = self._read(event)
                if not complete and reason and status != COMPLETE:
                    raise RucioError(
                        f"replicas of {self.request_id}: {reason}; clear this airflow task to go on waiting"
                    )
            if not complete:
                self._wait(ctx, rules, deadline_ts or time.time() + ctx.catalogue.profile.times.wait_max_s)
            return len(rules)

    def _hands(self) -> Context:
        from prodsys.hooks.context import build_context

        return build_context(who=WHO)

    def _rules(self, ctx: Context) -> Sequence[RuleTarget]:
        from prodsys.actions.submission.waiting import rules_to_wait_for

        rules = rules_to_wait_for(ctx, self.request_id)
        if not rules:
            raise RucioError(f"{self.request_id} has no replication rules: clear the airflow task that makes them")
        return rules

    def _read(self, event: Any) -> tuple[str, str]:
        """Status and reason of an event; one that is not about our request brings no news."""
        if isinstance(event, dict) and event.get("request_id") == self.request_id:
            return str(event.get("status")), str(event.get("reason") or "")
        self.log.warning("an event that is not about %s is ignored: %r", self.request_id, event)
        return "", ""

    def _look(self, ctx: Context, rules: Sequence[RuleTarget]) -> bool:
        """Whether all rules are complete, by what Rucio says now; the ledger keeps it."""
        from prodsys.actions.submission.waiting import RuleSeen, record_rules

        try:
            states = ctx.rucio.rule_states([rule.rule_id for rule in rules])
        except (RucioUnavailable, IdentityUnavailable) as error:
            self.log.warning("the replicas of %s are waited for a little longer: %s", self.request_id, error)
            return False
        seen = {rule_id: RuleSeen(info.state, info.locks_ok, info.error) for rule_id, info in states.items()}
        record_rules(ctx, self.request_id, seen)
        return all(rule_complete(states[rule.rule_id], rule.copies, rule.length) for rule in rules)

    def _wait(self, ctx: Context, rules: Sequence[RuleTarget], deadline_ts: float) -> NoReturn:
        trigger = RucioRuleTrigger(
            request_id=self.request_id,
            rules={rule.rule_id: [rule.copies, rule.length] for rule in rules},
            deadline_ts=deadline_ts,
            conn_id=self.rucio_conn_id,
            poll_s=ctx.catalogue.profile.times.rule_poll_s,
            resume_min_s=ctx.catalogue.profile.times.resume_min_s,
        )
        self.defer(trigger=trigger, method_name=self.resume.__name__, kwargs={"deadline_ts": deadline_ts})
