"""Importing the experiment's own tables into the ledger."""

from __future__ import annotations

import threading
from pathlib import Path

from prodsys.actions.queries.showing import show_claims, show_list, show_request
from prodsys.actions.requests.drafting import draft
from prodsys.actions.requests.importing import create_request, lock_for, revision_row
from prodsys.errors import InvalidTransition
from prodsys.ledger.requests import get_request, get_spec
from prodsys.ledger.session import transaction
from prodsys.model.request import Configuration, RequestSpec
from prodsys.model.statuses import RequestState

from .conftest import DEMO

SHEET, EXPORT = "requests_sheet.csv", "requests_db.csv"


def shared_pairs(ctx) -> set[tuple[str, str]]:
    lines = show_list(ctx)
    return {
        tuple(sorted((one["request"], one["owner"])))
        for line in lines
        for one in show_request(ctx, line.request_id)["reuse"]
    }


def test_the_sheet_becomes_history_and_drafts_with_its_seeds(ctx, import_demo):
    answer = import_demo(SHEET)
    states = {line.request_id[-3:]: (line.recorded_status, line.state) for line in show_list(ctx)}
    assert not answer.faults
    assert states == {
        **dict.fromkeys(("010", "011", "012", "013"), ("done", "recorded")),
        "014": ("running", "recorded"),
        **dict.fromkeys(("015", "016"), ("ready", "draft")),
    }


def test_the_history_of_thirteen_requests_shares_seeds_in_exactly_five_pairs(ctx, import_demo):
    import_demo(SHEET, EXPORT)
    found = {(left[-3:], right[-3:]) for left, right in shared_pairs(ctx)}
    assert found == {("001", "002"), ("001", "004"), ("002", "004"), ("003", "004"), ("011", "012")}


def test_the_order_of_import_does_not_change_who_owns_history(ctx, import_demo, tmp_path):
    rows = (DEMO / EXPORT).read_text().splitlines()
    for number, row in enumerate(rows[1:]):  # as exported: the highest number last; then one by one in reverse
        path = tmp_path / f"{number}.csv"
        path.write_text("\n".join([rows[0], row]) + "\n")
    for path in sorted(tmp_path.glob("*.csv"), reverse=True):
        assert not import_demo(path).faults
    owners = {(one["seeds"], one["request_id"][-3:]) for one in show_claims(ctx, "PROD2025-004")}
    assert owners == {("1-1250", "001"), ("1251-5000", "002"), ("5001-10000", "003")}
    assert {(a[-3:], b[-3:]) for a, b in shared_pairs(ctx)} == {
        ("001", "002"), ("001", "004"), ("002", "004"), ("003", "004")
    }  # fmt: skip


def test_importing_the_same_file_twice_changes_nothing(ctx, import_demo):
    import_demo(SHEET)
    before = [show_request(ctx, line.request_id) for line in show_list(ctx)]
    answer = import_demo(SHEET)
    assert (answer.created, answer.revised, len(answer.unchanged)) == ([], [], 7)
    assert [show_request(ctx, line.request_id) for line in show_list(ctx)] == before


def test_a_changed_row_makes_a_new_revision_and_takes_the_new_seeds(ctx, import_demo, tmp_path):
    import_demo(SHEET)
    changed = tmp_path / "changed.csv"
    changed.write_text((DEMO / SHEET).read_text().replace("40001-50000", "60001-70000"))
    answer = import_demo(changed)
    assert answer.revised == ["PROD2025-016"]
    found = show_request(ctx, "PROD2025-016")
    assert (found["revision"], found["seeds"]) == (2, "60001-70000")
    assert ("60001-70000", "PROD2025-016") in {(one["seeds"], one["request_id"]) for one in show_claims(ctx)}
    assert "40001-50000" not in {one["seeds"] for one in show_claims(ctx)}


def test_a_ready_row_that_asks_for_taken_seeds_stays_a_draft_without_them(ctx, import_demo, tmp_path):
    sheet = tmp_path / "overlap.csv"
    sheet.write_text((DEMO / SHEET).read_text().replace("40001-50000", "39001-49000"))
    answer = import_demo(sheet)
    (fault,) = answer.faults
    assert fault.row == 14
    assert "39001-40000 belong to PROD2025-015" in fault.message
    assert show_request(ctx, "PROD2025-016")["state"] == "draft"
    assert {one["request_id"] for one in show_claims(ctx)} == {f"PROD2025-0{number}" for number in range(10, 16)}


def test_a_broken_row_harms_no_other(ctx, import_demo, tmp_path):
    sheet = tmp_path / "broken.csv"
    sheet.write_text((DEMO / SHEET).read_text().replace("10001-20000", "10001-2000O"))
    answer = import_demo(sheet)
    assert len(answer.created) == 6
    assert [fault.value for fault in answer.faults] == ["10001-2000O"]


def test_the_source_of_a_request_is_kept(ctx, import_demo):
    import_demo(SHEET)
    source = show_request(ctx, "PROD2025-014")["source"]
    assert Path(source["file"]).name == SHEET
    assert source["row"] == 10
    assert any("Runnig" in note for note in source["notes"])


def test_of_two_who_write_one_new_id_with_other_configurations_the_second_is_told(ctx, import_demo):
    import_demo(SHEET)
    with transaction(ctx.sessions) as session:
        first = get_spec(session, "PROD2025-016").model_dump(mode="json")
    first |= {"request_id": "DEMO2026-001", "recorded_status": "draft", "seeds": "900001-900003", "events": 12000}
    first |= {"events_per_file": 4000}
    other = RequestSpec.checked(first | {"geometry": "other"})
    assert Configuration.of(other).digest() != Configuration.of(RequestSpec.checked(first)).digest()
    refused: list[Exception] = []

    def write_other() -> None:
        try:
            draft(ctx, other)
        except Exception as error:  # noqa: BLE001 - whatever it is
            refused.append(error)

    thread = threading.Thread(target=write_other)
    with transaction(ctx.sessions) as session:
        lock_for(session, RequestSpec.checked(first))
        create_request(session, "manager", RequestSpec.checked(first), {})
        thread.start()
        thread.join(timeout=1)
        assert thread.is_alive()
    thread.join(timeout=30)
    assert [type(one) for one in refused] == [InvalidTransition]


def test_history_that_was_moved_by_an_adoption_is_imported_again_without_a_fault(ctx, import_demo):
    """Adoption itself is tried in tests/contract/chain; it leaves a revision of its own and a request that runs."""
    import_demo(SHEET)
    with transaction(ctx.sessions) as session:
        row = get_request(session, "PROD2025-014", lock=True)
        moved = get_spec(session, row.request_id).model_copy(update={"partition": "test"})
        session.add(revision_row("manager", moved, 2, {}))
        row.revision, row.state = 2, RequestState.RUNNING
    answer = import_demo(SHEET)
    assert (answer.faults, "PROD2025-014" in answer.unchanged) == ([], True)
    assert show_request(ctx, "PROD2025-014")["revision"] == 2
