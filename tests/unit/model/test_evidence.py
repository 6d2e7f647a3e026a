"""Every task at rest in the recordings of a real server is believed, and every short answer about one is doubted."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from prodsys.model.evidence import DoubtKind, TaskReading, count_inputs, find_doubts
from prodsys.model.outcome import InputCount, JobRecord
from prodsys.model.statuses import FINAL, JobStatus, TaskStatus
from prodsys.panda.parse import job_record, task_datasets, task_info
from prodsys.panda.task_map import datasets_of_map, plain_name

RECORDINGS = Path(__file__).parents[2] / "data" / "panda"
SCENARIOS = sorted(one.stem for one in RECORDINGS.glob("*.jsonl") if not one.stem.startswith("events_"))


def decoded(value: Any) -> Any:
    """A reply with its dates read, as panda-client does."""
    if isinstance(value, dict):
        if set(value) == {"__datetime__"}:
            return datetime.fromisoformat(value["__datetime__"])
        return {key: decoded(one) for key, one in value.items()}
    return [decoded(one) for one in value] if isinstance(value, list) else value


@dataclass
class Seen:
    """The last answers about one task."""

    info: dict[str, Any] | None = None
    datasets: list[Any] | None = None
    ids: list[int] = field(default_factory=list)
    jobs: list[Any] | None = None

    @property
    def reading(self) -> TaskReading | None:
        """The answers together, when the task rests."""
        if self.info is None or self.jobs is None or self.datasets is None:
            return None
        info = task_info(self.info)
        if info.status not in FINAL:
            return None
        jobs = tuple(job_record(row) for row in self.jobs)
        undescribed = tuple(one for one in self.ids if one not in {job.panda_job_id for job in jobs})
        inputs = frozenset(plain_name(one) for one in datasets_of_map(info.task_map, "input"))
        return TaskReading(info, task_datasets(self.datasets), jobs, undescribed, inputs)


def answers(scenario: str, *, until: float = 1e9) -> dict[str, Seen]:
    """The last answers about each task of a scenario, up to a moment."""
    seen: dict[str, Seen] = {}
    for text in (RECORDINGS / f"{scenario}.jsonl").read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        body, task = line["response_body"], (line["query"].get("task_id") or [""])[0]
        if not task or line["t"] > until or not isinstance(body, dict) or not body["success"] or body["data"] is None:
            continue
        _note(seen.setdefault(task, Seen()), line, decoded(body["data"]))
    return seen


def _note(task: Seen, line: dict[str, Any], data: Any) -> None:
    method, query = line["path"].rpartition("/")[2], line["query"]
    if method == "get_detailed_info":
        task.info = data
    elif method == "get_job_ids":
        task.ids = data
    elif method == "get_job_descriptions" and query.get("unsuccessful_only") != ["True"]:
        task.jobs = data
    elif method == "get_datasets_and_files" and {"output", "pseudo_input"} <= {*query.get("dataset_types", ())}:
        task.datasets = data


def at_rest(scenario: str) -> list[TaskReading]:
    """Tasks of a scenario that rest in the end."""
    return [reading for one in answers(scenario).values() if (reading := one.reading)]


def test_every_task_at_rest_in_every_recording_is_believed():
    readings = [(scenario, one) for scenario in SCENARIOS for one in at_rest(scenario)]
    assert len(readings) > 25
    assert {one.info.status for _, one in readings} >= {"done", "finished", "failed", "aborted", "broken"}
    doubted = {(name, one.info.jedi_task_id): find_doubts(one) for name, one in readings if find_doubts(one)}
    assert doubted == {}


@pytest.mark.parametrize(
    ("t", "words"),
    [
        (79.2, "0 finished jobs, JEDI counts 3"),
        (123.735, "0 finished jobs, JEDI counts 3"),
        (125.75, "names jobs that it does not describe: 772"),
        (238.48, "0 finished jobs, JEDI counts 3"),
        (238.79, "have lost their files or parameters: 772, 771, 773"),
        (239.12, "2 finished jobs, JEDI counts 3"),
    ],
)
def test_each_short_answer_of_a_real_server_is_doubted(t: float, words: str):
    reading = answers("empty_reads", until=t)["246"].reading
    assert reading is not None
    doubts = find_doubts(reading)
    assert words in " ".join(one.words for one in doubts)
    assert {one.kind for one in doubts} == {DoubtKind.JOBS}
    assert set(count_inputs(reading, (50001, 50002, 50003), None).values()) == {InputCount.FINISHED}


def without(reading: TaskReading, **changes: Any) -> str:
    return " ".join(one.words for one in find_doubts(replace(reading, **changes)))


@pytest.mark.parametrize(
    "scenario", ["chain_done", "seed_list", "partial_finished", "retry_after_done", "stock_refiner"]
)
def test_whatever_is_left_out_of_good_answers_is_missed(scenario: str):
    for one in at_rest(scenario):
        finished = [job for job in one.jobs if job.status is JobStatus.FINISHED]
        for job in finished:
            assert without(one, jobs=tuple(other for other in one.jobs if other is not job))
            assert "lost their files" in without(one, jobs=_with(one, job, outputs=()))
            assert "lost their files" in without(one, jobs=_with(one, job, parameters=""))
            assert without(one, jobs=_with(one, job, status=JobStatus.UNKNOWN))
        assert without(one, jobs=())
        assert "lists none" in without(one, datasets=())
        assert "does not tell" in without(one, info=replace(one.info, files_finished=None))
        for dataset in one.input_datasets[:1]:
            fewer = replace(dataset, files=dataset.files[1:])
            assert without(one, datasets=tuple(fewer if x is dataset else x for x in one.datasets if x in (dataset,)))


def _with(reading: TaskReading, job: JobRecord, **changes: Any) -> tuple[JobRecord, ...]:
    return tuple(replace(one, **changes) if one is job else one for one in reading.jobs)


def test_only_jedis_own_line_lets_a_seed_run_again():
    [reading] = at_rest("seed_list")
    seeds = (40001, 40003, 40007, 40020)
    counts = count_inputs(reading, (*seeds, 40099), None)
    assert [counts[one] for one in seeds] == [InputCount.FINISHED] * 3 + [InputCount.UNFINISHED]
    assert counts[40099] is InputCount.UNSAID
    done = replace(reading, info=replace(reading.info, status=TaskStatus.DONE))
    assert count_inputs(done, seeds, None)[40020] is InputCount.UNSAID
    silent = replace(reading, datasets=())
    assert InputCount.UNFINISHED not in count_inputs(silent, seeds, None).values()


def test_a_step_that_reads_is_counted_by_the_files_it_read():
    reading = next(one for one in at_rest("chain_done") if one.inputs)
    lfns = [file.lfn for file in reading.input_datasets[0].files]
    counts = count_inputs(reading, range(1, 12), {lfn: number for number, lfn in enumerate(lfns, 1)})
    assert [counts[seed] for seed in range(1, 11)] == [InputCount.FINISHED] * 10
    assert counts[11] is InputCount.UNSAID


def test_a_task_that_made_nothing_proves_that_its_seeds_did_not_run():
    info = replace(at_rest("seed_list")[0].info, status=TaskStatus.BROKEN, files=0, files_finished=0)
    broken = TaskReading(info, (), ())
    assert find_doubts(broken) == ()
    assert count_inputs(broken, (1, 2), None) == {1: InputCount.UNFINISHED, 2: InputCount.UNFINISHED}


def test_the_age_of_a_task_counts_from_its_end():
    [reading] = at_rest("seed_list")
    assert reading.age_s(datetime.fromisoformat(reading.info.ended).replace(tzinfo=UTC)) == 0.0
    assert replace(reading, info=replace(reading.info, ended="", modified="")).age_s(datetime.now(UTC)) == 0.0
