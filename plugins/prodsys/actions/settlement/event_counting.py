"""Sample files are opened and counted where their storage is mounted here; every number says where it comes from.

A file that can be read and is not what it should be makes its seed short. A storage that fails makes counting wait: it
says nothing about files. Many bad files at one site are a person's matter.
"""

from __future__ import annotations

import errno
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import select

from prodsys.actions.core.context import Context
from prodsys.actions.settlement.storages import Mount, absent, find_elsewhere, find_mount
from prodsys.ddm.content import Opener, count_events, open_file, sample
from prodsys.ddm.facts import FileFact
from prodsys.errors import FilesUnavailable, FileUnreadable
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import DatasetRow
from prodsys.model.names import Did
from prodsys.model.outcome import JobFile, SeedOutcome, SeedState, StepOutcome, unite
from prodsys.model.plan import LOG, Plan
from prodsys.model.statuses import EventSource

THREADS = 8
Parts = Sequence[tuple[int, StepOutcome]]  # row of each task with its outcome, in the order of attempts
Key = tuple[int | None, int]  # row of a task, seed


@dataclass(frozen=True)
class _Found:
    """What opening one file gave: a number of events, or why not."""

    seed: SeedOutcome
    file: JobFile
    events: int = 0
    error: FileUnreadable | FilesUnavailable | None = None
    nowhere: bool = False  # its storage and Rucio agree that it is not there


def unite_counted(
    ctx: Context, plan: Plan, parts: Parts, missing: Sequence[SeedOutcome], asked: int, opener: Opener = open_file
) -> StepOutcome:
    """Outcome of a step with counted events where files were opened; a seed whose file is bad counts by a later task.

    When a sampled file is not what its job reported, all files of the step are opened: one wrong report makes the
    others doubtful.

    Raises
    ------
    FilesUnavailable
        A storage does not answer, or not with what Rucio lists there.
    """
    counted: dict[Key, SeedOutcome] = {}
    before = _delivered_before(ctx, plan)
    while True:
        outcome = unite(_with(parts, counted), missing, asked, plan.accept_percent)
        chosen = _to_count(ctx, plan, outcome, counted)
        if not chosen:
            return replace(outcome, ask_first=_too_many_bad(ctx, outcome, counted.values()))
        counted |= {(one.task, one.seed): one for one in _count(ctx, plan, chosen, opener, before)}


def _delivered_before(ctx: Context, plan: Plan) -> frozenset[str]:
    """Names of the datasets of a request that were delivered once."""
    with transaction(ctx.sessions) as session:
        rows = session.scalars(select(DatasetRow.did).where(DatasetRow.request_id == plan.request_id))
        return frozenset(Did.parse(did).name for did in rows)


def _with(parts: Parts, counted: Mapping[Key, SeedOutcome]) -> list[tuple[int, StepOutcome]]:
    return [
        (task, replace(part, seeds=tuple(counted.get((task, seed.seed), seed) for seed in part.seeds)))
        for task, part in parts
    ]


def _to_count(ctx: Context, plan: Plan, outcome: StepOutcome, counted: Mapping[Key, SeedOutcome]) -> list[SeedOutcome]:
    """Delivered seeds to open next: the sample; all others too when one of those that were opened is bad."""
    if ctx.rse_root is None or plan.sample_files == 0:
        return []
    if any(one.state is not SeedState.DELIVERED for one in counted.values()):
        chosen = {one.seed for one in outcome.delivered}
    elif counted:
        return []
    else:
        seeds = [str(one.seed) for one in outcome.delivered]
        chosen = {int(seed) for seed in sample(seeds, plan.sample_files, plan.request_id)}
    return [one for one in outcome.delivered if one.seed in chosen and (one.task, one.seed) not in counted]


def _count(
    ctx: Context, plan: Plan, seeds: Sequence[SeedOutcome], opener: Opener, before: frozenset[str]
) -> list[SeedOutcome]:
    """These seeds with what their data files hold; a storage that is not mounted leaves the job's report standing."""
    rses = {queue.name: queue.rse for queue in ctx.catalogue.sites.queues}
    mounts = {site: find_mount(ctx, rses.get(site, "")) for site in {one.site for one in seeds}}
    opened: dict[int, list[_Found]] = defaultdict(list)
    for site, mount in sorted(mounts.items()):
        here = [one for one in seeds if one.site == site]
        for found in _open_all(ctx, plan, mount, here, opener) if mount else ():
            opened[found.seed.seed].append(found)
    return [_judge(plan, one, opened[one.seed], before) for one in seeds]


