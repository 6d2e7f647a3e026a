"""One job from its slots: parameters, names of its files, numbers that never come twice."""

from __future__ import annotations

import json
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.panda.jobs.catalogue import CatalogueFile
from sandbox.panda.tasks.feed import cut_file, max_attempt, new_files
from sandbox.panda.tasks.job_plan import JobPlanner, plan_job
from sandbox.panda.tasks.refine import plan_datasets, plan_slots, read_goal
from sandbox.panda.tasks.templates import TemplateInvalid

DATA = Path(__file__).resolve().parents[2] / "data" / "panda"


def _recorded(scenario: str) -> tuple[list[dict[str, Any]], list[list[dict[str, Any]]]]:
    """Maps of a scenario, and the last list of jobs of each task, in the order of the tasks."""
    maps, jobs = {}, {}
    for line in (DATA / f"{scenario}.jsonl").read_text(encoding="utf-8").splitlines():
        call = json.loads(line)
        if call["path"].endswith("task/submit"):
            maps[call["response_body"]["data"]] = call["request_body"]["task_parameters"]
        if call["path"].endswith("get_job_descriptions") and call["response_body"]["data"]:
            jobs[int(call["query"]["task_id"][0])] = call["response_body"]["data"]
    known = sorted(set(maps) & set(jobs))
    return [maps[one] for one in known], [jobs[one] for one in known]


def _datasets(params: dict[str, Any]) -> list[dict[str, Any]]:
    plans = [plan for plan in plan_datasets(params) if plan.type in ("output", "log")]
    return [{**plan.__dict__, "dataset_id": number} for number, plan in enumerate(plans)]


def _slots(params: dict[str, Any]) -> list[dict[str, Any]]:
    found = plan_slots(params)
    assert found is not None
    return [{"lfn": lfn, "first_event": first, "n_events": events} for lfn, first, events in found]


@pytest.mark.parametrize("scenario", ["seed_list", "random_seed_pool", "attempt_suffix", "scouting"])
def test_the_first_attempts_are_planned_as_recorded(scenario: str) -> None:
    (params,), (jobs,) = _recorded(scenario)
    slots, outputs = _slots(params), _datasets(params)
    planner = JobPlanner(params)
    planned = {
        planner.plan([slot], {}, 1001 + number, [(one, number + 1) for one in outputs], True).parameters
        for number, slot in enumerate(slots)
    }
    assert {job["jobParameters"] for job in jobs if job["attemptNr"] == 1} <= planned


def test_pairs_are_planned_as_recorded() -> None:
    (_, params), (_, jobs) = _recorded("chain_done")
    outputs, planner = _datasets(params), JobPlanner(params)
    names = [name.removesuffix(".S") for name in [plan.name for plan in plan_datasets(params)] if name.endswith(".S")]
    planned = [
        planner.plan(
            [{"lfn": f"{names[0]}.S.{number:06d}.root", "first_event": None, "n_events": 4000}],
            {"IN2": [{"lfn": f"{names[0]}.P.{number:06d}.root"}]},
            None,
            [(one, number) for one in outputs],
            False,
        ).parameters
        for number in range(1, 11)
    ]
    assert sorted(job["jobParameters"] for job in jobs) == planned


def _map(*values: str, **changes: Any) -> dict[str, Any]:
    outputs = [
        {"type": "template", "param_type": "output", "dataset": f"D.{number}", "value": value, **changes}
        for number, value in enumerate(values)
    ]
    return {"jobParameters": [{"type": "constant", "value": "run"}, *outputs]}


SLOT = {"lfn": "pseudo_lfn", "first_event": None, "n_events": None}


@pytest.mark.parametrize(
    ("value", "offset", "name"),
    [
        ("--o=X.${SN}.root", 0, "X.000007.root"),
        ("--o=X.${SN}.root", 100, "X.000107.root"),
        ("--o=X.${SN/P}.root", 0, "X.000007.root"),
        ("--o=X.${SN:03d}.root", 0, "X.007.root"),
        ("--o=X._$JEDITASKID._${SN}.root", 0, "X._48._000007.root"),
        ("--o='X.${SN}.root'", 0, "X.000007.root"),
    ],
)
def test_serial_numbers_have_offset_and_padding(value: str, offset: int, name: str) -> None:
    params = _map(value, offset=offset)
    plan = JobPlanner(params, 48).plan([SLOT], {}, None, [(one, 7) for one in _datasets(params)], True)
    assert plan.outputs == [(0, name)]
    assert name in plan.parameters


def test_each_output_has_its_own_offset() -> None:
    params = _map("--a=A.${SN}", "--b=B.${SN}")
    params["jobParameters"][2]["offset"] = 10
    plan = plan_job(params, [SLOT], {}, None, [(one, 1) for one in _datasets(params)], True)
    assert plan.parameters == "run --a=A.000001 --b=B.000011"


