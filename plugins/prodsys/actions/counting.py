"""Sample files are opened and counted where their storage is mounted here; every number says where it comes from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from prodsys.actions.context import Context
from prodsys.ddm.content import count_events, sample
from prodsys.ddm.placement import hash_path
from prodsys.errors import ProductionError
from prodsys.model.names import Did
from prodsys.model.outcome import JobFile, SeedOutcome, SeedState, StepOutcome, judge
from prodsys.model.plan import LOG, Plan
from prodsys.model.statuses import EventSource


def count_sample(ctx: Context, plan: Plan, outcome: StepOutcome) -> StepOutcome:
    """The outcome with counted events where files were opened; a file that holds less makes its seed short.

    When a sampled file is not what its job reported, all files of the step are opened: one wrong report makes the
    others doubtful.
    """
    if ctx.rse_root is None or plan.sample_files == 0 or not outcome.delivered:
        return outcome
    chosen = {
        int(seed) for seed in sample([str(one.seed) for one in outcome.delivered], plan.sample_files, plan.request_id)
    }
    counted = {seed.seed: _count(ctx, plan, seed) for seed in outcome.delivered if seed.seed in chosen}
    if any(found.state is not SeedState.DELIVERED for found in counted.values()):
        rest = [seed for seed in outcome.delivered if seed.seed not in chosen]
        counted |= {seed.seed: _count(ctx, plan, seed) for seed in rest}
    seeds = tuple(counted.get(seed.seed, seed) for seed in outcome.seeds)
    verdict = judge((seed.state for seed in seeds), outcome.asked, plan.accept_percent)
    return replace(outcome, seeds=seeds, verdict=verdict)


def _count(ctx: Context, plan: Plan, seed: SeedOutcome) -> SeedOutcome:
    """Count the data files of one seed; a storage that is not mounted leaves the job's report standing."""
    asked = plan.spec.events_per_file
    for data_type, file in sorted(seed.files.items()):
        path = _path(ctx, plan, seed, file)
        if data_type == LOG or path is None:
            continue
        try:
            events = count_events(path)
        except ProductionError as error:
            return replace(seed, state=SeedState.SHORT, events=0, events_source=EventSource.COUNTED, reason=str(error))
        seed = replace(seed, events=events, events_source=EventSource.COUNTED)
        if events < asked:
            return replace(seed, state=SeedState.SHORT, reason=f"{file.lfn} holds {events} of {asked} events (counted)")
    return seed


def _path(ctx: Context, plan: Plan, seed: SeedOutcome, file: JobFile) -> Path | None:
    """Where a file lies, or None when its storage is not mounted here or orders its files in another way."""
    rses = {queue.name: queue.rse for queue in ctx.catalogue.sites.queues}
    rse = rses.get(seed.site)
    if rse is None or ctx.rse_root is None or not (ctx.rse_root / rse / plan.partition.replace(".", "/")).is_dir():
        return None
    return ctx.rse_root / rse / hash_path(Did(plan.partition, file.lfn))
