"""What a request reads that exists already: found in ledger and Rucio, bound to its seeds, compared.

Looked at when the request is checked and planned, before a transaction is opened. What was found is kept with the plan;
before a task is submitted Rucio is asked once more (`actions.borrowed`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from prodsys.actions.core.context import Context
from prodsys.actions.planning.input_sources import Source, find_source
from prodsys.ddm.facts import DidType, FileFact
from prodsys.ddm.pairs import Pairing, pair_inputs
from prodsys.errors import InputsUnusable, SampleExists
from prodsys.ledger.session import transaction
from prodsys.model import seeds as seed_ranges
from prodsys.model.names import DataName, Did, data_type_of
from prodsys.model.reading import (
    InputFile,
    PlannedInput,
    PlannedReading,
    SeedSource,
    digest_files,
    seed_of_serial,
    serial_of,
    warnings_of,
)
from prodsys.model.request import RequestSpec
from prodsys.model.specs import ChainSpec

WAIT = "wait until the step before has ended, or have it closed"
SHOWN = 3

Held = Mapping[tuple[str, str], Mapping[str, FileFact]]  # data type and DID -> LFN -> size and checksum, in Rucio


@dataclass(frozen=True)
class Reading:
    """What the plan says of it, the files, and what whoever approves should know."""

    planned: PlannedReading
    files: tuple[InputFile, ...]
    warnings: tuple[str, ...]


def find_reading(ctx: Context, spec: RequestSpec) -> Reading | None:
    """The files that a request with inputs reads; None for one that makes its own events.

    Raises
    ------
    InputsUnusable
        A dataset is missing, open, empty or a container; its step has not ended; no file is of a seed asked for.
    SampleExists
        Rucio holds their reconstruction with the same configuration.
    RequestUnknown
        There is no such request.
    DatasetConflict
        Two files of one type have one seed.
    RucioUnavailable
        Rucio is away.
    """
    if not spec.reads:
        return None
    chain = ctx.catalogue.chain_of(spec)
    with transaction(ctx.sessions) as session:
        source = find_source(session, spec, chain)
    held = {(kind, did): _look(ctx, spec, did) for kind, did in source.dids}
    beside = _look_beside(ctx, spec, chain, source)
    return build_reading(spec, chain.reads, source, held, beside)


def _look(ctx: Context, spec: RequestSpec, did: str) -> dict[str, FileFact]:
    """Files of one dataset, which must be there, closed, and hold some."""
    info = ctx.rucio.dataset_info(Did.parse(did))
    if info is None:
        remedy = "write its real name, as Rucio shows it: an old one may stand in another scope"
        raise InputsUnusable(spec.request_id, [(did, "Rucio has no dataset of this name")], remedy)
    if info.type is not DidType.DATASET:
        remedy = "name its datasets, or the request as input_request: a task reads no container"
        raise InputsUnusable(spec.request_id, [(did, f"it is a {info.type.lower()}")], remedy)
    if info.open or not info.length:
        reason = "it is still open: more files may come" if info.open else "it is closed and empty"
        raise InputsUnusable(spec.request_id, [(did, reason)], WAIT)
    return ctx.rucio.list_files(info.did)


def _look_beside(ctx: Context, spec: RequestSpec, chain: ChainSpec, source: Source) -> tuple[str, ...]:
    """What Rucio holds beside datasets that nobody of the ledger made: they may have been reconstructed before.

    Raises
    ------
    SampleExists
        They were, with the same configuration.
    """
    if source.files is not None:
        return ()
    step = chain.steps[0]
    found = [str(did) for name in source.samples() for did in _outputs_beside(ctx, name, step.kind, step.outputs)]
    if not found:
        return ()
    other = source.numbered_by
    if source.same_configuration:
        raise SampleExists(spec.request_id, other, "history", found)
    version = f" by {other}" if other != spec.request_id else ", by which version is not known here"
    return (f"{', '.join(found[:SHOWN])} exist already{version}: never add the two samples together",)


def _outputs_beside(ctx: Context, did: Did, kind: str, types: Sequence[str]) -> list[Did]:
    """Datasets of a step that stand beside an input, whatever their attempt."""
    sample = str(DataName.parse(did.name).sample)
    there = ctx.rucio.find_collections(did.scope, f"{sample}.{kind}.")
    return [one for one in there if data_type_of(one.name) in types]


# --- pure -----------------------------------------------------------------------------------------------------------
def build_reading(spec: RequestSpec, step: str, source: Source, held: Held, warnings: Sequence[str] = ()) -> Reading:
    """Files bound to seeds, complete sets of the seeds asked for kept, the others left out and said.

    Raises
    ------
    InputsUnusable
        No set is complete, a file is not what its job reported, or PanDA would pair the files wrongly.
    DatasetConflict
        Two files of one type have one seed.
    """
    bound, left_out = _bind(spec, source, held)
    wanted = set(seed_ranges.iterate(spec.seeds))
    asked = [one for one in bound if one.seed in wanted]
    pairing = _pair([kind for kind, _ in held], asked)
    whole = {pair.seed for pair in pairing.pairs}
    files = tuple(sorted((one for one in asked if one.seed in whole), key=lambda one: (one.seed, one.data_type)))
    if not files:
        names = [(did, "it holds no complete set of files of a seed asked for") for _, did in held]
        raise InputsUnusable(
            spec.request_id, names, f"compare the seeds {seed_ranges.show(spec.seeds)} with the input's"
        )
    _check_order(spec, files)
    planned = PlannedReading(
        step=step,
        request_id=source.request_id,
        seed_source=SeedSource.NAMES if source.files is None else SeedSource.LEDGER,
        numbered_by=source.numbered_by if source.files is None else "",
        datasets=tuple(_dataset(kind, did, len(lfns), files) for (kind, did), lfns in held.items()),
        lacking=seed_ranges.subtract(spec.seeds, seed_ranges.from_seeds(whole)),
        digest=digest_files(files),
    )
    said = [*source.warnings, *warnings, *warnings_of(planned), *_lonely(pairing), *left_out]
    return Reading(planned, files, tuple(said))


def _dataset(kind: str, did: str, number: int, files: Iterable[InputFile]) -> PlannedInput:
    read = [one for one in files if one.did == did]
    size = sum(one.bytes for one in read)
    return PlannedInput(did=did, data_type=kind, files=number, read=len(read), bytes=size)


def _bind(spec: RequestSpec, source: Source, held: Held) -> tuple[list[InputFile], list[str]]:
    """Files that Rucio holds with their seeds; and which have none, in sentences."""
    found, unbound = [], []
    for (kind, did), lfns in held.items():
        for lfn, fact in lfns.items():
            known = source.files.get(lfn) if source.files is not None else _by_name(source, kind, did, lfn, fact)
            if known is None:
                unbound.append(lfn)
            elif not fact.agrees(FileFact(known.bytes, known.adler32)):
                reported = FileFact(known.bytes, known.adler32)
                remedy = "find out who changed it, and have it declared bad"
                raise InputsUnusable(spec.request_id, [(lfn, f"Rucio has {fact}, its job wrote {reported}")], remedy)
            else:
                found.append(known)
    why = "no seed that came is theirs" if source.files is not None else "their names give no seed of the request"
    shown = ", ".join(sorted(unbound)[:SHOWN])
    return found, [f"{len(unbound)} files are left out, {why}: {shown}"] if unbound else []


def _by_name(source: Source, kind: str, did: str, lfn: str, fact: FileFact) -> InputFile | None:
    serial = serial_of(lfn)
    seed = None if serial is None else seed_of_serial(serial, source.numbering)
    return None if seed is None else InputFile(lfn, did, kind, seed, fact.bytes, fact.adler32)


def _pair(types: Iterable[str], files: Iterable[InputFile]) -> Pairing:
    by_type: dict[str, dict[str, int]] = {kind: {} for kind in types}
    for one in files:
        by_type[one.data_type][one.lfn] = one.seed
    return pair_inputs(by_type)


def _check_order(spec: RequestSpec, files: Iterable[InputFile]) -> None:
    """Refuse what PanDA would pair wrongly, group of datasets by group of datasets."""
    for group in groups_of(files):
        pairing = pair_inputs(group.lfns)
        if pairing.shifted:
            where = " and ".join(group.dids.values())
            reason = f"in the order of their names the files do not belong together at seeds {list(pairing.shifted)}"
            raise InputsUnusable(spec.request_id, [(where, reason)], "ask for the other seeds alone")


def _lonely(pairing: Pairing) -> list[str]:
    return [
        f"{len(lfns)} files of type {kind} lack a partner and are kept out: {', '.join(lfns[:SHOWN])}"
        for kind, lfns in pairing.lonely.items()
    ]


@dataclass(frozen=True)
class Group:
    """Files whose seeds lie in the same datasets: what one task may read."""

    dids: Mapping[str, str]  # data type -> dataset, in the order of types
    lfns: Mapping[str, Mapping[str, int]]  # data type -> LFN -> seed
    parent_tid: int | None

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the group, in order."""
        return tuple(sorted({seed for lfns in self.lfns.values() for seed in lfns.values()}))


def groups_of(files: Iterable[InputFile]) -> tuple[Group, ...]:
    """Complete files by the datasets they lie in: never one task over several tasks that wrote."""
    by_seed: dict[int, dict[str, InputFile]] = {}
    for one in files:
        by_seed.setdefault(one.seed, {})[one.data_type] = one
    groups: dict[tuple[tuple[str, str], ...], list[dict[str, InputFile]]] = {}
    for seed in sorted(by_seed):
        key = tuple((kind, one.did) for kind, one in by_seed[seed].items())
        groups.setdefault(tuple(sorted(key)), []).append(by_seed[seed])
    return tuple(_group(dict(key), rows) for key, rows in groups.items())


def _group(dids: Mapping[str, str], rows: Sequence[Mapping[str, InputFile]]) -> Group:
    lfns = {kind: {row[kind].lfn: row[kind].seed for row in rows} for kind in dids}
    return Group(dids, lfns, next(iter(rows[0].values())).parent_tid)
