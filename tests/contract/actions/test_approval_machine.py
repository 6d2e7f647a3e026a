"""Any order of check, plan, approve and withdraw, by two persons, with specs that change meanwhile."""

from __future__ import annotations

import itertools
from dataclasses import replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import select

from prodsys.actions.planning.checking import check
from prodsys.actions.planning.planning import approve, plan
from prodsys.actions.requests.cloning import CloneOrder, clone
from prodsys.actions.runs.controlling import withdraw
from prodsys.errors import InvalidTransition, PlanChanged
from prodsys.ledger.publications import active_publications, current_version
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import AuditRow, PlanRow, RequestRow
from prodsys.model.policy import SecondPerson

EXAMPLES, STEPS = 25, 14
SMALL = CloneOrder(seed_count=1, events_per_file=20)
PERSONS = st.sampled_from(["manager", "deputy"])
NUMBERS = itertools.count(100)


def test_in_any_order_what_is_published_was_approved_by_two_persons_as_it_is(ctx, import_demo):
    import_demo("requests_sheet.csv")

    class Approvals(RuleBasedStateMachine):
        """One request whose every plan needs two persons."""

        def __init__(self) -> None:
            super().__init__()
            self.request_id = f"DEMO2025-{next(NUMBERS)}"
            self.sample_files = 1
            self.signed: dict[str, set[str]] = {}  # digest -> who approved it since it was withdrawn last
            clone(ctx, "PROD2025-016", self.request_id, SMALL)

        def hands(self, who: str = "manager"):
            strict = SecondPerson(above_core_hours=1e-9, above_bytes=1)
            policy = ctx.catalogue.policy.model_copy(
                update={"second_person": strict, "sample_files": self.sample_files}
            )
            return replace(ctx, who=who, catalogue=ctx.catalogue.model_copy(update={"policy": policy}))

        @rule(number=st.integers(1, 3))
        def specs_change(self, number: int) -> None:
            self.sample_files = number

        @rule()
        def check(self) -> None:
            try:
                check(self.hands(), self.request_id)
            except InvalidTransition:
                assert self.state in {"planned", "approved"}

        @rule(who=PERSONS)
        def plan_alone(self, who: str) -> None:
            self.plan(who)

        @rule(who=PERSONS)
        def approve_alone(self, who: str) -> None:
            self.approve(who)

        def plan(self, who: str) -> None:
            try:
                assert plan(self.hands(who), self.request_id).state == "planned"
            except InvalidTransition:
                assert self.state == "approved"

        def approve(self, who: str) -> None:
            before = self.state
            try:
                answer = approve(self.hands(who), self.request_id)
            except InvalidTransition:
                assert before in {"draft", "checked"}
            except PlanChanged:
                assert before == "planned"
            else:
                if before == "planned":
                    self.signed.setdefault(answer.digest, set()).add(who)
                assert bool(answer.waits_for) is (answer.state == "planned")

        @rule(who=PERSONS)
        def plan_and_sign(self, who: str) -> None:
            self.plan(who)
            self.approve(who)

        @rule()
        def both_sign(self) -> None:
            self.plan("manager")
            self.approve("manager")
            self.approve("deputy")

        @rule(who=PERSONS)
        def withdraw(self, who: str) -> None:
            before = self.state
            try:
                withdraw(self.hands(who), self.request_id, "second thoughts")
            except InvalidTransition:
                assert before in {"draft", "checked"}
            else:
                self.signed.pop(self.newest.digest, None)

        @property
        def state(self) -> str:
            with transaction(ctx.sessions) as session:
                return session.get_one(RequestRow, self.request_id).state

        @property
        def newest(self) -> PlanRow:
            with transaction(ctx.sessions) as session:
                wanted = select(PlanRow).where(PlanRow.request_id == self.request_id)
                return session.scalars(wanted.order_by(PlanRow.planned_at.desc()).limit(1)).one()

        @invariant()
        def what_is_published_has_two_names(self) -> None:
            with transaction(ctx.sessions) as session:
                active = {one.request_id: one for one in active_publications(session, current_version(session))}
                wanted = select(PlanRow).where(PlanRow.request_id == self.request_id)
                approved = [row for row in session.scalars(wanted) if row.approved_at is not None]
            is_approved = self.state == "approved"
            assert (self.request_id in active) is is_approved
            assert len(approved) == is_approved
            if is_approved:
                [row] = approved
                assert active[self.request_id].digest == row.digest
                assert {row.approved_by, row.seconded_by} == self.signed[row.digest] == {"manager", "deputy"}

    by_hand = Approvals()  # every act once, whatever orders are drawn
    for act in (by_hand.check, by_hand.both_sign, lambda: by_hand.withdraw("manager")):
        act()
        by_hand.what_is_published_has_two_names()
    run_state_machine_as_test(
        Approvals,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
    with transaction(ctx.sessions) as session:
        acts = set(session.scalars(select(AuditRow.action).where(AuditRow.request_id.like("DEMO2025-%"))))
    assert acts >= {"check", "plan", "approve as first", "approve", "withdraw"}, "all of it happened"
