"""Every seed of a step stands in one column, whatever was retried, delivered twice, lost or run in vain."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodsys.model.outcome import (
    JobFile,
    JobRecord,
    SeedOutcome,
    SeedState,
    StepOutcome,
    StepQuestion,
    settle,
    unite,
)
from prodsys.model.statuses import JobStatus, Verdict

TYPES = {"D.S": "S", "D.P": "P", "D.log": "log"}
EVENTS = 10
Attempt = list[tuple[int, str]]  # seed and what became of one job of it
FATES = ("finished", "failed", "short", "no P", "lost P", "other seed")


def _job(number: int, seed: int, fate: str) -> JobRecord:
    """A job of a seed; its files carry the number of the job, as those of further attempts do."""
    status = JobStatus.FAILED if fate == "failed" else JobStatus.FINISHED
    events = EVENTS - 1 if fate == "short" else EVENTS
    kinds = [one for one in TYPES if not (fate == "no P" and one == "D.P")]
    outputs = tuple(JobFile(f"{one}.{number:06d}", one, 1, "a", events) for one in kinds)
    own = seed + 1000 if fate == "other seed" else seed
    return JobRecord(number, status, "HERE", f"--seed={own}", seed=own, outputs=outputs, errors=("code 1",))


def _outcomes(attempts: list[Attempt]) -> tuple[list[tuple[int, StepOutcome]], dict[int, JobRecord]]:
    parts, jobs, number = [], {}, 0
    for row, attempt in enumerate(attempts, start=1):
        made, lost = [], set()
        for seed, fate in attempt:
            number += 1
            jobs[number] = _job(number, seed, fate)
            made.append(jobs[number])
            if fate == "lost P":
                lost.add(f"D.P.{number:06d}")
        own = tuple(sorted({seed for seed, _ in attempt}))
        parts.append((row, settle(StepQuestion(own, len(own), EVENTS, TYPES, 99.9, lost=frozenset(lost)), made)))
    return parts, jobs


def _absent(asked: list[int]) -> list[SeedOutcome]:
    return [SeedOutcome(seed, SeedState.MISSING, reason="no job was made for this seed") for seed in asked]


seeds = st.lists(st.integers(1, 40), min_size=1, max_size=12, unique=True).map(sorted)


@st.composite
def productions(draw: st.DrawFn) -> tuple[list[int], list[Attempt]]:
    """Seeds that were asked for, and attempts at some of them: jobs tried again, seeds run twice, retries after all."""
    asked = draw(seeds)
    attempt = st.lists(st.tuples(st.sampled_from(asked), st.sampled_from(FATES)), max_size=20)
    return asked, draw(st.lists(attempt, max_size=4))


@given(productions())
def test_every_seed_stands_in_one_column_and_none_is_forgotten(made: tuple[list[int], list[Attempt]]) -> None:
    asked, attempts = made
    parts, _ = _outcomes(attempts)
    outcome = unite(parts, _absent(asked), len(asked), 99.9)
    assert [one.seed for one in outcome.seeds] == asked
    delivered = {one.seed for one in outcome.delivered}
    assert delivered.isdisjoint(outcome.missing)
    assert len(asked) == len(delivered) + len(outcome.missing)
    assert outcome.events == EVENTS * len(delivered)


@given(productions())
def test_a_seed_counts_when_some_job_brought_it_whole_and_then_with_the_files_of_one_job(
    made: tuple[list[int], list[Attempt]],
) -> None:
    asked, attempts = made
    parts, jobs = _outcomes(attempts)
    outcome = unite(parts, _absent(asked), len(asked), 99.9)
    for one in outcome.delivered:
        assert one.panda_job_id is not None
        job = jobs[one.panda_job_id]
        assert (job.seed, job.status) == (one.seed, JobStatus.FINISHED)
        assert {file.lfn for file in one.files.values()} == {file.lfn for file in job.outputs}
    lfns = [file.lfn for one in outcome.delivered for file in one.files.values()]
    assert len(lfns) == len(set(lfns)), "a file stands for one seed"
    for one in outcome.seeds:
        if one.state is not SeedState.DELIVERED:
            assert one.reason


@given(productions(), st.lists(st.sampled_from(FATES), max_size=8))
def test_what_was_delivered_stays_the_same_whatever_a_later_attempt_brings(
    made: tuple[list[int], list[Attempt]], fates: list[str]
) -> None:
    asked, attempts = made
    later = [(asked[place % len(asked)], fate) for place, fate in enumerate(fates)]
    before = unite(_outcomes(attempts)[0], _absent(asked), len(asked), 99.9)
    after = unite(_outcomes([*attempts, later])[0], _absent(asked), len(asked), 99.9)
    kept = {one.seed: one for one in after.delivered}
    assert all(kept[one.seed] == one for one in before.delivered)


@given(productions())
def test_what_an_earlier_step_lost_is_not_run_again_by_this_one(made: tuple[list[int], list[Attempt]]) -> None:
    asked, attempts = made
    lost = {seed for seed in asked if seed % 3 == 0}
    absent = [SeedOutcome(one, SeedState.MISSING, lost_in="SIM" if one in lost else "") for one in asked]
    own = [[(seed, fate) for seed, fate in attempt if seed not in lost] for attempt in attempts]
    outcome = unite(_outcomes(own)[0], absent, len(asked), 99.9)
    assert lost.isdisjoint(outcome.own_missing)
    assert lost <= set(outcome.missing)


@pytest.mark.parametrize(
    ("came", "asked", "verdict"),
    [
        (9992, 10000, Verdict.PARTIAL),
        (9993, 10000, Verdict.PARTIAL),
        (1244, 1250, Verdict.FAILED),
        (1221, 1250, Verdict.FAILED),
        (9990, 10000, Verdict.PARTIAL),
        (9989, 10000, Verdict.FAILED),
        (10000, 10000, Verdict.FULL),
        (0, 10000, Verdict.FAILED),
    ],
)
def test_the_productions_of_2025_at_99_9_percent(came: int, asked: int, verdict: Verdict) -> None:
    fates = [(seed, "finished" if seed <= came else "failed") for seed in range(1, asked + 1)]
    outcome = unite(_outcomes([fates])[0], _absent(list(range(1, asked + 1))), asked, 99.9)
    assert (outcome.verdict, len(outcome.missing)) == (verdict, asked - came)
