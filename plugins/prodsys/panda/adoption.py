"""A task made by hand beside what the request asks for: every difference, and whether it does harm. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prodsys.errors import SpecInvalid
from prodsys.model import seeds as seed_ranges
from prodsys.model.names import DataName, Sample, TaskName, energy_text
from prodsys.model.outcome import JobRecord, TaskInfo
from prodsys.model.statuses import FINAL, WITH_OUTPUT
from prodsys.panda.task_map import inputs_of_map, outputs_of_map

PRODUCTION = {"prodSourceLabel": "managed", "taskType": "prod"}
_EVENTS = re.compile(r"--n=(\d+)\b")
_VERSION = re.compile(r"\.V\d+(?=[_/])")


@dataclass(frozen=True)
class Difference:
    """One thing in which a task made by hand differs; harmless ones are only said."""

    what: str
    theirs: str
    ours: str
    harmless: bool = False

    def __str__(self) -> str:
        return f"{self.what}: {self.theirs}, the request has {self.ours}"


@dataclass(frozen=True)
class HandMade:
    """A task as PanDA shows it."""

    info: TaskInfo
    task_map: Mapping[str, Any]
    jobs: tuple[JobRecord, ...] = ()

    @property
    def constants(self) -> str:
        """What the map says without naming a file: script and arguments."""
        listed = self.task_map.get("jobParameters")
        parts = [one for one in (listed if isinstance(listed, list) else ()) if isinstance(one, Mapping)]
        return " ".join(
            str(one.get("value")) for one in parts if one.get("param_type") not in ("input", "output", "log")
        )


@dataclass(frozen=True)
class Expected:
    """What the request asks of a task of this step."""

    request_id: str
    kind: str
    vo: str
    requester: str
    sample: Sample
    seeds: frozenset[int]
    events_per_job: int
    script: str
    image: str
    transform: str
    processing_type: str
    outputs: frozenset[str]  # data types, the log included
    queues: frozenset[str]
    inputs: Mapping[str, str]  # data type -> dataset; {} for the first step
    parent_tid: int | None = None
    may_move: bool = False  # nothing is planned yet: its partition may still be that of the task


def seeds_of_hand_made(hand: HandMade) -> tuple[int, ...]:
    """Seeds of a simulation, in order: those that its map lists, else those that its jobs were given.

    Raises
    ------
    SpecInvalid
        A list holds something else than seeds, or not every job has been made yet.
    """
    place = f"task {hand.info.jedi_task_id}"
    listed = hand.task_map.get("pfnList")
    if isinstance(listed, list) and listed:
        if strange := [one for one in listed if not str(one).isdecimal()]:
            raise SpecInvalid(place, f"its list holds {strange[0]!r}, which is no seed")
        return tuple(int(one) for one in listed[: _whole(hand.task_map.get("nFiles")) or None])
    found = sorted({job.seed for job in hand.jobs if job.seed is not None})
    wanted = _jobs_wanted(hand.task_map)
    if not found or (wanted and len(found) < wanted):
        message = f"its map lists no seeds, and {len(found)} of {wanted or 'its'} jobs tell theirs (--seed=)"
        raise SpecInvalid(place, message, "adopt it when all of its jobs have been made")
    return tuple(found)


def compare(hand: HandMade, expected: Expected, seeds: Iterable[int]) -> list[Difference]:
    """All differences, the harmful ones first."""
    found = [
        *_identity(hand, expected),
        *_work(hand, expected),
        *_seeds(hand, expected, tuple(seeds)),
        *_inputs(hand, expected),
        *_outputs(hand, expected),
    ]
    return sorted(found, key=lambda one: one.harmless)


def attempt_of_name(hand: HandMade, expected: Expected) -> int | None:
    """Attempt that the name of the task says; None for an odd name."""
    try:
        name = TaskName.parse(hand.info.task_name or "")
    except SpecInvalid:
        return None
    ours = (name.request_id, name.step, name.bunch) == (expected.request_id, expected.kind, None)
    return name.attempt if ours else None


def attempt_of(hand: HandMade, expected: Expected) -> int:
    """Number of the attempt that the task is: what its name and its datasets say, 1 when they say nothing.

    The next attempt must not write into a dataset of this one, whatever the task is called.
    """
    said = [attempt_of_name(hand, expected) or 1]
    for dataset in outputs_of_map(hand.task_map):
        try:
            name = DataName.parse(dataset)
        except SpecInvalid:
            continue
        if (name.sample.request_id, name.step) == (expected.request_id, expected.kind) and name.attempt:
            said.append(name.attempt)
    return max(said)


def partition_of_outputs(hand: HandMade) -> str:
    """Scope in which the task writes: the beginning of its datasets' names, the same for all; "" when it is not."""
    scopes = {name.partition(".")[0] for name in outputs_of_map(hand.task_map)}
    return scopes.pop() if len(scopes) == 1 else ""


