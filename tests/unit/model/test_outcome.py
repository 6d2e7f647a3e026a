"""Settling a step: seed by seed, bound by jobs, never by numbers in file names."""

from __future__ import annotations

from dataclasses import replace

import pytest

from prodsys.model.outcome import JobFile, JobRecord, LateFile, SeedState, StepQuestion, settle, unite
from prodsys.model.statuses import EventSource, JobStatus, Verdict

TYPES = {"d.SIM.1.S": "S", "d.SIM.1.P": "P", "d.SIM.1.log": "log"}


def sim_question(*seeds: int, asked: int = 0, accept: float = 66.0) -> StepQuestion:
    return StepQuestion(seeds, asked or len(seeds), 20, TYPES, accept)


def sim_job(number: int, seed: int | None, serial: int | None = None, **changes: object) -> JobRecord:
    serial = serial or number
    outputs = tuple(JobFile(f"{name}.{serial:06d}.root", name, events=20) for name in TYPES)
    values = {"status": JobStatus.FINISHED, "site": "SPD_JINR", "parameters": f"--seed={seed}", "outputs": outputs}
    return JobRecord(panda_job_id=number, seed=seed, **values | changes)  # type: ignore[arg-type]


def reco_question(*seeds: int, asked: int = 0) -> StepQuestion:
    inputs = {f"{kind}{seed}": seed for seed in seeds for kind in "SP"}
    return StepQuestion(seeds, asked or len(seeds), 20, {"d.RECO.1.R": "R", "d.RECO.1.log": "log"}, 66.0, inputs)


def reco_job(number: int, *inputs: str) -> JobRecord:
    outputs = tuple(JobFile(f"{name}.{number:06d}.root", name, events=20) for name in ("d.RECO.1.R", "d.RECO.1.log"))
    read = tuple(JobFile(lfn, "d.SIM.1.S") for lfn in inputs)
    return JobRecord(number, JobStatus.FINISHED, "SPD_JINR", "", inputs=read, outputs=outputs)


def test_a_step_that_came_whole_is_full():
    outcome = settle(sim_question(7, 8), [sim_job(1, 7), sim_job(2, 8)])
    assert outcome.verdict is Verdict.FULL
    assert [(seed.seed, seed.panda_job_id, seed.events) for seed in outcome.seeds] == [(7, 1, 20), (8, 2, 20)]
    assert (outcome.events, outcome.percent, outcome.missing) == (40, 100.0, ())


def test_a_file_belongs_to_the_seed_of_its_job_whatever_its_number():
    jobs = [sim_job(1, 7, status=JobStatus.FAILED), sim_job(2, 8, serial=2), sim_job(3, 7, serial=3)]
    outcome = settle(sim_question(7, 8), jobs)
    files = {seed.seed: seed.files["S"].lfn for seed in outcome.seeds}
    assert files == {7: "d.SIM.1.S.000003.root", 8: "d.SIM.1.S.000002.root"}
    assert outcome.verdict is Verdict.FULL


@pytest.mark.parametrize(
    ("delivered", "asked", "accept", "verdict"),
    [
        (2, 3, 66.0, Verdict.PARTIAL),
        (1, 3, 66.0, Verdict.FAILED),
        (0, 3, 66.0, Verdict.FAILED),
        (999, 1000, 99.9, Verdict.PARTIAL),
        (998, 1000, 99.9, Verdict.FAILED),
        (3, 3, 100.0, Verdict.FULL),
        (2, 3, 100.0, Verdict.FAILED),
    ],
)
def test_what_is_enough_is_policy(delivered, asked, accept, verdict):
    seeds = tuple(range(1, asked + 1))
    outcome = settle(sim_question(*seeds, accept=accept), [sim_job(seed, seed) for seed in seeds[:delivered]])
    assert outcome.verdict is verdict
    assert outcome.missing == seeds[delivered:]


