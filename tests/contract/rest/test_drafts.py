"""Drafts over REST: written, changed and deleted under the rules that files have."""

from __future__ import annotations

import pytest

from prodsys.model.names import RequestId

NEW, HERE = "PROD2026-001", "/requests/PROD2026-001"
SMALL = {"request_id": NEW, "seed_count": 3, "events_per_file": 20}
ANY = {"If-Match": "*"}


@pytest.fixture
def draft(manager):
    manager.do("/requests/PROD2025-016/clone", SMALL)
    return manager


@pytest.fixture
def wanted(draft) -> dict:
    """A request that may be written as it stands."""
    spec = draft.ask(HERE)["spec"]
    return spec | {"request_id": "PROD2026-777", "seeds": "700001-700003"}


def fault(answer) -> str:
    assert answer.status_code == 422, answer.text
    return answer.json()["detail"]


# --- texts and words --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("hidden", ["\u200b", "\u200d", "\u00ad", "\ufeff"])
def test_hidden_characters_make_no_other_configuration(draft, wanted, hidden):
    geometry = wanted["geometry"].replace("sketch", f"ske{hidden}tch").replace(" TS", "\u00a0TS")
    answer = draft.post("/requests", wanted | {"geometry": geometry, "seeds": "40001-40003"})
    assert answer.status_code == 409
    assert answer.json()["owners"] == [["PROD2025-016", 40001, 40003]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"geometry": "DSSD, \u0422S"}, "cyrillic capital letter te"),
        ({"campaign": "SPD M\u0421 2026"}, "cyrillic capital letter es"),
        ({"tag": "minbias-\u04208-spdroot4172-dev"}, "cyrillic capital letter er"),
        ({"collision": "op"}, "did you mean 'pp'?"),
        ({"stage": "S9"}, "'S9' is not among the known stages"),
        ({"polarization": "XX"}, "'XX' is not among the known polarizations"),
        ({"geometry": "DSSX, TS"}, "did you mean 'DSSD'?"),
        ({"geometry": "X" * 501}, "501 characters"),
        ({"description": "\x1b[31m"}, "control character U+001B escape"),
        ({"labels": ["\x07"]}, "control character U+0007"),
    ],
)
def test_what_no_file_may_say_the_api_may_not_either(draft, wanted, change, words):
    assert words in fault(draft.post("/requests", wanted | change))
    assert words in fault(draft.call("PATCH", HERE, json=change, headers=ANY))


def test_another_spelling_is_kept_as_the_lists_have_it_with_a_note(draft, wanted):
    body = draft.do("/requests", wanted | {"collision": "PP", "geometry": wanted["geometry"].replace(",", ";")})
    assert body["answer"]["spec"]["collision"] == "pp"
    assert body["answer"]["spec"]["geometry"] == wanted["geometry"]
    assert body["answer"]["notes"] == ["collision is taken as 'pp'"]


def test_one_number_is_one_id(draft, wanted):
    body = draft.do("/requests", wanted | {"request_id": "PROD2032-0001"})
    assert body["request_id"] == "PROD2032-001"
    assert draft.ask("/requests/PROD2032-00001")["request_id"] == "PROD2032-001"
    again = draft.do("/requests/PROD2025-016/clone", SMALL | {"request_id": "PROD2026-0001"})
    assert again["request_id"] == NEW
    assert RequestId.parse("PROD2032-0001") == RequestId.parse("PROD2032-001")


# --- bounds -----------------------------------------------------------------------------------------------------------
def test_all_seeds_are_refused_when_they_are_written(draft, wanted):
    everything = {"seeds": "1-2147483647", "events_per_file": 20, "events": 42_949_672_940}
    assert "at most 500 000 may be" in fault(draft.post("/requests", wanted | everything))
    assert draft.get("/requests/PROD2026-777").status_code == 404


def test_thirty_thousand_ranges_are_refused_in_words(draft, wanted):
    seeds = ",".join(str(seed) for seed in range(1_000_001, 1_060_001, 2))
    many = {"seeds": seeds, "events": 30_000 * wanted["events_per_file"]}
    answer = draft.post("/requests", wanted | many)
    assert "ranges of seeds: 30 000; at most 5 000 may be" in fault(answer)


