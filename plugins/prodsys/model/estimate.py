"""What a plan will take: volume, core hours and duration, from what closed productions took. Pure.

The figures of an estimate are shown and stored with a plan and are no part of its digest
(docs/decisions/planning.md).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from pydantic import Field

from prodsys.model.outcome import JobRecord
from prodsys.model.plan import Plan, PlannedStep, PlanPart
from prodsys.model.specs import ChainSpec, StepSpec
from prodsys.model.statuses import JobStatus

LIKE_JOBS = 10.0  # a job of ten times as many events, or a tenth, is another kind of job
LIKE_TASKS = 3.0  # a task of three times as many jobs, or a third, waits and runs in another way
SHOWN = 5  # productions named in the source of a figure


class Nearness(IntEnum):
    """How alike a production is, the nearest first; a figure is taken from the nearest that know it."""

    TRIAL = 0
    SAME = 1
    ALIKE = 2


NEAR_WORDS = {
    Nearness.TRIAL: "trial of this configuration",
    Nearness.SAME: "of the same configuration",
    Nearness.ALIKE: "of the same chain, software and collision",
}


@dataclass(frozen=True)
class Measure:
    """What one step of a production that has ended took; None: not known, or in doubt."""

    source: str  # request or task, and where that is written
    kind: str
    nearness: Nearness
    jobs: int
    events: int
    bytes: int | None = None  # logs not counted
    core_s: float | None = None  # of all its jobs
    span_h: float | None = None  # from its submission to its end


class Figure(PlanPart):
    """A number, how many productions gave it, and which."""

    value: float
    source: str
    comparables: int = 0
    lowest: float | None = None
    highest: float | None = None


class StepEstimate(PlanPart):
    """What one step will take."""

    kind: str
    bytes_per_event: Figure
    core_s_per_event: Figure
    duration_h: Figure
    volume_bytes: int
    core_hours: float


class Estimate(PlanPart):
    """What a request will take."""

    steps: tuple[StepEstimate, ...]
    volume_bytes: int = Field(description="of one copy, logs not counted")
    volume_with_copies_bytes: int
    core_hours: float
    duration_h: float = Field(description="one step after the other")

    def figures(self) -> tuple[tuple[str, str, str], ...]:
        """Step, figure in words, where it comes from; in the order of the steps."""
        rows = []
        for step in self.steps:
            rows += [
                (step.kind, f"{step.bytes_per_event.value / 1e3:.1f} kB an event", step.bytes_per_event),
                (step.kind, f"{step.core_s_per_event.value:.3g} core s an event", step.core_s_per_event),
                (step.kind, f"{step.duration_h.value:.1f} h", step.duration_h),
            ]
        return tuple((kind, words, figure.source) for kind, words, figure in rows)


def core_seconds(jobs: Iterable[JobRecord], cores: int) -> float:
    """Seconds of CPU of jobs that brought something; of one that tells no CPU, its wall time on all its cores."""
    return sum(job.cpu_s or job.wall_s * cores for job in jobs if job.status is JobStatus.FINISHED)


def build_estimate(plan: Plan, chain: ChainSpec, slots: Mapping[str, int], measures: Iterable[Measure]) -> Estimate:
    """Expected volume, core hours and duration of a plan.

    Parameters
    ----------
    plan
        What will run.
    chain
        Its figures stand in where no production gives one.
    slots
        Queue in service -> jobs at once; without a certain queue a step may have them all.
    measures
        What productions of the same kind took.
    """
    known = list(measures)
    specs: dict[str, StepSpec] = {step.kind: step for step in chain.steps}
    of_kind = {kind: [one for one in known if one.kind == kind] for kind in specs}
    steps = tuple(
        _step(step, specs[step.kind], chain.name, _at_once(plan, step, _slots_of(step, slots)), of_kind[step.kind])
        for step in plan.steps
    )
    volume = sum(step.volume_bytes for step in steps)
    return Estimate(
        steps=steps,
        volume_bytes=volume,
        volume_with_copies_bytes=volume * plan.rules.copies,
        core_hours=round(sum(step.core_hours for step in steps), 6),
        duration_h=round(sum(step.duration_h.value for step in steps), 3),
    )


def _slots_of(step: PlannedStep, slots: Mapping[str, int]) -> int:
    return sum(slots.values()) if step.queue is None else slots.get(step.queue, 1)


def _at_once(plan: Plan, step: PlannedStep, slots: int) -> int:
    """Jobs of a step that may run at once: those of so many bunches, and no more than there are slots."""
    share = min(1.0, plan.bunches_at_once / len(plan.bunch_numbers))
    return max(1, min(math.ceil(step.jobs * share), slots))


def _step(step: PlannedStep, spec: StepSpec, chain: str, at_once: int, measures: Sequence[Measure]) -> StepEstimate:
    alike = [one for one in measures if one.nearness is Nearness.TRIAL or _like_jobs(one, step)]
    written = f"chain {chain}: no production that has ended tells"
    size = _figure(alike, lambda one: _per(one.bytes, one.events), float(spec.bytes_per_event), written)
    time = _figure(alike, lambda one: _per(one.core_s, one.events), spec.cpu_s_per_event, written)
    core_hours = round(time.value * step.events / 3600, 6)
    return StepEstimate(
        kind=step.kind,
        bytes_per_event=size,
        core_s_per_event=time,
        duration_h=_duration(step, core_hours, at_once, alike),
        volume_bytes=round(size.value * step.events),
        core_hours=core_hours,
    )


def _duration(step: PlannedStep, core_hours: float, at_once: int, measures: Sequence[Measure]) -> Figure:
    """Hours from submission to end: as tasks of about its size took, else as if its queue were free."""
    near = [one for one in measures if _within(one.jobs, step.jobs, LIKE_TASKS) and one.nearness is not Nearness.TRIAL]
    free = max(core_hours / step.jobs / step.cores, core_hours / (at_once * step.cores))
    words = f"{at_once} jobs at once at {step.queue or 'all queues in service'}, if nothing else runs there"
    return _figure(near, lambda one: _span(one, step), round(free, 3), words)


def _figure(
    measures: Sequence[Measure], value: Callable[[Measure], float | None], fallback: float, words: str
) -> Figure:
    """Middle value of the nearest productions that know it, or the fallback."""
    for nearness in Nearness:
        found = [(one, told) for one in measures if one.nearness is nearness and (told := value(one)) is not None]
        if found:
            values = [told for _, told in found]
            return Figure(
                value=statistics.median(values),
                source=_sources(nearness, [one.source for one, _ in found]),
                comparables=len(found),
                lowest=min(values),
                highest=max(values),
            )
    return Figure(value=fallback, source=words)


def _sources(nearness: Nearness, names: Sequence[str]) -> str:
    shown = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
    if nearness is Nearness.TRIAL:
        return f"{NEAR_WORDS[nearness]}: {shown}"
    return f"{len(names)} closed {NEAR_WORDS[nearness]}: {shown}"


def _per(amount: float | None, events: int) -> float | None:
    return amount / events if amount and events else None


def _span(one: Measure, step: PlannedStep) -> float | None:
    """How long the task would have taken with the jobs and events of this step."""
    return one.span_h * step.events / one.events if one.span_h and one.events else None


def _like_jobs(one: Measure, step: PlannedStep) -> bool:
    return one.jobs > 0 and _within(one.events / one.jobs, step.events_per_job, LIKE_JOBS)


def _within(one: float, other: float, factor: float) -> bool:
    return other / factor <= one <= other * factor
