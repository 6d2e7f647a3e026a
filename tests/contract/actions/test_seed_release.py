"""Seeds that PanDA never had come free; those that it had, or may have had, never do."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from prodsys.actions.planning.approving import reject
from prodsys.actions.planning.planning import approve, plan
from prodsys.actions.planning.trial import start_trial
from prodsys.actions.queries.showing import show_audit, show_claims, show_list, show_request
from prodsys.actions.requests.cloning import CloneOrder, clone
from prodsys.actions.requests.deletion import delete
from prodsys.actions.requests.drafting import draft
from prodsys.actions.requests.importing import import_intake
from prodsys.actions.requests.seed_release import reached_panda
from prodsys.actions.runs.aborting import abort
from prodsys.actions.runs.controlling import withdraw
from prodsys.errors import IdTaken, InvalidTransition, SeedsTaken, SpecInvalid
from prodsys.intake.result import Accepted, Intake
from prodsys.ledger.requests import list_steps
from prodsys.ledger.seeds import claimed_by
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import AuditRow, TaskRow
from prodsys.ledger.tasks import to_multirange
from prodsys.model import seeds as seed_ranges
from prodsys.model.request import RequestSpec
from prodsys.model.seeds import parse_seeds
from prodsys.model.statuses import IntentState
from tests.contract.actions.conftest import DEMO

SOURCE, REQUEST, OTHER = "PROD2025-016", "DEMO2025-016", "DEMO2025-017"
SMALL = CloneOrder(seed_count=3, events_per_file=20)
SAME = CloneOrder(seeds=parse_seeds("50001-50003"), events_per_file=20)


@pytest.fixture(autouse=True)
def _draft(ctx, import_demo):
    import_demo("requests_sheet.csv")
    clone(ctx, SOURCE, REQUEST, SMALL)


def owned(ctx, request_id: str = REQUEST) -> str:
    with transaction(ctx.sessions) as session:
        return seed_ranges.show(claimed_by(session, request_id))


def audit_of(ctx, action: str) -> dict:
    with transaction(ctx.sessions) as session:
        wanted = select(AuditRow.detail).where(AuditRow.request_id == REQUEST, AuditRow.action == action)
        return session.scalars(wanted).one()


def end_by_abort(ctx):
    abort(ctx, REQUEST, "a slip")


def end_by_delete(ctx):
    delete(ctx, REQUEST, "a slip")


def end_by_reject(ctx):
    plan(ctx, REQUEST)
    reject(ctx, REQUEST, "a slip")


def end_by_withdraw(ctx):
    plan(ctx, REQUEST)
    approve(ctx, REQUEST)
    withdraw(ctx, REQUEST, "a slip")


ENDS = [(end_by_abort, "abort"), (end_by_delete, "delete"), (end_by_reject, "reject"), (end_by_withdraw, "withdraw")]


@pytest.mark.parametrize(("end", "action"), ENDS)
def test_seeds_of_what_never_reached_panda_come_free(ctx, end, action):
    end(ctx)
    assert owned(ctx) == ""
    assert audit_of(ctx, action)["seeds_free"] == "50001-50003"
    assert str(clone(ctx, SOURCE, OTHER, SAME).seeds[0]) == "50001-50003"


@pytest.mark.parametrize("end", [end_by_reject, end_by_withdraw])
def test_who_plans_again_takes_the_seeds_again_while_nobody_else_has(ctx, end):
    end(ctx)
    assert str(clone(ctx, SOURCE, OTHER, SMALL).seeds[0]) == "50004-50006"  # only a clone by number may
    plan(ctx, REQUEST)
    approve(ctx, REQUEST)
    assert owned(ctx) == "50001-50003"


def test_an_approval_after_a_withdrawal_needs_the_seeds_again(ctx):
    end_by_withdraw(ctx)
    clone(ctx, SOURCE, OTHER, SAME)
    with pytest.raises(SeedsTaken, match=f"belong to {OTHER}"):
        approve(ctx, REQUEST)
    assert show_request(ctx, REQUEST)["state"] == "planned"


@pytest.mark.parametrize(
    ("intent", "sent", "kept"),
    [
        (IntentState.INTENDED, 0, False),
        (IntentState.INTENDED, 1, True),
        (IntentState.SENDING, 1, True),
        (IntentState.IN_DOUBT, 1, True),
        (IntentState.RECORDED, 1, True),
        (IntentState.SPENT, 1, True),
    ],
)
def test_a_task_that_was_or_may_have_been_sent_keeps_all_seeds(approved, intent, sent, kept):
    with transaction(approved.sessions) as session:
        step = list_steps(session, REQUEST)[0]
        session.add(
            TaskRow(
                step_id=step.step_id,
                attempt=1,
                task_name=f"{REQUEST}.SIM",
                seeds=to_multirange(parse_seeds("50001")),
                task_map={},
                inputs={},
                intent=intent,
                sent_count=sent,
                twins=[],
                status_reason="",
                final=True,
            )
        )
    with transaction(approved.sessions) as session:
        assert reached_panda(session, REQUEST) is kept
    abort(approved, REQUEST, "a slip")
    assert owned(approved) == ("50001-50003" if kept else "")


def test_seeds_that_a_trial_uses_stay_with_the_request_they_were_taken_from(ctx):
    start_trial(ctx, REQUEST, "TEST2025-901", 2)
    abort(ctx, REQUEST, "a slip")
    assert owned(ctx) == "50001-50002"
    abort(ctx, "TEST2025-901", "a slip")
    assert owned(ctx) == "50001-50002"  # the trial's end frees nothing that is not its own


def test_a_deleted_draft_is_out_of_sight_and_its_id_stays_taken(ctx):
    spec = show_request(ctx, REQUEST)["spec"]
    answer = delete(ctx, REQUEST, "typed\nwrongly")
    assert (answer.state, delete(ctx, REQUEST).state) == ("deleted", "deleted")
    assert REQUEST not in [one.request_id for one in show_list(ctx)]
    assert [one.request_id for one in show_list(ctx, ("deleted",))] == [REQUEST]
    assert show_request(ctx, REQUEST)["reason"] == "deleted by manager: typed wrongly"
    assert [one["action"] for one in show_audit(ctx, REQUEST)].count("delete") == 1
    for order in (SMALL, CloneOrder(seed_count=4)):
        with pytest.raises(IdTaken, match="deleted by manager"):
            clone(ctx, SOURCE, REQUEST, order)
    with pytest.raises(IdTaken, match="take another id"):
        draft(ctx, RequestSpec.checked(spec))
    assert clone(ctx, SOURCE, None, SMALL).request_id != REQUEST
    same, other = (RequestSpec.checked(spec | change) for change in ({}, {"priority": 800}))
    told = import_intake(ctx, Intake((Accepted(same, "sheet.csv", 3),)))
    assert (told.unchanged, told.created) == ([REQUEST], [])
    assert "stays deleted: deleted by manager" in str(told.notes[0])
    told = import_intake(ctx, Intake((Accepted(other, "sheet.csv", 3),)))
    assert "was deleted by manager" in told.faults[0].message
    assert "another one" in told.faults[0].remedy
    assert owned(ctx) == ""


def test_what_is_approved_is_not_deleted(ctx):
    plan(ctx, REQUEST)
    approve(ctx, REQUEST)
    with pytest.raises(InvalidTransition, match=r"possible now: .*withdraw"):
        delete(ctx, REQUEST)


# --- the next free seed -----------------------------------------------------------------------------------------------
def test_the_next_free_seed_finds_the_gap_below_a_far_row(ctx):
    clone(ctx, SOURCE, OTHER, CloneOrder(seeds=parse_seeds("80001-80008"), events_per_file=20))
    assert str(clone(ctx, SOURCE, "DEMO2025-018", SMALL).seeds[0]) == "50004-50006"
    large = CloneOrder(seed_count=29_994, events_per_file=20)
    assert str(clone(ctx, SOURCE, "DEMO2025-019", large).seeds[0]) == "50007-80000"  # it fits exactly
    assert str(clone(ctx, SOURCE, "DEMO2025-020", large).seeds[0]) == "80009-110002"


def test_seeds_below_the_lowest_known_one_are_left_alone(ctx, import_demo, tmp_path):
    book = (DEMO / "requests_sheet.csv").read_text().splitlines(keepends=True)
    only = tmp_path / "one.csv"
    text = "".join([*book[:2], *book[-2:]]).replace("PROD2025-016", "PROD2025-900").replace("27 GeV", "13 GeV")
    only.write_text(text)
    import_demo(only)
    assert str(clone(ctx, "PROD2025-900", OTHER, SMALL).seeds[0]) == "50001-50003"  # it has 40001-50000


def test_a_request_with_more_than_policy_allows_is_not_made(ctx):
    with pytest.raises(SpecInvalid, match="seeds asked for: 600 000; at most 500 000 may be"):
        clone(ctx, SOURCE, OTHER, CloneOrder(seed_count=600_000))
    assert OTHER not in [one["request_id"] for one in show_claims(ctx)]
