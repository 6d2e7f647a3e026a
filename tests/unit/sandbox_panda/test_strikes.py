"""What rules say about jobs, tasks and files at a moment: pure decisions, as tables."""

from __future__ import annotations

import time
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest

from sandbox.panda.trouble.deeds import FOREVER
from sandbox.panda.trouble.scenario import Scenario, read_scenario
from sandbox.panda.trouble.scenario_commands import SCENARIOS
from sandbox.panda.trouble.strikes import (
    NO_FATE,
    JobFate,
    JobSeen,
    Moment,
    Struck,
    blocked_sites,
    broken_map,
    drawn_slots,
    missing_site,
    offline_sites,
    resting,
    rules_for,
)

SINCE = datetime(2025, 11, 21, 12, 0)


def scenario(*rules: dict[str, Any]) -> Scenario:
    return Scenario.model_validate({"rules": list(rules)})


def at(seconds: float = 0.0) -> Moment:
    return Moment(SINCE + timedelta(seconds=seconds), SINCE)


def job(slot: int = 0, jobs: int = 10, **more: Any) -> JobSeen:
    values: dict[str, Any] = {"seed": 40001 + slot, "site": "A", **more}
    return JobSeen(jedi_task_id=7, panda_id=100 + slot, file_id=50 + slot, slot=slot, jobs=jobs, **values)


def fate(rule: dict[str, Any], seen: JobSeen, name: str = "X.SIM", struck: Struck | None = None) -> JobFate:
    return rules_for(scenario(rule), name, at()).fate(seen, Counter() if struck is None else struck)


@pytest.mark.parametrize(
    ("match", "seen", "hit"),
    [
        ({}, job(), True),
        ({"task": "SIM"}, job(), True),
        ({"task": "RECO"}, job(), False),
        ({"seed": 40001}, job(), True),
        ({"seed": [40002, 40003]}, job(), False),
        ({"seed": 40001}, job(seed=None), False),
        ({"slot": 0}, job(), True),
        ({"slot": [1, 2]}, job(), False),
        ({"node": 2}, job(node=2), True),
        ({"node": 2}, job(node=1), False),
        ({"node": 2}, job(node=None), False),
        ({"site": "A"}, job(), True),
        ({"site": "B"}, job(), False),
        ({"scout": True}, job(scout=True), True),
        ({"scout": True}, job(), False),
        ({"scout": False}, job(), True),
        ({"share": 1.0}, job(), True),
        ({"count": 10}, job(slot=9), True),
        ({"site": "A", "seed": 40002}, job(), False),
    ],
)
def test_a_rule_means_a_job_by_all_it_names(match: dict[str, Any], seen: JobSeen, hit: bool) -> None:
    assert (fate({"match": match, "fail": {}}, seen).error is not None) is hit


@pytest.mark.parametrize(("times", "failures"), [(1, 1), (2, 2), (5, 5), ("always", 8)])
def test_attempts_at_a_slot_are_counted_together(times: int | str, failures: int) -> None:
    rules = rules_for(scenario({"fail": {"times": times}}), "X.SIM", at())
    struck: Struck = Counter()
    seen = [rules.fate(JobSeen(7, panda_id, 50, 0, 1, 1, "A"), struck).error for panda_id in range(8)]
    assert sum(one is not None for one in seen) == failures
    assert [one is not None for one in seen] == sorted((one is not None for one in seen), reverse=True)


def test_what_the_journal_holds_counts_too() -> None:
    struck: Struck = Counter({("once", "task 7 slot 50"): 1})
    assert fate({"name": "once", "fail": {"times": 1}}, job(), struck=struck).error is None
    assert fate({"name": "once", "fail": {"times": 1}}, job(slot=1), struck=struck).error is not None


@pytest.mark.parametrize("count", [1, 6, 7, 8, 29])
@pytest.mark.parametrize("jobs", [50, 1250, 10000])
def test_a_count_draws_exactly_so_many_always_the_same(count: int, jobs: int) -> None:
    drawn = drawn_slots("rule", 0, count, jobs)
    assert len(drawn) == count
    assert drawn <= set(range(jobs))
    assert drawn == drawn_slots.__wrapped__("rule", 0, count, jobs)
    assert drawn != drawn_slots("rule", 1, count, jobs)


def test_a_count_above_the_jobs_draws_all() -> None:
    assert drawn_slots("rule", 0, 8, 3) == {0, 1, 2}


INCIDENTS = {
    "reco-9992-of-10000": ("X.RECO", 10000, 8),
    "reco-9993-of-10000": ("X.RECO", 10000, 7),
    "reco-1244-of-1250": ("X.RECO", 1250, 6),
    "reco-1221-of-1250": ("X.RECO", 1250, 29),
    "no-reply-2175-of-14293": ("X.SIM", 14293, 2175),
}