def test_a_missing_seed_carries_the_words_of_its_last_attempt():
    jobs = [
        sim_job(1, 7, status=JobStatus.FAILED, errors=("pilotErrorCode 1: first",)),
        sim_job(2, 7, status=JobStatus.FAILED, errors=("pilotErrorCode 2: last",)),
    ]
    [seven, eight] = settle(sim_question(7, 8), jobs).seeds
    assert (seven.state, seven.reason, seven.panda_job_id) == (SeedState.MISSING, "pilotErrorCode 2: last", 2)
    assert (eight.state, eight.reason) == (SeedState.MISSING, "no job was made for this seed")


def test_fewer_events_than_asked_is_short():
    job = sim_job(1, 7)
    outputs = tuple(JobFile(file.lfn, file.dataset, events=19) for file in job.outputs)
    [seed] = settle(sim_question(7), [sim_job(1, 7, outputs=outputs)]).seeds
    assert seed.state is SeedState.SHORT
    assert "19 of 20 events" in seed.reason


def test_events_that_nobody_reported_are_assumed_and_say_so():
    outputs = tuple(JobFile(f"{name}.1.root", name) for name in TYPES)
    [seed] = settle(sim_question(7), [sim_job(1, 7, outputs=outputs)]).seeds
    assert (seed.events, seed.events_source) == (20, EventSource.ASSUMED)


def test_a_job_without_its_log_did_not_deliver():
    outputs = sim_job(1, 7).outputs[:2]
    [seed] = settle(sim_question(7), [sim_job(1, 7, outputs=outputs)]).seeds
    assert (seed.state, "log" in seed.reason) == (SeedState.MISSING, True)


def test_a_seed_that_came_twice_counts_once_and_is_noted():
    outcome = settle(sim_question(7), [sim_job(5, 7, serial=5), sim_job(2, 7, serial=2)])
    assert (outcome.verdict, outcome.events, outcome.seeds[0].panda_job_id) == (Verdict.FULL, 20, 2)
    assert "more than once" in outcome.notes[0]
    assert {file.lfn for file in outcome.seeds[0].files.values()} == {f"{name}.000002.root" for name in TYPES}


def _without_log(number: int, seed: int) -> JobRecord:
    return sim_job(number, seed, outputs=sim_job(number, seed).outputs[:2])


def _short(number: int, seed: int) -> JobRecord:
    outputs = tuple(JobFile(file.lfn, file.dataset, events=3) for file in sim_job(number, seed).outputs)
    return sim_job(number, seed, outputs=outputs)


@pytest.mark.parametrize("first", [_without_log(2, 7), _short(2, 7), sim_job(2, 7)], ids=["no log", "short", "lost"])
def test_of_a_seed_that_came_twice_the_first_whole_one_counts(first):
    question = replace(sim_question(7), lost=frozenset({"d.SIM.1.S.000002.root"}))
    outcome = settle(question, [sim_job(9, 7), first, sim_job(5, 7)])
    assert (outcome.verdict, outcome.seeds[0].panda_job_id) == (Verdict.FULL, 5)
    assert "job 5 counts, not 2 (" in outcome.notes[0]


def test_of_a_seed_that_never_came_whole_the_first_is_told():
    outcome = settle(sim_question(7), [_short(5, 7), _without_log(2, 7)])
    [seed] = outcome.seeds
    assert (seed.state, seed.panda_job_id, "wrote no log" in seed.reason) == (SeedState.MISSING, 2, True)


def test_a_job_of_a_foreign_seed_is_noted_and_counts_for_nobody():
    outcome = settle(sim_question(7), [sim_job(1, 7), sim_job(2, 99), sim_job(3, None)])
    assert outcome.verdict is Verdict.FULL
    assert len(outcome.notes) == 2
    assert [seed.panda_job_id for seed in outcome.seeds] == [1]


def test_pairs_of_one_seed_are_full():
    outcome = settle(reco_question(7, 8), [reco_job(1, "S7", "P7"), reco_job(2, "S8", "P8")])
    assert outcome.verdict is Verdict.FULL


