"""Estimates: the nearest productions tell, the chain stands in, and nothing of it moves the digest."""

from __future__ import annotations

import pytest

from prodsys.intake.catalogue import load_catalogue
from prodsys.model.estimate import Estimate, Measure, Nearness, build_estimate, core_seconds
from prodsys.model.outcome import JobRecord
from prodsys.model.plan import build_plan
from prodsys.model.request import RequestSpec
from prodsys.model.statuses import JobStatus
from tests.unit.intake.corpus import SPECS
from tests.unit.model.test_plan import SPEC

FULL = SPEC.model_dump() | {"events": 40_000_000, "events_per_file": 4000, "seeds": "1-10000"}
SLOTS = {"SPD_JINR": 1500, "SPD_PNPI": 288}
EVENTS = 40_000_000


@pytest.fixture(scope="module")
def specs():
    return load_catalogue(SPECS, "sandbox")


@pytest.fixture(scope="module")
def plan(specs):
    return build_plan(RequestSpec.model_validate(FULL), 1, specs)


@pytest.fixture
def estimate(plan, specs):
    def build(*measures: Measure) -> Estimate:
        return build_estimate(plan, specs.chains["SIM-RECO"], SLOTS, measures)

    return build


def sim(source: str = "A", near: Nearness = Nearness.SAME, jobs: int = 10_000, **figures: float) -> Measure:
    events = int(figures.pop("events", jobs * 4000))
    return Measure(source, "SIM", near, jobs, events, **figures)  # type: ignore[arg-type]


def test_with_nothing_to_compare_the_chain_s_own_figures_stand_in(plan, estimate):
    found = estimate()
    assert (found.volume_bytes, found.core_hours) == (plan.volume_bytes, pytest.approx(plan.core_hours, abs=0.01))
    assert found.volume_with_copies_bytes == plan.volume_with_copies_bytes
    assert plan.steps[0].queue is None
    slots = sum(SLOTS.values())
    assert found.steps[0].duration_h.value == pytest.approx(EVENTS * 6 / 3600 / slots, abs=0.01)
    assert {step.bytes_per_event.comparables for step in found.steps} == {0}


def test_bunches_that_wait_for_each_other_take_longer(specs):
    def duration(**changes: int) -> float:
        plan = build_plan(RequestSpec.model_validate(FULL | {"bunches": 50} | changes), 1, specs)
        return build_estimate(plan, specs.chains["SIM-RECO"], SLOTS, ()).duration_h

    assert duration(bunches_at_once=1) > duration(bunches_at_once=10) == duration(bunches_at_once=50)


def test_the_middle_value_is_taken_so_that_one_odd_production_moves_nothing(estimate):
    sizes = (1, 460_000, 458_000, 459_000, 10**9)
    figure = estimate(*(sim(str(size), bytes=size * EVENTS) for size in sizes)).steps[0].bytes_per_event
    assert (figure.value, figure.comparables) == (459_000, 5)
    assert (figure.lowest, figure.highest) == (1, 10**9)


def test_the_nearest_productions_count_each_figure_for_itself(estimate):
    step = estimate(
        sim("trial", Nearness.TRIAL, 10, events=4000, bytes=4000 * 500),
        sim("same", bytes=EVENTS * 400, core_s=EVENTS * 7.0),
        sim("alike", Nearness.ALIKE, bytes=EVENTS * 300, core_s=EVENTS * 9.0, span_h=40.0),
    ).steps[0]
    assert (step.bytes_per_event.value, step.bytes_per_event.source) == (500, "trial of this configuration: trial")
    assert (step.core_s_per_event.value, step.core_s_per_event.comparables) == (7.0, 1)
    assert step.duration_h.source == "1 closed of the same chain, software and collision: alike"


def test_a_task_of_another_size_says_nothing_about_the_duration(estimate):
    step = estimate(sim("small", jobs=1250, span_h=30.0), sim("like", jobs=8000, span_h=40.0)).steps[0]
    assert (step.duration_h.value, step.duration_h.comparables) == (50.0, 1)


def test_jobs_of_quite_another_length_are_not_compared_unless_they_are_the_trial_s(estimate):
    short = {"events": 10_000 * 20, "bytes": 10**12}
    assert estimate(sim(**short)).steps[0].bytes_per_event.comparables == 0
    assert estimate(sim(near=Nearness.TRIAL, **short)).steps[0].bytes_per_event.comparables == 1


def test_many_productions_are_counted_and_a_few_are_named(estimate):
    source = estimate(*(sim(f"P{number}", bytes=EVENTS) for number in range(8))).steps[0].bytes_per_event.source
    assert source == "8 closed of the same configuration: P0, P1, P2, P3, P4 and 3 more"


def test_an_estimate_reads_back_and_its_words_name_every_figure(estimate):
    found = estimate(sim(bytes=EVENTS * 459_000, core_s=EVENTS * 6.0, span_h=48.0))
    assert Estimate.model_validate_json(found.model_dump_json()) == found
    assert [words for _, words, _ in found.figures()][:3] == ["459.0 kB an event", "6 core s an event", "48.0 h"]


def test_core_seconds_are_those_of_jobs_that_brought_something():
    def job(status: JobStatus, cpu_s: float, wall_s: float) -> JobRecord:
        return JobRecord(1, status, "SPD_JINR", "", cpu_s=cpu_s, wall_s=wall_s)

    done, failed = JobStatus.FINISHED, JobStatus.FAILED
    assert core_seconds([job(done, 90, 100), job(done, 0, 40), job(failed, 70, 70)], 1) == 130
    assert core_seconds([job(done, 0, 40)], 8) == 320
    assert core_seconds([], 1) == 0


def test_a_small_production_is_not_rounded_to_no_core_hours(specs):
    """Policy may want a trial of whatever takes any time, however little: 20 events of 0.05 s are 0.0003 core hours."""
    small = build_plan(RequestSpec.model_validate(FULL | {"events": 20, "events_per_file": 20, "seeds": "1"}), 1, specs)
    quick = Measure("A", "SIM", Nearness.TRIAL, 1, 20, core_s=1.0)
    steps = build_estimate(small, specs.chains["SIM-RECO"], SLOTS, [quick]).steps
    assert steps[0].core_hours == pytest.approx(1 / 3600, abs=1e-6)