# --- who, and how it goes -------------------------------------------------------------------------------------------
def _identity(hand: HandMade, expected: Expected) -> Iterator[Difference]:
    info = hand.info
    if not info.task_name:
        yield Difference("name", "none: JEDI ended it as a twin, or could not read its map", expected.request_id)
    elif attempt_of_name(hand, expected) is None:
        yield Difference("name", info.task_name, str(TaskName(expected.request_id, expected.kind)), harmless=True)
    if info.status in FINAL and info.status not in WITH_OUTPUT:
        yield Difference("status", f"{info.status} {info.error_dialog}".strip(), "use for one that runs or has output")
    if str(hand.task_map.get("vo")) != expected.vo:
        yield Difference("VO", str(hand.task_map.get("vo")), expected.vo)
    for key, wanted in PRODUCTION.items():
        if (theirs := hand.task_map.get(key)) != wanted:
            yield Difference(key, str(theirs), wanted)
    if info.user_name and info.user_name.casefold() != expected.requester.casefold():
        yield Difference("user", info.user_name, expected.requester, harmless=True)


# --- what it does ---------------------------------------------------------------------------------------------------
def _work(hand: HandMade, expected: Expected) -> Iterator[Difference]:
    theirs = hand.task_map
    script = (hand.constants.split() or [""])[0]
    if script != expected.script:
        yield Difference("script", script or "none", expected.script, harmless=_same_script(script, expected.script))
    for what, key, wanted, harmless in (
        ("image", "container_name", expected.image, False),
        ("transformation", "transPath", expected.transform, True),
        ("processing type", "processingType", expected.processing_type, _macro(script) == _macro(expected.script)),
    ):
        if theirs.get(key) != wanted:
            yield Difference(what, str(theirs.get(key)), wanted, harmless=harmless)
    events = _events(hand)
    if events != expected.events_per_job:
        unsaid = events is None and bool(expected.inputs)
        yield Difference("events a job", str(events or "not said"), str(expected.events_per_job), harmless=unsaid)
    if (_whole(theirs.get("nFilesPerJob")) or 1) != 1:
        yield Difference("files a job", str(theirs["nFilesPerJob"]), "1")
    sites = {str(theirs.get("site") or "")} - {""} or {job.site for job in hand.jobs}
    if sites - expected.queues:  # none yet: PanDA chooses one of those it has
        queues = ", ".join(sorted(expected.queues))
        yield Difference("queue", ", ".join(sorted(sites)), f"queues {queues} of sites.yaml")


def _same_script(theirs: str, ours: str) -> bool:
    """The same macro in another version of the scripts; another variant is other physics, no folder is anybody's."""
    return _VERSION.sub(".V", theirs) == _VERSION.sub(".V", ours)


def _macro(script: str) -> str:
    return script.rpartition("/")[2]