def test_one_lost_partner_shifts_the_pairs_and_the_whole_step_is_mispaired():
    jobs = [reco_job(1, "S1", "P1"), reco_job(2, "S2", "P3"), reco_job(3, "S3", "P4"), reco_job(4, "S4", "P1")]
    outcome = settle(reco_question(1, 2, 3, 4), jobs)
    assert outcome.verdict is Verdict.MISPAIRED
    assert all(seed.state is SeedState.MISPAIRED for seed in outcome.seeds)
    assert "S2 (seed 2)" in outcome.seeds[1].reason


def test_an_input_of_no_known_job_is_mispaired():
    outcome = settle(reco_question(7), [reco_job(1, "S7", "Pxx")])
    assert outcome.verdict is Verdict.MISPAIRED


def test_reco_of_a_partial_sim_is_measured_against_the_request():
    outcome = settle(reco_question(7, 8, asked=3), [reco_job(1, "S7", "P7"), reco_job(2, "S8", "P8")])
    assert outcome.verdict is Verdict.PARTIAL
    assert outcome.percent == pytest.approx(66.7, abs=0.1)


def test_ten_thousand_seeds_are_settled_in_one_go():
    seeds = tuple(range(40_001, 50_001))
    outcome = settle(sim_question(*seeds), [sim_job(seed - 40_000, seed) for seed in seeds])
    assert (outcome.verdict, outcome.events) == (Verdict.FULL, 200_000)


# --- lost since, late, and made again -------------------------------------------------------------------------------
LATE_S = "d.SIM.1.S.000001.root"


def _with_late(taken_into: str = "") -> StepQuestion:
    return replace(sim_question(7), late={LATE_S: LateFile("it came late", taken_into)})


def test_a_late_file_waits_for_a_person_and_then_belongs_to_the_dataset_it_was_taken_into():
    [waiting] = settle(_with_late(), [sim_job(1, 7)]).seeds
    assert (waiting.state, waiting.reason, len(waiting.files)) == (SeedState.LATE, "it came late", 3)
    [taken] = settle(_with_late("d.SIM.2.S"), [sim_job(1, 7)]).seeds
    assert (taken.state, taken.files["S"].dataset, taken.files["P"].dataset) == (
        SeedState.DELIVERED,
        "d.SIM.2.S",
        "d.SIM.1.P",
    )


def test_what_came_late_is_registered_and_not_run_again():
    outcome = settle(_with_late(), [sim_job(1, 7)])
    assert (outcome.missing, outcome.late, outcome.own_missing) == ((7,), (7,), ())


def test_what_was_delivered_once_is_run_again_by_a_person_alone():
    question = replace(sim_question(7, 8), gone={LATE_S: "a disk died"})
    outcome = settle(question, [sim_job(1, 7)])
    assert (outcome.seeds[0].state, outcome.seeds[0].reason) == (SeedState.LOST, "a disk died")
    assert (outcome.own_missing, outcome.never_delivered) == ((7, 8), (8,))


def test_a_later_good_delivery_counts_where_the_earlier_one_is_lost_and_the_old_is_named():
    lost = settle(replace(sim_question(7), gone={LATE_S: "a disk died"}), [sim_job(1, 7)])
    again = settle(sim_question(7), [sim_job(105, 7)])
    outcome = unite([(1, lost), (2, again)], [], 1, 66.0)
    [seed] = outcome.seeds
    assert (seed.state, seed.panda_job_id, seed.task, outcome.verdict) == (SeedState.DELIVERED, 105, 2, Verdict.FULL)
    assert outcome.notes == ("seed 7: job 105 counts, not 1: a disk died",)


def test_of_two_good_deliveries_the_earlier_stays_whatever_a_later_task_brings():
    first, again = settle(sim_question(7), [sim_job(1, 7)]), settle(sim_question(7), [sim_job(105, 7)])
    [seed] = unite([(1, first), (2, again)], [], 1, 66.0).seeds
    assert seed.panda_job_id == 1


def test_what_came_late_is_not_forgotten_when_a_later_task_brings_nothing():
    late, failed = settle(_with_late(), [sim_job(1, 7)]), settle(sim_question(7), [])
    for parts in ([(1, late), (2, failed)], [(1, failed), (2, late)]):
        [seed] = unite(parts, [], 1, 66.0).seeds
        assert seed.state is SeedState.LATE