def _open_all(ctx: Context, plan: Plan, mount: Mount, seeds: Iterable[SeedOutcome], opener: Opener) -> list[_Found]:
    """Every data file of these seeds, opened; those not found where they usually lie are looked for with Rucio's help.

    Raises
    ------
    FilesUnavailable
        The storage failed for some of them.
    """
    files = [(one, file) for one in seeds for kind, file in sorted(one.files.items()) if kind != LOG]
    usual = {file.lfn: mount.usual_path(Did(plan.partition, file.lfn)) for _, file in files}
    found = _open(files, usual, opener)
    unseen = [one for one in found if _is_absent(one)]
    if unseen:
        found = [*(one for one in found if not _is_absent(one)), *_open_elsewhere(ctx, plan, mount, unseen, opener)]
    _refuse_unavailable(mount, found)
    return found


def _open_elsewhere(ctx: Context, plan: Plan, mount: Mount, unseen: Sequence[_Found], opener: Opener) -> list[_Found]:
    """Files that are not at their usual place, opened where Rucio says; one that only other hosts see is left out."""
    dids = {one.file.lfn: Did(plan.partition, one.file.lfn) for one in unseen}
    places = find_elsewhere(ctx, mount, list(dids.values()))
    paths = {lfn: path for lfn, path in places.items() if path is not None}
    again = _open([(one.seed, one.file) for one in unseen if one.file.lfn in paths], paths, opener)
    nowhere = [one for one in unseen if one.file.lfn not in places]
    return [*again, *(replace(one, error=absent(dids[one.file.lfn], mount), nowhere=True) for one in nowhere)]


def _is_absent(found: _Found) -> bool:
    return isinstance(found.error, FilesUnavailable) and found.error.number == errno.ENOENT


def _open(files: Sequence[tuple[SeedOutcome, JobFile]], paths: Mapping[str, Path], opener: Opener) -> list[_Found]:
    def look(pair: tuple[SeedOutcome, JobFile]) -> _Found:
        seed, file = pair
        try:
            return _Found(seed, file, count_events(paths[file.lfn], wanted=FileFact.of(file), opener=opener))
        except (FileUnreadable, FilesUnavailable) as error:
            return _Found(seed, file, error=error)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(look, files))


def _refuse_unavailable(mount: Mount, found: Sequence[_Found]) -> None:
    failed = [one for one in found if isinstance(one.error, FilesUnavailable)]
    if failed:
        words = f"{len(failed)} of {len(found)} files cannot be read now, so nothing is concluded: {failed[0].error}"
        raise FilesUnavailable(f"storage {mount.rse}", words) from failed[0].error


def _judge(plan: Plan, seed: SeedOutcome, opened: Sequence[_Found], before: frozenset[str]) -> SeedOutcome:
    """The seed as its opened files make it; one that was delivered before is lost: a person decides what follows."""
    asked = plan.spec.events_per_file
    for found in sorted(opened, key=lambda one: one.file.lfn):
        if found.error is not None:
            lost = found.file.dataset in before
            state = SeedState.LOST if lost else SeedState.SHORT
            words = f"{found.file.lfn} was delivered and is lost: {found.error}" if lost else str(found.error)
            bad = replace(seed, state=state, events=0, events_source=EventSource.COUNTED, reason=words)
            return replace(bad, unreadable=not (lost and found.nowhere))  # else it is no matter of the storage
        seed = replace(seed, events=found.events, events_source=EventSource.COUNTED)
        if found.events < asked:
            words = f"{found.file.lfn} holds {found.events} of {asked} events (counted)"
            return replace(seed, state=SeedState.SHORT, reason=words)
    return seed


def _too_many_bad(ctx: Context, outcome: StepOutcome, counted: Iterable[SeedOutcome]) -> str:
    """Why a person decides: a site where more of the opened files than policy allows cannot be read; "" when none."""
    limit = ctx.catalogue.policy.unreadable_ask_percent
    opened = Counter(one.site for one in counted if one.events_source is EventSource.COUNTED)
    bad = Counter(one.site for one in outcome.seeds if one.unreadable)
    said = [
        f"{number} of {opened[site]} opened seeds of {site} cannot be read ({100 * number / opened[site]:.3g} %, "
        f"policy asks a person above {limit:g} %): is it the storage?"
        for site, number in sorted(bad.items())
        if opened[site] and 100 * number > limit * opened[site]
    ]
    return "; ".join(said)
