"""What people are shown about a request is what is: times, bunches, jobs, losses, and what an act did."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from prodsys.actions.closing.reopening import accept
from prodsys.actions.planning.planning import approve, plan
from prodsys.actions.queries.listing import list_requests, list_tasks
from prodsys.actions.queries.showing import show_list, show_request
from prodsys.actions.requests.cloning import CloneOrder, clone
from prodsys.actions.requests.extending import extend
from prodsys.actions.runs.controlling import withdraw
from prodsys.actions.runs.launching import launch
from prodsys.actions.submission.intents import ensure_intents
from prodsys.errors import InvalidTransition
from prodsys.ledger.requests import get_request, get_step
from prodsys.ledger.searching import RequestFilter, TaskFilter, Window
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import RunRow, SeedOutcomeRow
from prodsys.model.outcome import EventSource, SeedState

REQUEST = "DEMO2025-016"
ALL = Window(limit=100)


def _driven(ctx, request_id: str) -> None:
    """A run drives the request, as its gate would have it."""
    with transaction(ctx.sessions) as session:
        row = get_request(session, request_id)
        row.state, row.launched_at = "running", datetime.now(UTC)
        run = {
            "dag_id": f"prod__{request_id}",
            "dag_run_id": "r1",
            "revision": row.revision,
            "airflow_state": "running",
        }
        session.add(RunRow(request_id=request_id, driving=True, note="", **run))


def _settled(ctx, kind: str, verdict: str, lost: dict[int, str]) -> None:
    with transaction(ctx.sessions) as session:
        step = get_step(session, REQUEST, kind)
        step.verdict, step.asked, step.seeds_delivered, step.events = verdict, 3, 3 - len(lost), 20 * (3 - len(lost))
        for seed in (60001, 60002, 60003):
            state = SeedState.MISSING if seed in lost else SeedState.DELIVERED
            session.add(
                SeedOutcomeRow(
                    step_id=step.step_id,
                    seed=seed,
                    state=state,
                    reason=lost.get(seed, ""),
                    lost_in=kind if seed in lost else "",
                    events=0 if seed in lost else 20,
                    events_source=EventSource.JOB_REPORT,
                )
            )


def test_the_time_of_a_delayed_launch_stands_wherever_the_request_is_shown(approved):
    later = datetime.now(UTC) + timedelta(days=2)
    launch(approved, REQUEST, not_before=later)
    [line] = show_list(approved, like=REQUEST)
    shown = [line.not_before, show_request(approved, REQUEST)["not_before"]]
    listed = [one for one in list_requests(approved, RequestFilter(), ALL).rows if one["request_id"] == REQUEST]
    shown += [one["not_before"] for one in listed]
    assert [datetime.fromisoformat(text) for text in shown] == [later] * 3


def test_steps_of_bunches_carry_their_number(ctx, import_demo):
    import_demo("requests_sheet.csv")
    clone(ctx, "PROD2025-016", REQUEST, CloneOrder(seed_count=5, events_per_file=20, bunches=2))
    plan(ctx, REQUEST)
    approve(ctx, REQUEST)
    steps = show_request(ctx, REQUEST)["steps"]
    assert [(one["step"], one["bunch"]) for one in steps] == [("SIM", 1), ("SIM", 2), ("RECO", 1), ("RECO", 2)]


def test_a_task_that_is_not_settled_has_a_job_for_each_seed(approved):
    _driven(approved, REQUEST)
    ensure_intents(approved, REQUEST, "SIM")
    assert [one["jobs"] for one in show_request(approved, REQUEST)["tasks"]] == [3]
    assert [one["jobs"] for one in list_tasks(approved, TaskFilter(request_id=REQUEST), ALL).rows] == [3]


def test_missing_seeds_are_ranges_with_one_line_a_kind_of_reason(approved):
    _settled(approved, "SIM", "failed", {60001: "job 7 wrote no S", 60002: "job 9 wrote no S"})
    [sim, reco] = show_request(approved, REQUEST)["steps"]
    words = "job 7 wrote no S (lost in SIM)"
    assert sim["missing"] == [{"seeds": "60001-60002", "count": 2, "reason": words}]
    assert (sim["seeds_delivered"], reco["missing"]) == (1, [])


def test_accepting_says_what_is_waived_and_by_whom(approved, airflow):
    _driven(approved, REQUEST)
    _settled(approved, "SIM", "failed", {60002: "crash"})
    with transaction(approved.sessions) as session:
        get_request(session, REQUEST).state = "failed"
    answer = accept(approved, REQUEST, "enough for the fit")
    assert answer.message.startswith("goes on without SIM: seeds 60002 (waived by manager: enough for the fit)")


def test_withdrawing_says_what_was_withdrawn(approved):
    answer = withdraw(approved, REQUEST, "the field map is wrong")
    assert answer.message.startswith("the approval of plan ")
    assert "by manager, is withdrawn; its plan has to be approved again" in answer.message
    again = withdraw(approved, REQUEST, "the field map is wrong")
    assert (again.state, again.message) == ("planned", "no approval was there to be withdrawn: nothing was changed")


def test_an_act_that_is_refused_is_named_as_it_was_asked(ctx, import_demo):
    import_demo("requests_sheet.csv")
    with pytest.raises(InvalidTransition, match=r"^withdraw is not possible while PROD2025-016 is draft"):
        withdraw(ctx, "PROD2025-016", "x")


def test_a_clone_does_not_inherit_remarks(ctx, import_demo):
    import_demo("requests_sheet.csv")
    made = clone(ctx, "PROD2025-016", REQUEST, CloneOrder(seed_count=3, events_per_file=20))
    assert made.spec.labels == ()
    assert {one.field for one in made.changes} >= {"labels"}
    assert extend(ctx, "PROD2025-016", "DEMO2025-017", 3).spec.labels == ()
    assert clone(ctx, "PROD2025-016", REQUEST, CloneOrder(seed_count=3, events_per_file=20)).spec == made.spec


def test_a_plan_repeats_what_was_understood_otherwise_than_written(ctx, import_demo, tmp_path):
    demo = (ctx.home / "sheet.csv", "requests_sheet.csv")
    text = _lone_reco(demo[1])
    demo[0].write_text(text, encoding="utf-8")
    import_demo(demo[0])
    warnings = plan(ctx, "PROD2025-016").warnings
    assert any("the chain SIM-RECO is taken, which runs SIM too" in one for one in warnings), warnings


def _lone_reco(name: str) -> str:
    """The demo's sheet, with a row that asks for the reconstruction alone."""
    from tests.contract.actions.conftest import DEMO

    lines = (DEMO / name).read_text(encoding="utf-8").splitlines(keepends=True)
    head = next(place for place, line in enumerate(lines) if line.startswith("PROD2025-016"))
    assert ",simu," in lines[head] or "simu" in lines[head]
    lines[head] = lines[head].replace("simu", "reco", 1)
    return "".join(lines[: head + 1])