def test_as_many_ranges_as_may_be_are_written_and_planned(draft, wanted):
    seeds = ",".join(str(seed) for seed in range(1_000_001, 1_010_001, 2))
    body = draft.do("/requests", wanted | {"seeds": seeds, "events": 5_000 * wanted["events_per_file"]})
    planned = draft.do(f"/requests/{body['request_id']}/plan")
    assert planned["answer"]["plan"]["steps"][0]["jobs"] == 5_000
    assert draft.get("/seeds/shared").status_code == 200


# --- reasons ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("char", ["\x00", "\x1b", "\x7f", "\x9b"])
def test_a_reason_with_a_control_character_is_refused(draft, char):
    answer = draft.post(f"{HERE}/abort", {"reason": f"red {char}[31m"}, headers=ANY)
    assert answer.status_code == 422
    assert draft.ask(HERE)["state"] == "draft"


def test_a_reason_is_kept_on_one_line(draft):
    draft.do(f"{HERE}/abort", {"reason": "too small\r\n[2026-11-28] ERROR forged\u202e"})
    assert draft.ask(HERE)["reason"] == "too small [2026-11-28] ERROR forged"


# --- PATCH and DELETE -------------------------------------------------------------------------------------------------
def test_a_merge_patch_changes_what_it_names(draft):
    tag = draft.get(HERE).headers["etag"]
    headers = {"If-Match": tag, "Content-Type": "application/merge-patch+json"}
    answer = draft.call("PATCH", HERE, content='{"priority": 800, "description": null}', headers=headers)
    assert answer.status_code == 200, answer.text
    spec = draft.ask(HERE)["spec"]
    assert (spec["priority"], spec["description"], spec["seeds"]) == (800, "", "50001-50003")
    assert draft.ask(HERE)["revision"] == 2
    late = draft.call("PATCH", HERE, json={"priority": 700}, headers={"If-Match": tag})
    assert late.status_code == 412
    assert draft.call("PATCH", HERE, json={"priority": 700}).status_code == 428


def test_events_follow_and_faults_are_told(draft):
    answer = draft.call("PATCH", HERE, json={"seeds": "50001-50002"}, headers=ANY).json()["answer"]
    assert answer["spec"]["events"] == 40
    assert "not_a_field" in fault(draft.call("PATCH", HERE, json={"not_a_field": 1}, headers=ANY))
    assert "events" in fault(draft.call("PATCH", HERE, json={"events": 41}, headers=ANY))
    taken = draft.call("PATCH", HERE, json={"seeds": "40001-40002"}, headers=ANY).json()["answer"]
    assert "belong to PROD2025-016" in taken["notes"][0]
    rehearsed = draft.call("PATCH", f"{HERE}?dry_run=true", json={"priority": 1}).json()
    assert (rehearsed["dry_run"], draft.ask(HERE)["spec"]["priority"]) == (True, 900)


def test_a_deleted_draft_is_out_of_the_list_and_gives_its_seeds_back(draft):
    assert draft.call("DELETE", HERE).status_code == 428
    answer = draft.call("DELETE", HERE, json={"reason": "typed wrongly"}, headers=ANY)
    assert answer.status_code == 200, answer.text
    assert answer.json()["state"] == "deleted"
    assert NEW not in [one["request_id"] for one in draft.ask("/requests", limit=200)["items"]]
    assert [one["request_id"] for one in draft.ask("/requests", state="deleted")["items"]] == [NEW]
    assert draft.ask(HERE)["reason"] == "deleted by manager: typed wrongly"
    again = draft.do("/requests/PROD2025-016/clone", SMALL | {"request_id": "PROD2026-002"})
    assert again["answer"]["spec"]["seeds"] == "50001-50003"
    assert draft.post("/requests/PROD2025-016/clone", SMALL).status_code == 409


def test_who_may_only_look_deletes_and_changes_nothing(draft, caller):
    viewer = caller("viewer")
    assert viewer.call("DELETE", HERE, headers=ANY).status_code == 403
    assert viewer.call("PATCH", HERE, json={"priority": 1}, headers=ANY).status_code == 403