def _events(hand: HandMade) -> int | None:
    found = _EVENTS.search(hand.constants)
    if found:
        return int(found[1])
    said = _whole(hand.task_map.get("nEventsPerJob")) or _whole(hand.task_map.get("nEventsPerInputFile"))
    return said or next((int(found[1]) for job in hand.jobs if (found := _EVENTS.search(job.parameters))), None)


def _jobs_wanted(task_map: Mapping[str, Any]) -> int:
    events, per_job = _whole(task_map.get("nEvents")), _whole(task_map.get("nEventsPerJob"))
    return -(-events // per_job) if events and per_job else _whole(task_map.get("nFiles")) or 0


def _seeds(hand: HandMade, expected: Expected, seeds: tuple[int, ...]) -> Iterator[Difference]:
    ours = seed_ranges.show(seed_ranges.from_seeds(expected.seeds))
    if len(set(seeds)) != len(seeds):
        twice = sorted({one for one in seeds if seeds.count(one) > 1})
        yield Difference("seeds", f"{_shown(twice)} twice", "each once")
    if strange := sorted(set(seeds) - expected.seeds):
        yield Difference("seeds", f"{_shown(strange)} too", ours)
    if missing := sorted(expected.seeds - set(seeds)):
        yield Difference("seeds", f"without {_shown(missing)}", f"{ours}: they will be missing", harmless=True)
    jobs = _jobs_wanted(hand.task_map)
    if not expected.inputs and jobs > len(set(seeds)):
        yield Difference("jobs", str(jobs), f"{len(set(seeds))} seeds, one job each")


def _shown(seeds: Iterable[int]) -> str:
    return seed_ranges.show(seed_ranges.from_seeds(seeds))


# --- what it reads and writes ---------------------------------------------------------------------------------------
def _inputs(hand: HandMade, expected: Expected) -> Iterator[Difference]:
    theirs = inputs_of_map(hand.task_map)
    if list(theirs.items()) != list(expected.inputs.items()):
        yield Difference("inputs", ", ".join(theirs.values()) or "none", ", ".join(expected.inputs.values()) or "none")
    elif expected.inputs and hand.info.parent_tid != expected.parent_tid:
        yield Difference("parent", str(hand.info.parent_tid), str(expected.parent_tid), harmless=True)


def _outputs(hand: HandMade, expected: Expected) -> Iterator[Difference]:
    written = outputs_of_map(hand.task_map)
    if lacking := sorted(expected.outputs - set(written.values())):
        yield Difference("outputs", f"no dataset of type {', '.join(lacking)}", ", ".join(sorted(expected.outputs)))
    if more := sorted(set(written.values()) - expected.outputs):
        yield Difference("outputs", f"{', '.join(more)} too", "nobody who looks at them", harmless=True)
    partition = partition_of_outputs(hand)
    if partition != expected.sample.partition:
        said = partition or "several"
        yield Difference("partition", said, expected.sample.partition, harmless=bool(partition) and expected.may_move)
    for dataset in written:
        yield from _name_differences(dataset, expected)


def _name_differences(dataset: str, expected: Expected) -> Iterator[Difference]:
    """A dataset keeps its real name; but one that says that it is something else is not taken for this."""
    ours = expected.sample
    try:
        name = DataName.parse(dataset)
    except SpecInvalid:
        yield Difference("dataset", f"{dataset} keeps its name", "names by the rule", harmless=True)
        return
    if name.attempt is None:
        yield Difference("dataset", dataset, "that name for a container, which Rucio cannot have beside it")
    pairs = {
        "request": (name.sample.request_id, ours.request_id),
        "step": (name.step or "none", expected.kind),
        "tag": (name.sample.tag, ours.tag),
        "energy": (energy_text(name.sample.energy_gev), energy_text(ours.energy_gev)),
        "polarization": (name.sample.polarization, ours.polarization),
    }
    for what, (theirs, wanted) in pairs.items():
        if theirs != wanted:
            yield Difference(f"{what} of {dataset}", theirs, wanted)


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
