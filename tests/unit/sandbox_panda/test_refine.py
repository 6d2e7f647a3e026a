"""What a map means to the refiner."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.panda.tasks.refine import (
    COMMON_KEYS,
    RefineFailed,
    check_common,
    first_event_offset,
    plan_slots,
    refine,
    scope_of,
    split_rule,
    uses_scouts,
)

DATA = Path(__file__).resolve().parents[2] / "data" / "panda"


def _recorded(scenario: str, part: str, step: str = "SIM") -> dict[str, Any]:
    """First map of a scenario and step, or what the real server made of it."""
    for line in (DATA / f"{scenario}.jsonl").read_text(encoding="utf-8").splitlines():
        call = json.loads(line)
        data = call["response_body"].get("data") if isinstance(call["response_body"], dict) else None
        if part == "map" and call["path"].endswith("submit"):
            params: dict[str, Any] = call["request_body"]["task_parameters"]
            if f".{step}." in params["taskName"]:
                return params
        is_info = part == "info" and call["path"].endswith("get_detailed_info")
        if is_info and data and f".{step}." in (data["taskName"] or ""):
            return data
    raise AssertionError(f"{scenario} has no {part}")


@pytest.mark.parametrize(
    ("scenario", "step"),
    [("seed_list", "SIM"), ("chain_done", "SIM"), ("chain_done", "RECO"), ("pairing_shift", "RECO")],
)
def test_a_refined_map_is_as_recorded(scenario: str, step: str) -> None:
    params, info = _recorded(scenario, "map", step), _recorded(scenario, "info", step)
    refined = refine(params, "prodmgr")
    assert refined.raw_params == info["raw_task_params"]
    for key in set(refined.attributes) - {"requestType", "goal"}:
        assert refined.attributes[key] == info[key], key


def test_without_skip_scout_scouts_are_wanted() -> None:
    params = _recorded("scouting", "map")
    assert uses_scouts(params)
    assert split_rule(params).startswith("useScout=no_use,")
    assert not uses_scouts({**params, "skipScout": False})


@pytest.mark.parametrize("key", COMMON_KEYS)
def test_a_missing_common_key_breaks_before_the_name_is_known(key: str) -> None:
    params = {name: value for name, value in _recorded("seed_list", "map").items() if name != key}
    with pytest.raises(RefineFailed, match=f"KeyError:'{key}'") as caught:
        check_common(params, "spd")
    assert not caught.value.named


def test_slots_of_a_list_keep_their_order() -> None:
    slots = plan_slots({"pfnList": ["40001", "40007"], "nEventsPerJob": 20})
    assert slots == [("000000:40001", None, 20), ("000001:40007", None, 20)]


@pytest.mark.parametrize(
    ("params", "slots"),
    [
        ({"nEvents": 10000, "nEventsPerJob": 4000}, [(0, 4000), (4000, 4000), (8000, 2000)]),
        ({"nEvents": 0, "nEventsPerJob": 4000}, [(None, 4000)]),
        ({"nEvents": -5}, [(None, None)]),
        ({}, [(None, None)]),
        ({"nEvents": 8000, "nEventsPerJob": 0}, [(0, 8000)]),
        ({"nEvents": 8000}, [(0, 8000)]),
    ],
)
def test_events_are_cut_into_slots(params: dict[str, Any], slots: list[tuple[int | None, int | None]]) -> None:
    found = plan_slots(params)
    assert found is not None
    assert [(first, events) for _, first, events in found] == slots


@pytest.mark.parametrize("events", ["8000", "many"])
def test_a_text_for_a_number_makes_no_slots(events: str) -> None:
    assert plan_slots({"nEvents": events}) is None


def test_scope_is_the_first_part_or_said() -> None:
    assert scope_of("MC2025_S2.minbias.S") == ("MC2025_S2", "MC2025_S2.minbias.S")
    assert scope_of("test:MC2025_S2.minbias.S") == ("test", "MC2025_S2.minbias.S")


def test_offset_of_the_first_event() -> None:
    assert first_event_offset(_recorded("chain_done", "map")) == 0
