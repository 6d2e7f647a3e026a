"""Words of physics are lists: what is known, what it is taken for, and what is refused with what is near it."""

from __future__ import annotations

import pytest

from prodsys.errors import SpecInvalid
from prodsys.intake.catalogue import load_catalogue, read_spec
from prodsys.model.physics import PhysicsSpec
from prodsys.model.plan import build_plan
from prodsys.model.request import Configuration, RequestSpec
from prodsys.model.statuses import RecordedStatus
from prodsys.model.written import (
    WrittenRequest,
    check_request,
    faults_of_request,
    merged,
    read_request,
    spelled_as_known,
)
from prodsys.settings import REPOSITORY

SPECS = REPOSITORY / "include" / "specs"
CATALOGUE = load_catalogue(SPECS, "sandbox")
GOOD = {
    "request_id": "PROD2031-007",
    "campaign": "SPD MC 2031",
    "stage": "S2",
    "collision": "pp",
    "energy_gev": 27,
    "polarization": "UU",
    "geometry": "DSSD, TS, TOF, ECal, FARICH, RS, BBC, ZDC (sketch)",
    "software": "spdroot-dev",
    "version": "4.1.7.2",
    "tag": "minbias-P8-spdroot4172-dev",
    "events": 40000,
    "events_per_file": 4000,
    "seeds": "1-10",
}


def make(**changes) -> RequestSpec:
    return RequestSpec.checked(GOOD | changes)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"collision": "op"}, "collision: 'op' is not among the known collisions (did you mean 'pp'?"),
        ({"stage": "S9"}, "stage: 'S9' is not among the known stages"),
        ({"collision": "pA"}, "collision: 'pA' is not among"),
        ({"polarization": "XX"}, "polarization: 'XX' is not among"),
        ({"geometry": "DSDD, TS"}, "geometry: 'DSDD' is not among the known geometry parts (did you mean 'DSSD'?"),
        ({"geometry": "DSSD (sketsch)"}, "geometry: 'sketsch' is not among the known geometry remarks"),
        ({"tag": "minbais-P8-spdroot4172-dev"}, "tag: 'minbais' is not among the known processes (did you mean 'minb"),
        ({"tag": "minbias-P9-spdroot4172-dev"}, "tag: 'P9' is not among the known generators"),
        ({"tag": "sample1"}, "tag: 'sample1' is not among the known processes"),
        ({"tag": "dd-minbias-P8-spdroot4172-dev"}, "speaks of dd, the collision is pp"),
    ],
)
def test_a_word_that_no_list_knows_is_a_fault_with_the_file_and_what_is_near(change, words):
    [error] = faults_of_request(make(**change), CATALOGUE)
    assert words in str(error)
    assert "physics.yaml" in error.remedy or "same" in error.remedy
    with pytest.raises(SpecInvalid):
        build_plan(make(**change), 1, CATALOGUE)


def test_several_faults_are_told_together():
    with pytest.raises(SpecInvalid, match=r"'S9'.*'pA'.*'XX'"):
        check_request(make(stage="S9", collision="pA", polarization="XX"), CATALOGUE)


def test_history_is_recorded_as_it_is():
    old = make(collision="op", stage="S9", recorded_status=RecordedStatus.DONE)
    assert not list(faults_of_request(old, CATALOGUE))
    assert spelled_as_known(old, CATALOGUE) == old


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ({"collision": "PP"}, {"collision": "pp"}),
        ({"polarization": "uu"}, {"polarization": "UU"}),
        ({"geometry": "dssd;tof , e-cal ( Sketch )"}, {"geometry": "DSSD, TOF, ECal (sketch)"}),
        ({"tag": "MinBias-p8-spdroot4172-dev"}, {"tag": "minbias-P8-spdroot4172-dev"}),
    ],
)
def test_another_spelling_of_a_word_is_the_same_configuration(written, kept):
    spec = spelled_as_known(make(**written), CATALOGUE)
    assert spec == make(**kept)
    assert Configuration.of(spec) == Configuration.of(make(**kept))


def test_an_administrator_adds_a_word_and_lint_looks_at_the_file(tmp_path):
    text = (SPECS / "physics.yaml").read_text()
    path = tmp_path / "physics.yaml"
    path.write_text(text.replace("  P8: [", "  Herwig7: [H7]\n  P8: ["))
    spec, faults = read_spec(path, PhysicsSpec)
    assert faults == []
    assert spec.find("generators", "h7") == "Herwig7"
    more = CATALOGUE.model_copy(update={"physics": spec})
    check_request(make(tag="minbias-Herwig7-spdroot4172-dev"), more)
    path.write_text(text.replace("  P8: [", "  UrQMD: [p8]\n  P8: ["))
    _, [fault] = read_spec(path, PhysicsSpec)
    assert "stands for 'UrQMD' and for 'P8'" in fault.message


