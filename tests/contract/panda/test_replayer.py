"""The replayer's own judgement: what it takes for a difference and what not."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.contract.panda import recordings
from tests.contract.panda.normal_form import being_fed, differences, normal_reply, normal_text
from tests.contract.panda.playback import PlayedBack
from tests.contract.panda.playing import SCENARIOS, scripts_of
from tests.contract.panda.replayer import place_of
from tests.contract.panda.script import Call, Script, Step
from tests.contract.panda.skips import NO_FAILURES, NOT_RECORDED, complaint
from tests.contract.panda.target import bare_vo
from tests.contract.panda.targets import base_url
from tests.contract.panda.translation import Translation


def _find(scenario: str, method: str, at: int = 0) -> tuple[Script, Step]:
    found = [(script, step) for script in scripts_of(scenario) for step in script.steps if step.method.endswith(method)]
    return found[at]


def _with_body(scenario: str, index: int, body: Any) -> list[Call]:
    calls = copy.deepcopy(recordings.calls(scenario))
    calls[index]["response_body"] = body
    return calls


@pytest.mark.parametrize(
    ("scenario", "method", "key", "value"),
    [
        ("chain_done", "task/get_detailed_info", "status", "finished"),
        ("chain_done", "task/get_detailed_info", "nFilesFinished", 9),
        ("chain_done", "task/get_detailed_info", "splitRule", "nothing"),
        ("broken", "task/get_detailed_info", "errorDialog", "another reason"),
        ("chain_done", "task/get_details", "statistics", "finished*9"),
        ("chain_done", "task/get_task_parameters", "nEvents", 1),
    ],
)
def test_a_changed_value_is_a_difference(scenario: str, method: str, key: str, value: Any) -> None:
    script, step = _find(scenario, method, -1)
    played = PlayedBack(script, recordings.calls(scenario))
    body = copy.deepcopy(step.call["response_body"])
    body["data"][key] = value
    recorded, got = (normal_reply(step.method, one) for one in (step.call["response_body"], body))
    assert f'"{key}"' in played.compare_bodies(step, recorded, got)


def test_a_missing_key_a_changed_text_and_another_code_are_differences() -> None:
    _, step = _find("wrong_state_commands", "task/kill", 0)
    body = step.call["response_body"]
    recorded = normal_reply(step.method, body)
    for changed in ({**body, "message": body["message"].strip()}, {**body, "data": 0}, {**body, "success": True}):
        assert differences(recorded, normal_reply(step.method, changed))


def test_ids_dates_and_hosts_are_no_differences() -> None:
    _, step = _find("chain_done", "task/get_job_descriptions", 0)
    body = copy.deepcopy(step.call["response_body"])
    for number, job in enumerate(body["data"]):
        job |= {"PandaID": number, "modificationHost": "elsewhere", "maxRSS": 1}
        job["creationTime"] = {"__datetime__": "2031-01-01T00:00:00"}
    assert not differences(*(normal_reply(step.method, one) for one in (step.call["response_body"], body)))


@pytest.mark.parametrize(
    ("seen", "wanted", "place"),
    [
        ([], ["ready"], -1),
        (["defined", "running"], ["ready", "running", "done"], 1),
        (["done"], ["ready", "running", "done"], 2),
        (["running", "finished", "ready", "done"], ["running", "finished", "running", "done"], 3),
        (["pending", "registered", "pending"], ["pending", "defined", "pending", "done"], 0),
        (["done", "rerefine", "ready", "done"], ["done", "toincexec", "rerefine", "defined", "ready", "done"], 5),
    ],
)
def test_a_task_is_beyond_a_place_that_was_missed(seen: list[str], wanted: list[str], place: int) -> None:
    assert place_of(seen, wanted) == place


def test_every_recorded_call_is_in_one_script() -> None:
    for scenario in SCENARIOS:
        kept = [step.index for script in scripts_of(scenario) for step in script.steps]
        assert len(kept) == len(set(kept))
        changing = {
            index for index, call in enumerate(recordings.calls(scenario))
            if call["method"] == "POST" and "get_" not in call["path"]
        }  # fmt: skip
        assert changing <= set(kept), scenario


@pytest.mark.parametrize("given", ["http://h:1", "http://h:1/", "http://h:1/api/v1/", "http://h:1/server/panda"])
def test_an_address_may_be_given_in_every_form(given: str) -> None:
    assert base_url(given) == "http://h:1"


@pytest.mark.parametrize(
    ("origin", "vo"),
    [
        ("spd:production", "spd"),
        ("spd.production", "spd"),
        ("spd", "spd"),
        ("spd.nica.jinr:production", "spd.nica.jinr"),
    ],
)
def test_the_experiment_is_read_from_both_forms(origin: str, vo: str) -> None:
    assert bare_vo(origin) == vo


@pytest.mark.parametrize("target", ["recordings", "sandbox", "live"])
def test_a_skip_is_in_order_only_where_its_reason_can_be_true(target: str) -> None:
    assert complaint(NOT_RECORDED, target) == "" or target != "recordings"
    assert bool(complaint(NO_FAILURES, target)) == (target != "live")
    assert complaint("I do not feel like it", target).startswith("unexpected skip")


def test_a_nickname_in_the_dn_is_the_issuers_choice() -> None:
    recorded, got = ("killed by prodmgr/CN=nickname:prodmgr", "killed by prodmgr")
    assert normal_text(recorded) == normal_text(got)
    assert normal_text("killed by somebody") != normal_text(got)


def test_a_waiting_child_is_compared_without_what_the_feeder_has_seen() -> None:
    def told(statistics: str, why: str | None, status: str = "pending") -> dict[str, object]:
        data = {"status": status, "statistics": statistics, "errorDialog": why, "PandaID": []}
        return {"success": True, "message": "", "data": data}

    early, late = told("", None), told("tobedone*5", "insufficient inputs are ready. 5 files available")
    assert being_fed("task/get_details", early) == being_fed("task/get_details", late)
    assert being_fed("task/get_details", early) != being_fed("task/get_details", told("", None, "defined"))


@pytest.mark.parametrize(
    ("here", "recorded"),
    [
        ("production", "prodmgr"),
        ("kill by production", "kill by prodmgr"),
        ("production/CN=nickname", "prodmgr/CN=nickname"),
        ('find parent with user="production" name=nope', 'find parent with user="prodmgr" name=nope'),
        ("User DN (raw): production\nUser DN (bare): production", "User DN (raw): prodmgr\nUser DN (bare): prodmgr"),
        ('{"userName": "production", "status": "done"}', '{"userName": "prodmgr", "status": "done"}'),
        *((text, text) for text in (
            "/cvmfs/spd.jinr.ru/production/bin/run.sh",
            "['/spd/Role=production']",
            "Primary production working group: None",
        )),
    ],
)  # fmt: skip
def test_a_user_whose_name_is_a_common_word_is_found_where_users_are_named(here: str, recorded: str) -> None:
    """Our own stack's robot is called `production`, which stands in paths and roles, too."""
    words = Translation(site="SPD_JINR", user="production", vo="spd")
    assert words.back(here) == recorded