@pytest.mark.parametrize("name", INCIDENTS)
def test_an_incident_has_its_real_numbers(name: str) -> None:
    task, jobs, wanted = INCIDENTS[name]
    rules = rules_for(read_scenario(SCENARIOS / f"{name}.yaml"), task, at())
    struck: Struck = Counter()
    fates = [rules.fate(job(slot, jobs), struck) for slot in range(jobs)]
    assert sum(one.error is not None or one.silent != "" for one in fates) == wanted
    assert sum(len(one.strikes) for one in fates) == wanted


def test_first_rule_of_each_kind_counts_and_silence_beats_failure() -> None:
    rules = scenario(
        {"slow": {"wall_s": 30}},
        {"slow": {"factor": 2}},
        {"fail": {"error": "sigterm"}},
        {"no_reply": {"at": "running"}},
    )
    got = rules_for(rules, "X", at()).fate(job(), Counter())
    assert (got.silent, got.error, got.wall_s(5)) == ("running", None, 30)


@pytest.mark.parametrize(("slow", "usual_s", "wall_s"), [({"wall_s": 3}, 60, 3), ({"factor": 2.5}, 60, 150)])
def test_a_slow_job_takes_a_time_or_times_its_own(slow: dict[str, Any], usual_s: float, wall_s: float) -> None:
    assert fate({"slow": slow}, job()).wall_s(usual_s) == wall_s


def test_a_job_no_rule_means_costs_nothing() -> None:
    assert not rules_for(scenario({"match": {"task": "RECO"}, "fail": {}}), "X.SIM", at())
    assert fate({"match": {"task": "RECO"}, "fail": {}}, job()) is NO_FATE
    assert NO_FATE.wall_s(5) == 5


def test_a_hundred_thousand_jobs_are_judged_in_seconds() -> None:
    rules = rules_for(
        scenario({"match": {"count": 8}, "fail": {}}, {"match": {"share": 0.1}, "slow": {"factor": 2}}), "X", at()
    )
    struck: Struck = Counter()
    began = time.process_time()
    assert sum(rules.fate(job(slot, 100_000), struck).error is not None for slot in range(100_000)) == 8
    assert time.process_time() - began < 5.0


@pytest.mark.parametrize(
    ("during", "seconds", "holds"),
    [
        ({}, 0, True),
        ({"from_s": 60}, 59, False),
        ({"from_s": 60}, 60, True),
        ({"from_s": 60, "to_s": 300}, 299.9, True),
        ({"from_s": 60, "to_s": 300}, 300, False),
        ({"from_time": "2025-11-21T12:01:00"}, 59, False),
        ({"from_time": "2025-11-21T12:01:00"}, 60, True),
        ({"from_time": "2025-11-21T15:01:00+03:00", "to_time": "2025-11-21T12:02:00Z"}, 61, True),
        ({"to_time": "2025-11-21T12:02:00"}, 120, False),
    ],
)
def test_a_window_counts_from_when_the_scenario_came_into_force(
    during: dict[str, Any], seconds: float, holds: bool
) -> None:
    rules = scenario({"match": {"site": "PNPI"}, "during": during, "offline": {}})
    assert (offline_sites(rules, at(seconds)) == {"PNPI"}) is holds


def test_brokerage_hears_why_it_finds_nothing() -> None:
    rules = scenario(
        {"match": {"task": "SIM"}, "no_site": {"text": "no memory"}}, {"match": {"site": "B"}, "offline": {}}
    )
    assert blocked_sites(rules, "X.SIM", at(), ["A", "B"]) == {"A": "no memory", "B": "no memory"}
    assert blocked_sites(rules, "X.RECO", at(), ["A", "B"]) == {"B": "offline"}
    assert (missing_site(rules, "X.SIM", at()), missing_site(rules, "X.RECO", at())) == ("no memory", None)


def test_a_map_breaks_for_the_tasks_a_rule_names() -> None:
    rules = scenario({"match": {"task": "SIM"}, "break_map": {"text": "bad"}})
    found = broken_map(rules, "X.SIM", at())
    assert found is not None
    assert found.break_map is not None
    assert found.break_map.text == "bad"
    assert broken_map(rules, "X.RECO", at()) is None


@pytest.mark.parametrize(("seconds", "rests"), [(0, False), (10, True), (39, True), (41, False)])
def test_jedi_rests_for_its_time(seconds: float, rests: bool) -> None:
    assert bool(resting(scenario({"during": {"from_s": 10}, "rest_jedi": {"for_s": 30}}), at(seconds))) is rests


def test_always_is_for_ever() -> None:
    found = scenario({"fail": {"times": "always"}}).rules[0].fail
    assert found is not None
    assert found.times == FOREVER