# --- what comes in by a door ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("geometry", "DSSD, \u0422S"),
        ("campaign", "SPD \u041cC 2031"),
        ("tag", "minbias-\u04208-spdroot4172-dev"),
        ("software", "spdr\u043e\u043et-dev"),
        ("polarization", "\uff35U"),
        ("request_id", "PR\u041eD2031-007"),
        ("variant", "D\u041esig"),
        ("stage", "S\u0662"),
        ("version", "\u0664.1"),
    ],
)
def test_a_letter_of_another_alphabet_is_refused_in_every_field_that_makes_a_name(field, value):
    with pytest.raises(SpecInvalid, match=f"{field}: holds '"):
        read_request(GOOD | {field: value})


@pytest.mark.parametrize("hidden", ["\u200b", "\u200d", "\u00ad", "\ufeff"])
def test_an_invisible_character_makes_no_other_configuration(hidden):
    values = GOOD | {
        "geometry": GOOD["geometry"].replace("sketch", f"ske{hidden}tch"),
        "tag": f"minbias-P8{hidden}-spdroot4172-dev",
        "description": "\u043f\u0440\u043e\u0431\u0430\nline",
    }
    spec = read_request(values)
    assert spec == make(description="\u043f\u0440\u043e\u0431\u0430\nline")
    assert type(spec) is RequestSpec


@pytest.mark.parametrize(
    "change",
    [
        {"geometry": "X" * 501},
        {"tag": "x" * 151},
        {"description": "x" * 2001},
        {"description": "red \x1b[31m"},
        {"labels": ["x"] * 51},
        {"labels": ["x" * 65]},
        {"labels": ["a\x1bb"]},
        {"software": "x" * 65},
        {"variant": "x" * 65},
    ],
)
def test_texts_have_lengths_and_hold_no_control_characters(change):
    with pytest.raises(SpecInvalid, match=f"{next(iter(change))}: "):
        read_request(GOOD | change)


def test_what_was_stored_before_there_were_lists_is_loaded_as_it_was():
    stored = make(geometry="DSSD, \u0422S\u00ad", description="old \x7f").model_dump(mode="json")
    assert RequestSpec.model_validate(stored).model_dump(mode="json") == stored
    with pytest.raises(SpecInvalid):
        WrittenRequest.checked(stored)


# --- sizes ------------------------------------------------------------------------------------------------------------
def limited(**limits):
    policy = CATALOGUE.policy
    policy = policy.model_copy(update={"limits": policy.limits.model_copy(update=limits)})
    return CATALOGUE.model_copy(update={"policy": policy})


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"largest_seed": 9}, "seeds: the largest seed is 10; at most 9 may be"),
        ({"seeds": 9}, "seeds: seeds asked for: 10; at most 9 may be"),
        ({"events": 39_999}, "events: events asked for: 40 000; at most 39 999 may be"),
        ({"jobs_of_task": 4}, "bunches: jobs of one task: 10; at most 4 may be (run it in at least 3 bunches"),
        ({"jobs_of_request": 19}, "seeds: jobs of all steps: 20; at most 19 may be"),
    ],
)
def test_a_bound_of_policy_is_told_in_words(limits, words):
    [error] = faults_of_request(make(), limited(**limits))
    assert words in str(error)
    assert "policy.yaml" in error.remedy


def test_ranges_have_a_bound():
    [error] = faults_of_request(make(seeds="1-5, 7-9, 11-12"), limited(ranges=2))
    assert "ranges of seeds: 3; at most 2 may be" in str(error)


def test_all_seeds_there_are_is_no_request():
    everything = make(seeds="1-2147483647", events_per_file=20, events=42_949_672_940)
    assert "2 147 483 647; at most 500 000 may be" in "".join(map(str, faults_of_request(everything, CATALOGUE)))
    done = everything.model_copy(update={"recorded_status": RecordedStatus.DONE})
    assert list(faults_of_request(done, CATALOGUE))


# --- changes ----------------------------------------------------------------------------------------------------------
def test_a_change_names_one_field_and_events_follow():
    assert read_request(merged(make(), {"seeds": "1-5"})) == make(seeds="1-5", events=20_000)
    assert read_request(merged(make(), {"events_per_file": 10})) == make(events_per_file=10, events=100)
    assert read_request(merged(make(priority=800), {"priority": None})) == make()
    inputs = {"S": "MC2025_S2:a.b", "P": "MC2025_S2:a.c"}
    changed = merged(make(chain="RECO", inputs=inputs), {"inputs": {"P": None}})
    assert changed["inputs"] == {"S": "MC2025_S2:a.b"}
