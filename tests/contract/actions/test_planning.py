"""Check, plan and approve: what is looked at, what is shown, and who must say yes. No other service is configured."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text

from prodsys.actions.core.dry_run import run_dry
from prodsys.actions.planning.checking import check
from prodsys.actions.planning.planning import approve, plan
from prodsys.actions.queries.showing import show_audit, show_request
from prodsys.actions.requests.cloning import CloneOrder, clone
from prodsys.actions.requests.history_import import import_history, show_history
from prodsys.actions.requests.seed_reuse import declare_reuse
from prodsys.actions.runs.controlling import withdraw
from prodsys.errors import InvalidTransition, NotAllowed, PlanChanged, SpecInvalid, TrialMissing
from prodsys.intake.history import read_history, read_units
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import CertificateRow, DatasetRow, PlanRow, RequestRow, StepRow, TaskRow
from prodsys.ledger.tasks import to_multirange
from prodsys.model.estimate import Estimate
from prodsys.model.policy import SecondPerson
from prodsys.model.seeds import SeedRange
from prodsys.model.statuses import ReuseKind
from prodsys.settings import REPOSITORY

SMALL = CloneOrder(seed_count=3, events_per_file=20)
REQUEST = "DEMO2025-016"
TASKS = REPOSITORY / "tests" / "data" / "panda_tasks.csv"
AUTUMN = TASKS.with_name("panda_tasks_autumn.csv")


@pytest.fixture(autouse=True)
def _book(ctx, import_demo):
    import_demo("requests_sheet.csv")
    clone(ctx, "PROD2025-016", REQUEST, SMALL)


def with_policy(ctx, **changes):
    policy = ctx.catalogue.policy.model_copy(update=changes)
    return replace(ctx, catalogue=ctx.catalogue.model_copy(update={"policy": policy}))


def state(ctx, request_id=REQUEST):
    return show_request(ctx, request_id)["state"]


def acts(ctx, request_id=REQUEST):
    return [line["action"] for line in show_audit(ctx, request_id)]


# --- check ------------------------------------------------------------------------------------------------------------
def test_a_draft_in_order_becomes_checked_and_says_what_was_not_looked_at(ctx):
    answer = check(ctx, REQUEST)
    assert (answer.state, answer.in_order) == ("checked", True)
    said = [str(one) for one in answer.findings]
    assert any("not mounted here" in one for one in said)
    assert any("PRODSYS_PANDA_URL is not set" in one for one in said)
    assert any("PRODSYS_RUCIO_ACCOUNT is not set" in one for one in said)
    assert check(ctx, REQUEST) == answer
    assert acts(ctx).count("check") == 1
    assert plan(ctx, REQUEST).state == "planned"


def test_a_check_names_every_fault_and_leaves_the_draft_a_draft(ctx):
    catalogue = ctx.catalogue.model_copy(update={"chains": {}, "software": {}})
    policy = ctx.catalogue.policy.model_copy(update={"prefixes": ("PROD",)})
    bare = replace(ctx, catalogue=catalogue.model_copy(update={"policy": policy}))
    answer = check(bare, REQUEST)
    assert (answer.state, answer.in_order) == ("draft", False)
    places = [one.place for one in answer.findings if one.fault]
    assert places == ["request id", f"{REQUEST}.chain", f"{REQUEST}.software"]
    assert acts(ctx).count("check") == 0


def test_a_checked_request_that_is_not_in_order_any_more_is_a_draft_again(ctx):
    check(ctx, REQUEST)
    bare = replace(ctx, catalogue=ctx.catalogue.model_copy(update={"chains": {}}))
    assert check(bare, REQUEST).state == "draft"
    assert "no chains named" in show_request(ctx, REQUEST)["reason"]


def test_a_check_names_who_has_the_seeds(ctx, import_demo, tmp_path):
    sheet = tmp_path / "overlap.csv"
    book = (REPOSITORY / "include" / "demo" / "requests_sheet.csv").read_text()
    sheet.write_text(book.replace("40001-50000", "39001-49000"))
    import_demo(sheet)
    [finding] = [one for one in check(ctx, "PROD2025-016").findings if one.fault]
    assert "39001-40000 belong to PROD2025-015" in str(finding)
    assert "next free seed is 40001" in finding.remedy
    declare_reuse(ctx, "PROD2025-016", "PROD2025-015", ReuseKind.COMPARE, "new calibration")
    assert check(ctx, "PROD2025-016").in_order


def test_what_is_checked_may_still_change_and_is_a_draft_then(ctx, import_demo, tmp_path):
    check(ctx, "PROD2025-016")
    sheet = tmp_path / "changed.csv"
    book = (REPOSITORY / "include" / "demo" / "requests_sheet.csv").read_text()
    sheet.write_text(book.replace("40001-50000", "60001-70000"))
    assert import_demo(sheet).revised == ["PROD2025-016"]
    assert state(ctx, "PROD2025-016") == "draft"


def test_what_is_planned_is_not_checked_and_a_viewer_checks_nothing(ctx):
    plan(ctx, REQUEST)
    with pytest.raises(InvalidTransition, match="possible now: plan, approve"):
        check(ctx, REQUEST)
    with pytest.raises(NotAllowed):
        check(ctx.acting_as("visitor", "viewer"), REQUEST)


# --- scripts and images -----------------------------------------------------------------------------------------------
def mounted(ctx, root: Path):
    (root / "spd.jinr.ru").mkdir(parents=True)
    return replace(ctx, cvmfs=root)


def test_scripts_and_images_are_looked_for_where_cvmfs_is_mounted(ctx, tmp_path):
    here = mounted(ctx, tmp_path / "cvmfs")
    with pytest.raises(SpecInvalid, match=r"not on CVMFS: .*/simu.C, .*\.sif") as caught:
        plan(here, REQUEST)
    assert "software.yaml" in caught.value.remedy
    [finding] = [one for one in check(here, REQUEST).findings if one.fault]
    assert "simu.C" in finding.message
    for path in caught.value.message.removeprefix("not on CVMFS: ").split(", "):
        place = here.cvmfs / path.removeprefix("/cvmfs/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    assert not any("mounted" in warning for warning in plan(here, REQUEST).warnings)


def looking(ctx, act):
    """Hands that do something else at the moment when Rucio would be asked."""
    original = ctx.clients.rucio

    def rucio():
        act()
        return original()

    return replace(ctx, clients=replace(ctx.clients, rucio=rucio))


def test_no_lock_is_held_while_others_are_asked(ctx):
    def lock_at_once():
        with transaction(ctx.sessions) as session:
            session.execute(text("set local lock_timeout = '200ms'"))
            assert session.get(RequestRow, REQUEST, with_for_update=True) is not None

    assert check(looking(ctx, lock_at_once), REQUEST).state == "checked"
    assert plan(looking(ctx, lock_at_once), REQUEST).state == "planned"


def test_a_request_that_is_revised_while_others_are_asked_is_not_planned(ctx, import_demo, tmp_path):
    sheet = tmp_path / "changed.csv"
    book = (REPOSITORY / "include" / "demo" / "requests_sheet.csv").read_text()
    sheet.write_text(book.replace("40001-50000", "60001-70000"))
    with pytest.raises(PlanChanged):
        plan(looking(ctx, lambda: import_demo(sheet)), "PROD2025-016")
    assert state(ctx, "PROD2025-016") == "draft"
    assert plan(ctx, "PROD2025-016").plan.revision == 2


def test_of_many_plans_at_once_one_is_kept(ctx):
    with ThreadPoolExecutor(6) as pool:
        digests = {answer.digest for answer in pool.map(lambda _: plan(ctx, REQUEST), range(6))}
    assert len(digests) == 1
    assert acts(ctx).count("plan") == 1


# --- estimates --------------------------------------------------------------------------------------------------------
def test_without_history_the_figures_are_those_of_the_chain_and_say_so(ctx):
    answer = plan(ctx, "PROD2025-016")
    assert answer.estimate.volume_bytes == answer.plan.volume_bytes
    assert answer.estimate.core_hours == pytest.approx(answer.plan.core_hours)
    assert all(step.bytes_per_event.comparables == 0 for step in answer.estimate.steps)
    assert "chain SIM-RECO" in answer.estimate.steps[0].bytes_per_event.source
    assert "1788 jobs at once at all queues in service" in answer.estimate.steps[0].duration_h.source


def test_figures_come_from_comparable_tasks_and_the_plan_keeps_its_digest(ctx):
    before = plan(ctx, "PROD2025-016")
    answer = import_history(ctx, read_history(TASKS))
    assert (len(answer.created), answer.changed) == (10, [])
    after = plan(ctx, "PROD2025-016")
    assert after.digest == before.digest
    sim, reco = after.estimate.steps
    assert sim.bytes_per_event.comparables == 4
    assert sim.bytes_per_event.source.startswith(
        "4 closed of the same configuration: PROD2025-011.SIM (panda_tasks.csv)"
    )
    assert 18.3e12 < sim.volume_bytes < 18.4e12
    assert 65_000 < sim.core_hours < 70_000
    assert (sim.duration_h.comparables, sim.duration_h.value) == (3, 48.0)
    assert reco.bytes_per_event.comparables == 3
    assert "chain SIM-RECO" in reco.core_s_per_event.source, "a walltime without a certain unit is not used"
    assert acts(ctx, "PROD2025-016").count("plan") == 1


def test_a_person_who_knows_the_unit_of_a_walltime_says_so(ctx):
    import_history(ctx, read_history(TASKS))
    answer = import_history(ctx, read_history(TASKS, read_units(["RECO=min"])))
    assert sorted(answer.changed) == [f"PROD2025-{number:03d}.RECO" for number in (10, 11, 12, 13)]
    reco = plan(ctx, "PROD2025-016").estimate.steps[1]
    assert reco.core_s_per_event.value == pytest.approx(0.3, abs=0.06)
    assert reco.core_s_per_event.comparables == 3


def test_a_misprint_of_another_list_changes_no_figure_and_is_flagged(ctx):
    import_history(ctx, read_history(TASKS))
    before = plan(ctx, "PROD2025-016").estimate
    answer = import_history(ctx, read_history(AUTUMN))
    assert sum("misprint" in flag.message for flag in answer.flags) == 3
    assert (answer.created, answer.changed) == ([], [])
    assert plan(ctx, "PROD2025-016").estimate == before


def test_the_better_list_mends_what_a_misprint_left_out(ctx):
    import_history(ctx, read_history(AUTUMN))
    assert plan(ctx, "PROD2025-016").estimate.steps[0].bytes_per_event.comparables == 1
    import_history(ctx, read_history(TASKS))
    assert plan(ctx, "PROD2025-016").estimate.steps[0].bytes_per_event.comparables == 4


def test_two_lists_that_contradict_each_other_are_flagged_and_neither_is_used(ctx, tmp_path):
    import_history(ctx, read_history(TASKS))
    other = tmp_path / "other.csv"
    other.write_text(TASKS.read_text().replace("18358.86", "17000.00"))
    answer = import_history(ctx, read_history(other))
    assert answer.changed == ["PROD2025-014.SIM"]
    assert any("neither is used" in flag.message for flag in answer.flags)
    assert next(one for one in show_history(ctx) if one["task_name"] == "PROD2025-014.SIM")["bytes"] is None
    assert plan(ctx, "PROD2025-016").estimate.steps[0].bytes_per_event.comparables == 3


def test_tasks_of_another_collision_are_not_compared(ctx):
    import_history(ctx, read_history(TASKS))
    names = [figure.source for step in plan(ctx, "PROD2025-016").estimate.steps for figure in (step.bytes_per_event,)]
    assert not any("PROD2025-010" in name for name in names)


def ended(ctx, request_id, bytes_per_event, core_s_per_event, hours, **columns):
    """Write down that an approved request ran to its certificate."""
    plan(ctx, request_id)
    approve(ctx, request_id)
    end = datetime.now(UTC)
    with transaction(ctx.sessions) as session:
        row = session.get(RequestRow, request_id)
        row.state, row.closed_at = "complete", end
        for name, value in columns.items():
            setattr(row, name, value)
        for step in session.scalars(select(StepRow).where(StepRow.request_id == request_id)):
            step.verdict, step.seeds_delivered, step.events, step.core_s = "full", 3, 60, 60 * core_s_per_event
            for data_type, size in (("S", 60 * bytes_per_event), ("log", 10**9)):
                did = f"test:{request_id}.{step.kind}.{data_type}"
                what = {"request_id": request_id, "step": step.kind, "data_type": data_type, "kind": "dataset"}
                session.add(DatasetRow(did=did, bytes=size, files=3, **what))
            session.add(
                TaskRow(
                    step_id=step.step_id, attempt=1, task_name=f"{request_id}.{step.kind}", task_map={}, final=True,
                    seeds=to_multirange([SeedRange(first=1, last=3)]), intent="confirmed", status="done",
                    first_sent_at=end - timedelta(hours=hours), status_at=end,
                )
            )  # fmt: skip
        session.add(CertificateRow(request_id=request_id, certificate_revision=1, digest="d", body={}, path=""))


def test_figures_come_from_closed_productions_of_this_ledger_too(ctx):
    for number, (size, seconds, hours) in enumerate(((100, 2.0, 1.0), (300, 4.0, 3.0), (200, 9.0, 2.0)), start=1):
        clone(ctx, "PROD2025-016", f"DEMO2025-{number:03d}", SMALL)
        ended(ctx, f"DEMO2025-{number:03d}", size, seconds, hours)
    estimate = plan(ctx, REQUEST).estimate
    for step in estimate.steps:
        names = "3 closed of the same configuration: DEMO2025-001, DEMO2025-002, DEMO2025-003"
        assert (step.bytes_per_event.value, step.bytes_per_event.source) == (200, names)
        assert (step.core_s_per_event.value, step.duration_h.value) == (4.0, pytest.approx(2.0))
    assert estimate.volume_bytes == 2 * 60 * 200
    assert (estimate.core_hours, estimate.duration_h) == (pytest.approx(2 * 60 * 4 / 3600, abs=1e-3), pytest.approx(4))


def test_a_trial_of_the_configuration_tells_more_than_all_others(ctx):
    clone(ctx, "PROD2025-016", "DEMO2025-001", SMALL)
    clone(ctx, "PROD2025-016", "TEST2025-001", SMALL)
    ended(ctx, "DEMO2025-001", 100, 2.0, 1.0)
    ended(ctx, "TEST2025-001", 500, 8.0, 9.0, trial_of=REQUEST)
    for step in plan(ctx, REQUEST).estimate.steps:
        assert (step.bytes_per_event.value, step.core_s_per_event.value) == (500, 8.0)
        assert step.bytes_per_event.source == "trial of this configuration: TEST2025-001"
        assert step.duration_h.value == pytest.approx(1.0), "a trial waits in another way"


def test_a_list_s_task_that_brought_nothing_is_not_compared(ctx, tmp_path):
    lost = tmp_path / "lost.csv"
    lost.write_text(TASKS.read_text().replace("PROD2025-014.SIM,done", "PROD2025-014.SIM,aborted"))
    answer = import_history(ctx, read_history(lost))
    assert any(flag.column == "Status" for flag in answer.flags)
    assert plan(ctx, "PROD2025-016").estimate.steps[0].bytes_per_event.comparables == 3


def test_small_jobs_are_not_compared_with_large_ones(ctx):
    import_history(ctx, read_history(TASKS))
    assert plan(ctx, REQUEST).estimate.steps[0].bytes_per_event.comparables == 0


# --- what changed -----------------------------------------------------------------------------------------------------
def test_a_plan_says_what_changed_against_the_one_before_and_so_does_its_approval(ctx):
    first = plan(ctx, REQUEST)
    assert first.changes == ()
    sampling = with_policy(ctx, sample_files=7)
    second = plan(sampling, REQUEST)
    assert [str(one) for one in second.changes] == ["sample_files: 3 -> 7"]
    assert plan(sampling, REQUEST).changes == second.changes
    assert [str(one) for one in approve(sampling, REQUEST).changes] == ["sample_files: 3 -> 7"]


def test_specs_that_go_back_make_the_first_plan_the_newest_again(ctx):
    first = plan(ctx, REQUEST)
    plan(with_policy(ctx, sample_files=7), REQUEST)
    again = plan(ctx, REQUEST)
    assert again.digest == first.digest
    assert [str(one) for one in again.changes] == ["sample_files: 7 -> 3"]
    assert approve(ctx, REQUEST, first.digest).state == "approved"


# --- who approves -----------------------------------------------------------------------------------------------------
@pytest.fixture
def strict(ctx):
    """Hands where every request needs two persons."""
    return with_policy(ctx, second_person=SecondPerson(above_core_hours=0.001, above_bytes=1))


def test_above_the_size_of_policy_a_second_person_must_approve(strict):
    digest = plan(strict, REQUEST).digest
    first = approve(strict, REQUEST, digest)
    assert (first.state, "waits for a second person" in first.waits_for) == ("planned", True)
    assert approve(strict, REQUEST, digest).waits_for == first.waits_for, "said again, nothing changes"
    second = approve(replace(strict, who="deputy"), REQUEST, digest)
    assert (second.state, second.waits_for) == ("approved", "")
    assert acts(strict)[-2:] == ["approve as first", "approve"]
    with transaction(strict.sessions) as session:
        row = session.get(PlanRow, (REQUEST, digest))
        assert (row.approved_by, row.seconded_by) == ("manager", "deputy")


def test_nothing_runs_on_the_first_of_two_approvals(strict):
    plan(strict, REQUEST)
    approve(strict, REQUEST)
    with pytest.raises(InvalidTransition):
        withdraw(replace(strict, who="deputy"), "PROD2025-016", "x")
    assert show_request(strict, REQUEST)["steps"] == []


def test_a_changed_plan_needs_both_again(strict):
    plan(strict, REQUEST)
    approve(strict, REQUEST)
    changed = with_policy(strict, sample_files=7)
    plan(changed, REQUEST)
    assert approve(replace(changed, who="deputy"), REQUEST).waits_for


def test_a_withdrawn_approval_needs_both_again(strict):
    plan(strict, REQUEST)
    approve(strict, REQUEST)
    approve(replace(strict, who="deputy"), REQUEST)
    withdraw(strict, REQUEST, "the field map is wrong")
    assert approve(strict, REQUEST).waits_for


def test_the_first_of_two_approvals_can_be_taken_back(strict):
    plan(strict, REQUEST)
    approve(strict, REQUEST)
    assert withdraw(strict, REQUEST, "I looked at the wrong plan").state == "planned"
    assert acts(strict)[-1] == "withdraw"
    assert withdraw(strict, REQUEST, "again").state == "planned"
    assert acts(strict).count("withdraw") == 1
    assert "deputy" in approve(replace(strict, who="deputy"), REQUEST).waits_for


def test_two_persons_who_approve_at_once_are_a_first_and_a_second(strict):
    digest = plan(strict, REQUEST).digest
    hands = [replace(strict, who=name) for name in ("manager", "deputy")]
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda one: approve(one, REQUEST, digest), hands))
    assert sorted(bool(answer.waits_for) for answer in answers) == [False, True]
    assert acts(strict)[-2:] == ["approve as first", "approve"]


def test_the_size_that_was_shown_decides(ctx):
    plan(ctx, REQUEST)
    with transaction(ctx.sessions) as session:
        row = session.query(PlanRow).filter_by(request_id=REQUEST).one()
        shown = Estimate.model_validate(row.estimate)
        row.estimate = shown.model_copy(update={"core_hours": 10**6}).model_dump(mode="json")
    with pytest.raises(TrialMissing, match="1,000,000 core hours"):
        approve(ctx, REQUEST)
    assert approve(with_policy(ctx, trial=()), REQUEST).waits_for


# --- dry runs ---------------------------------------------------------------------------------------------------------
def test_a_rehearsed_plan_and_approval_change_nothing(ctx):
    assert run_dry(ctx, lambda hands: approve(hands, REQUEST, plan(hands, REQUEST).digest)).answer.state == "approved"
    assert (state(ctx), acts(ctx)) == ("draft", ["clone"])
    with transaction(ctx.sessions) as session:
        assert session.query(PlanRow).count() == 0
        assert session.get(RequestRow, REQUEST).reason == ""
