"""What to do so that a dataset in Rucio holds what PanDA's jobs wrote for it, and nothing else. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from prodsys.ddm.facts import FileFact
from prodsys.model.names import Did
from prodsys.model.outcome import JobFile


@dataclass(frozen=True)
class WrittenFile:
    """A file that counts, the seed it holds, and the queue whose job wrote it."""

    seed: int
    file: JobFile
    queue: str


@dataclass(frozen=True)
class HeldDataset:
    """What Rucio holds; a dataset that does not exist holds nothing and is open."""

    files: Mapping[str, FileFact]
    open: bool = True


@dataclass(frozen=True)
class RegistrationPlan:
    """The way from what Rucio holds to what it should hold; with conflicts there is none and nothing may be done."""

    did: Did
    files: Mapping[str, FileFact]  # all that the dataset holds in the end
    add: Mapping[str, FileFact]  # of these, what is not there yet
    rse_of: Mapping[str, str]  # LFN -> storage, for every file that was written to a known queue
    detach: tuple[str, ...]  # what must go first, in the order of names
    conflicts: tuple[str, ...]  # sentences
    seed_of: Mapping[str, int]  # LFN -> seed

    @property
    def complete(self) -> bool:
        """The dataset holds what it should already."""
        return not (self.add or self.detach or self.conflicts)


def plan_registration(
    did: Did,
    written: Collection[WrittenFile],
    strays: Collection[str],
    rse_of_queue: Mapping[str, str],
    held: HeldDataset,
) -> RegistrationPlan:
    """Compare what jobs wrote with what Rucio holds, whoever put it there.

    Parameters
    ----------
    did
        The dataset.
    written
        The files it should hold, one a seed.
    strays
        LFNs that its jobs wrote as well and that belong to no delivered seed: they are detached.
    rse_of_queue
        PanDA queue -> storage its jobs write to.
    held
        What Rucio holds now.

    Returns
    -------
    RegistrationPlan
        Its conflicts name: a file that no job of the task wrote; another size or checksum; a missing file of a closed
        dataset; a file without size, checksum or storage that would have to be added; two files of one seed or name.
    """
    reported = {one.file.lfn: FileFact.of(one.file) for one in written}
    queues = {one.file.lfn: one.queue for one in written}
    rse_of = {lfn: rse_of_queue[queue] for lfn, queue in queues.items() if queue in rse_of_queue}
    add = {lfn: fact for lfn, fact in reported.items() if lfn not in held.files}
    return RegistrationPlan(
        did=did,
        files={lfn: held.files.get(lfn, fact) for lfn, fact in sorted(reported.items())},
        add=add,
        rse_of=rse_of,
        detach=tuple(sorted(lfn for lfn in held.files if lfn not in reported and lfn in strays)),
        conflicts=(
            *_doubles(written),
            *_unlike(reported, strays, held),
            *_cannot_add(add, queues, rse_of_queue, held.open),
        ),
        seed_of={one.file.lfn: one.seed for one in written},
    )


def _doubles(written: Collection[WrittenFile]) -> list[str]:
    said = []
    by_seed: dict[int, str] = {}
    by_name: dict[str, int] = {}
    for one in written:
        if one.seed in by_seed:
            said.append(f"seed {one.seed} has two files, {by_seed[one.seed]} and {one.file.lfn}")
        if one.file.lfn in by_name:
            said.append(f"{one.file.lfn} was written for two seeds, {by_name[one.file.lfn]} and {one.seed}")
        by_seed[one.seed], by_name[one.file.lfn] = one.file.lfn, one.seed
    return said


def _unlike(reported: Mapping[str, FileFact], strays: Collection[str], held: HeldDataset) -> list[str]:
    said = []
    for lfn, fact in sorted(held.files.items()):
        if lfn in reported and not fact.agrees(reported[lfn]):
            said.append(f"{lfn} is in Rucio with {fact}, its job wrote {reported[lfn]}")
        elif lfn not in reported and lfn not in strays:
            said.append(f"{lfn} is in Rucio and no job of this task wrote it")
    return said


def _cannot_add(
    add: Mapping[str, FileFact], queues: Mapping[str, str], rse_of_queue: Mapping[str, str], open_: bool
) -> list[str]:
    said = []
    for lfn, fact in sorted(add.items()):
        if not open_:
            said.append(f"{lfn} is not in Rucio, and the dataset is closed")
        if fact.bytes <= 0 or not fact.adler32:
            said.append(f"{lfn} is not in Rucio, and its job reported {fact}")
        if queues[lfn] not in rse_of_queue:
            said.append(f"{lfn} is not in Rucio, and queue {queues[lfn] or '(none)'} has no storage in sites.yaml")
    return said
