"""Seeds cannot overlap; plans bind approval; the moves of a request."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy.exc import IntegrityError

from prodsys.actions.planning.planning import approve, plan
from prodsys.actions.queries.showing import show_audit, show_claims, show_request
from prodsys.actions.requests.cloning import CloneOrder, clone
from prodsys.actions.requests.seed_reuse import declare_reuse
from prodsys.errors import InvalidTransition, NotAllowed, PlanChanged, RequestUnknown, SeedsTaken, SpecInvalid
from prodsys.ledger.seeds import to_range
from prodsys.ledger.tables import PublicationRow, SeedClaimRow, StepRow
from prodsys.model.seeds import SeedRange, parse_seeds
from prodsys.model.statuses import ReuseKind

SMALL = CloneOrder(seed_count=3, events_per_file=20)


@pytest.fixture(autouse=True)
def _book(import_demo):
    import_demo("requests_sheet.csv")


def test_a_clone_gets_the_next_free_seeds_of_its_configuration(ctx):
    assert [str(one) for one in clone(ctx, "PROD2025-016", "DEMO2025-016", SMALL).seeds] == ["50001-50003"]
    assert [str(one) for one in clone(ctx, "PROD2025-011", "DEMO2025-011", SMALL).seeds] == ["50004-50006"]
    assert [str(one) for one in clone(ctx, "PROD2025-010", "DEMO2025-010", SMALL).seeds] == ["1251-1253"]


def test_the_same_clone_again_is_the_same(ctx):
    first = clone(ctx, "PROD2025-016", "DEMO2025-016", SMALL)
    assert clone(ctx, "PROD2025-016", "DEMO2025-016", SMALL) == first
    assert len([one for one in show_claims(ctx) if one["request_id"] == "DEMO2025-016"]) == 1


def test_an_id_that_means_something_else_is_not_cloned_over(ctx):
    clone(ctx, "PROD2025-016", "DEMO2025-016", SMALL)
    with pytest.raises(InvalidTransition):
        clone(ctx, "PROD2025-015", "DEMO2025-016", SMALL)


def test_seeds_in_use_are_refused_with_owner_and_next_free(ctx):
    order = CloneOrder(seeds=parse_seeds("40001-40003"), events_per_file=20)
    with pytest.raises(SeedsTaken) as caught:
        clone(ctx, "PROD2025-016", "DEMO2025-999", order)
    assert caught.value.owners == (("PROD2025-016", 40001, 40003),)
    assert caught.value.next_free == 50001
    with pytest.raises(RequestUnknown):
        show_request(ctx, "DEMO2025-999")


def test_the_database_itself_refuses_a_concurrent_overlap(ctx):
    """Two transactions insert overlapping claims at once, without any of our locks: one of them fails."""
    configuration = show_claims(ctx, "PROD2025-016")[0]["configuration"]
    barrier, outcomes = threading.Barrier(2), []

    def insert(request_id: str, first: int) -> None:
        try:
            with ctx.sessions.begin() as session:
                barrier.wait(timeout=10)
                seeds = to_range(SeedRange(first=first, last=first + 10))
                session.add(SeedClaimRow(configuration=configuration, seeds=seeds, request_id=request_id))
            outcomes.append("in")
        except IntegrityError as error:
            outcomes.append("seed_claim_one_owner" if "seed_claim_one_owner" in str(error) else str(error))

    pair = [("PROD2025-015", 90_001), ("PROD2025-016", 90_005)]
    threads = [threading.Thread(target=insert, args=one) for one in pair]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert sorted(outcomes) == ["in", "seed_claim_one_owner"]


def test_many_clones_at_once_never_share_a_seed(ctx):
    errors = []

    def make(number: int) -> None:
        try:
            clone(ctx, "PROD2025-016", f"DEMO2025-{number:03d}", SMALL)
        except Exception as error:  # noqa: BLE001 - a thread must hand over whatever went wrong
            errors.append(error)

    threads = [threading.Thread(target=make, args=(number,)) for number in range(100, 112)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not errors
    seeds = [one["seeds"] for one in show_claims(ctx) if one["request_id"].startswith("DEMO")]
    assert len(seeds) == len(set(seeds)) == 12


def test_reuse_on_purpose_has_a_kind_and_a_reason_and_stays_visible(ctx, import_demo, tmp_path):
    from .conftest import DEMO

    sheet = tmp_path / "overlap.csv"
    sheet.write_text((DEMO / "requests_sheet.csv").read_text().replace("40001-50000", "39001-49000"))
    import_demo(sheet)
    with pytest.raises(SeedsTaken):
        plan(ctx, "PROD2025-016")
    with pytest.raises(SpecInvalid):
        declare_reuse(ctx, "PROD2025-016", "PROD2025-015", ReuseKind.COMPARE, " ")
    declare_reuse(ctx, "PROD2025-016", "PROD2025-015", ReuseKind.COMPARE, "same events, new calibration")
    answer = plan(ctx, "PROD2025-016")
    assert any("39001-40000" in warning and "PROD2025-015" in warning for warning in answer.warnings)
    assert {one["seeds"] for one in show_claims(ctx) if one["request_id"] == "PROD2025-016"} == {"40001-49000"}


def test_planning_twice_gives_the_same_plan(ctx):
    assert plan(ctx, "PROD2025-016").digest == plan(ctx, "PROD2025-016").digest
    assert [one["action"] for one in show_audit(ctx, "PROD2025-016")] == ["import", "plan"]


def test_a_full_size_plan_says_what_it_needs(ctx):
    built = plan(ctx, "PROD2025-016").plan
    assert (built.steps[0].jobs, built.events, built.partition) == (10_000, 40_000_000, "MC2025_S2")
    assert built.steps[0].datasets[0].did == (
        "MC2025_S2:MC2025_S2.minbias-P8-spdroot4172-dev.27GeV-UU.PROD2025-016.SIM.1.S"
    )
    assert 15e12 < built.steps[0].volume_bytes < 21e12


def test_approval_binds_to_the_plan_that_was_shown(ctx):
    clone(ctx, "PROD2025-016", "DEMO2025-016", SMALL)
    shown = plan(ctx, "DEMO2025-016").digest
    with pytest.raises(PlanChanged):
        approve(ctx, "DEMO2025-016", "sha256:other")
    assert approve(ctx, "DEMO2025-016", shown).digest == shown
    assert approve(ctx, "DEMO2025-016", shown).digest == shown  # said again, nothing changes
    with ctx.sessions() as session:
        assert session.query(PublicationRow).count() == 1
        assert [step.kind for step in session.query(StepRow).order_by(StepRow.ordinal)] == ["SIM", "RECO"]


def test_history_is_not_launchable(ctx):
    with pytest.raises(InvalidTransition) as caught:
        plan(ctx, "PROD2025-012")
    assert caught.value.possible == ("adopt", "archive")


def test_nothing_is_approved_without_a_plan(ctx):
    with pytest.raises(InvalidTransition):
        approve(ctx, "PROD2025-016")


def test_a_viewer_may_not_plan(ctx):
    with pytest.raises(NotAllowed):
        plan(ctx.acting_as("visitor", "viewer"), "PROD2025-016")


def test_an_unknown_request_names_near_ones(ctx):
    with pytest.raises(RequestUnknown, match="did you mean PROD2025-01"):
        show_request(ctx, "PROD2025-0116")


def test_a_new_import_takes_a_planned_request_back_to_draft(ctx, import_demo, tmp_path):
    from .conftest import DEMO

    plan(ctx, "PROD2025-016")
    changed = tmp_path / "changed.csv"
    changed.write_text((DEMO / "requests_sheet.csv").read_text().replace("40001-50000", "60001-70000"))
    import_demo(changed)
    assert show_request(ctx, "PROD2025-016")["state"] == "draft"


def test_an_approved_request_cannot_be_changed_by_an_import(ctx, import_demo, tmp_path):
    from .conftest import DEMO

    sheet = tmp_path / "sheet.csv"
    book = (DEMO / "requests_sheet.csv").read_text()
    sheet.write_text(book.replace("40 000 000,4000,40001-50000", "12 000,4000,40001-40003"))
    import_demo(sheet)
    plan(ctx, "PROD2025-016")
    approve(ctx, "PROD2025-016")
    sheet.write_text(book.replace("40 000 000,4000,40001-50000", "12 000,4000,60001-60003"))
    answer = import_demo(sheet)
    assert [fault.value for fault in answer.faults] == ["PROD2025-016"]
    assert show_request(ctx, "PROD2025-016")["seeds"] == "40001-40003"


def test_planning_and_importing_one_request_at_once_never_wait_for_each_other_in_a_ring(ctx, import_demo):
    """All who take seeds lock these first and the request then: in another order PostgreSQL ends one of the two."""

    def import_again(_: int) -> None:
        import_demo("requests_sheet.csv")

    with ThreadPoolExecutor(4) as pool:
        done = [pool.submit(work, number) for number in range(24) for work in (import_again, plan_again(ctx))]
        assert [type(one.exception()).__name__ for one in done if one.exception()] == []


def plan_again(ctx):
    return lambda _: plan(ctx, "PROD2025-016")