@pytest.mark.parametrize("value", ["--o=/etc/${SN}", "--o=a/../${SN}", "--o="])
def test_a_name_that_leaves_the_storage_is_refused(value: str) -> None:
    params = _map(value)
    with pytest.raises(TemplateInvalid):
        plan_job(params, [SLOT], {}, None, [(one, 1) for one in _datasets(params)], True)


@given(
    st.lists(st.lists(st.booleans(), min_size=1, max_size=6), min_size=1, max_size=8),
    st.integers(0, 10**5),
    st.sampled_from(["X.${SN}.root", "X.${SN/P}", "X.${SN:03d}.r", "$JEDITASKID.${SN}"]),
)
def test_names_never_repeat_in_a_task_however_attempts_end(cycles: list[list[bool]], offset: int, pattern: str) -> None:
    """Each cycle makes some jobs and ends them well or badly; the serial only grows."""
    params = _map(f"--o={pattern}", offset=offset)
    outputs, planner, serial, names = _datasets(params), JobPlanner(params, 7), 1, []
    for cycle in cycles:
        for _ in cycle:
            plan = planner.plan([SLOT], {}, None, [(one, serial) for one in outputs], True)
            names += [name for _, name in plan.outputs]
            serial += 1
    assert len(set(names)) == len(names) == serial - 1


@given(st.lists(st.tuples(st.integers(1, 5000), st.integers(1, 9)), min_size=1, max_size=60, unique=True))
def test_with_suffixes_place_and_attempt_name_a_file_once(tries: list[tuple[int, int]]) -> None:
    params = _map("--o=X.${SN}.root")
    outputs, planner = _datasets(params), JobPlanner(params)
    names = [
        planner.plan([SLOT], {}, None, [(one, place) for one in outputs], True, f".{attempt}").outputs[0][1]
        for place, attempt in tries
    ]
    assert len(set(names)) == len(tries)


@given(st.integers(1, 300), st.integers(1, 10**4), st.integers(0, 10**4))
def test_slots_cover_all_events_once(full: int, per_job: int, more: int) -> None:
    events = full * per_job + more % per_job
    slots = plan_slots({"nEvents": events, "nEventsPerJob": per_job})
    assert slots is not None
    position = 0
    for lfn, first, count in slots:
        assert (lfn, first) == ("pseudo_lfn", position)
        assert count is not None
        assert 0 < count <= per_job
        position += count
    assert position == events


@given(st.integers(1, 300), st.integers(1, 10**4), st.integers(0, 10**4))
def test_a_file_is_cut_into_slots_without_gap_or_overlap(full: int, per_job: int, more: int) -> None:
    events = full * per_job + more % per_job
    params = {"nEventsPerInputFile": events, "nEventsPerJob": per_job}
    slots = cut_file(params, CatalogueFile("s", "f", 1, "a"))
    assert sum(count or 0 for _, count in slots) == events
    ends = list(accumulate(count or 0 for _, count in slots))
    assert [first or 0 for first, _ in slots] == [0, *ends[:-1]]


@given(st.lists(st.text("abc", min_size=1, max_size=3), unique=True), st.integers(0, 5), st.integers(1, 8))
def test_input_files_come_in_the_order_of_their_names_and_up_to_the_limit(
    names: list[str], already: int, limit: int
) -> None:
    files = [CatalogueFile("s", name, 1, "a") for name in names]
    known = names[:already]
    found = [one.name for one in new_files({"nFiles": limit}, True, files, known)]
    assert found == sorted(set(names) - set(known))[: max(limit - len(known), 0)]
    assert [one.name for one in new_files({"nFiles": limit}, False, files, known)] == sorted(set(names) - set(known))


@given(st.dictionaries(st.sampled_from(["nEvents", "nEventsPerJob", "nFiles", "pfnList", "goal", "maxAttempt"]),
                       st.one_of(st.none(), st.integers(-5, 500), st.text(max_size=4), st.booleans(),
                                 st.lists(st.text(max_size=3), max_size=4), st.floats())))  # fmt: skip
def test_no_number_in_a_map_breaks_the_plan(params: dict[str, Any]) -> None:
    slots = plan_slots(params)
    assert slots is None or len(slots) >= 1
    assert max_attempt(params) >= 1
    goal = read_goal(params)
    assert goal is None or 0 < goal < 1000


@pytest.mark.parametrize(
    ("goal", "tenths"), [(None, None), (95, 950), ("95.5", 955), (100, None), (0, None), (-3, None), ("all", None)]
)
def test_a_goal_is_kept_in_tenths_of_a_percent(goal: Any, tenths: int | None) -> None:
    assert read_goal({"goal": goal}) == tenths
