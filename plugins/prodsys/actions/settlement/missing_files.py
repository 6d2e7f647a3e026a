"""Files that a settled step counts on and that their dataset does not hold: why, by what Rucio itself says.

Never arrived: PanDA closed the dataset without the file. Late: it was written after the dataset was closed, it is there
and could join a further dataset. Lost: it was in the dataset once, and no copy of it is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from sqlalchemy import delete
from sqlalchemy.orm import Session

from prodsys.actions.core.context import Context
from prodsys.actions.settlement.storages import is_on_storage
from prodsys.actions.submission.dataset_contents import Part, Source
from prodsys.ddm.facts import FileCopies, FileFact
from prodsys.errors import DatasetConflict, RucioUnavailable
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import DatasetRow, FileRow, LateFileRow, LostFileRow, RuleRow, SeedOutcomeRow, StepRow
from prodsys.model.names import Did
from prodsys.model.outcome import SeedOutcome, SeedState


class Why(StrEnum):
    """Why a dataset does not hold a file, the gravest first."""

    LOST = "lost"
    NEVER_ARRIVED = "never arrived"
    LATE = "late"


STATE = {Why.LOST: SeedState.LOST, Why.NEVER_ARRIVED: SeedState.MISSING, Why.LATE: SeedState.LATE}


@dataclass(frozen=True)
class MissingFile:
    """One file that its dataset does not hold."""

    file: FileRow
    why: Why
    reason: str


@dataclass(frozen=True)
class Lookup:
    """What Rucio says of all parts of a step."""

    missing: tuple[MissingFile, ...] = ()
    erased: frozenset[Did] = field(default_factory=frozenset)  # datasets that were delivered and do not exist any more


def look_for_missing(ctx: Context, parts: Sequence[Part], source: Source) -> Lookup:
    """Which files the datasets do not hold and will not take, and why; which datasets are gone.

    Raises
    ------
    RucioUnavailable
        Rucio does not show a dataset or copies that it held, and does not say either that they were taken away.
    DatasetConflict
        It has the file with another size or checksum.
    """
    with transaction(ctx.sessions) as session:
        known = {did: session.get(DatasetRow, str(did)) is not None for did in (part.did for part in parts)}
    missing: list[MissingFile] = []
    erased = set()
    for part in parts:
        info = ctx.rucio.dataset_info(part.did)
        if info is None and known[part.did]:
            missing += _all_erased(ctx, part)
            erased.add(part.did)
        elif info is not None:
            held = ctx.rucio.list_files(part.did)
            missing += _without_copies(ctx, part, held)
            absent = {lfn: file for lfn, file in part.files.items() if lfn not in held}
            if absent and (known[part.did] or not info.open):
                missing += _absent(ctx, part, absent, source, delivered=known[part.did], is_open=info.open)
    return Lookup(tuple(missing), frozenset(erased))


def _all_erased(ctx: Context, part: Part) -> list[MissingFile]:
    """Files of a dataset that was delivered and does not exist any more: Rucio's history has to say so of each."""
    when = ctx.rucio.taken_out(part.did)
    if unsaid := sorted(part.files.keys() - when.keys()):
        raise RucioUnavailable(
            f"{part.did} was delivered and is not shown, and Rucio does not say that {unsaid[0]} was deleted: "
            "nothing is made again before that is known"
        )
    copies = ctx.rucio.copies_of(part.did.scope, list(part.files)) if part.files else {}
    return [
        _lost(part, file, f"the dataset was deleted from Rucio at {when[lfn]} UTC (no rule kept it?)")
        if not (lfn in copies and copies[lfn].available)
        else _late(part, file, f"the dataset was deleted from Rucio at {when[lfn]} UTC, the file is there")
        for lfn, file in sorted(part.files.items())
    ]


def _without_copies(ctx: Context, part: Part, held: Mapping[str, FileFact]) -> list[MissingFile]:
    """Files that are in the dataset and of which no copy is left."""
    ours = sorted(part.files.keys() & held.keys())
    if not ours:
        return []
    copies = ctx.rucio.copies_in(part.did)
    lost = []
    for lfn in ours:
        known = copies.get(lfn)
        if known is not None and known.lost:
            words = "all its copies were declared bad or are being deleted (" + ", ".join(sorted(known.states)) + ")"
            lost.append(_lost(part, part.files[lfn], words))
        elif known is None or not known.states:
            if (said := ctx.rucio.availability(Did(part.did.scope, lfn))) not in {"LOST", "DELETED"}:
                words = f"{part.did} lists {lfn}, and Rucio shows no copy of it (it calls the file {said or 'unknown'})"
                raise RucioUnavailable(words)
            lost.append(_lost(part, part.files[lfn], f"Rucio calls it {said}"))
    return lost


def _absent(
    ctx: Context, part: Part, absent: Mapping[str, FileRow], source: Source, *, delivered: bool, is_open: bool
) -> list[MissingFile]:
    """Files that are not in the dataset: they were once, or came when it was closed, or never arrived."""
    when = ctx.rucio.taken_out(part.did)
    copies = ctx.rucio.copies_of(part.did.scope, list(absent))
    found = []
    for lfn, file in sorted(absent.items()):
        known = copies.get(lfn)
        there = known is not None and known.available
        if there and known is not None:
            _check_fact(part, file, known)
        if lfn in when and not there:
            found.append(_lost(part, file, f"it was taken out of the dataset at {when[lfn]} UTC, no copy is left"))
        elif is_open:  # it can still be registered
            continue
        elif there and lfn in when:
            words = f"it was taken out of the dataset at {when[lfn]} UTC, and it is there"
            found.append(_late(part, file, words))
        elif there and not delivered:
            found.append(_late(part, file, "PanDA closed the dataset without it, and it is there"))
        elif there or (delivered and _stored(ctx, part, file, source) is not False):  # None: its job's word stands
            found.append(_late(part, file, "PanDA wrote it later, at a retry of the task: the dataset was closed"))
        else:
            found.append(never_arrived(file))
    return found


def _check_fact(part: Part, file: FileRow, known: FileCopies) -> None:
    wanted = FileFact(file.bytes, file.adler32)
    if not known.fact.agrees(wanted):
        raise DatasetConflict(str(part.did), [f"{file.lfn} is in Rucio with {known.fact}, not {wanted}"])


def _stored(ctx: Context, part: Part, file: FileRow, source: Source) -> bool | None:
    return is_on_storage(ctx, source.rse_of.get(file.seed, ""), Did(part.did.scope, file.lfn))


def never_arrived(file: FileRow) -> MissingFile:
    """A file that is not in its dataset, which takes no more."""
    return MissingFile(file, Why.NEVER_ARRIVED, f"{file.lfn} is not in Rucio and its dataset is closed")


def _lost(part: Part, file: FileRow, words: str) -> MissingFile:
    return MissingFile(file, Why.LOST, f"{file.lfn} was delivered in {part.did.name} and is lost: {words}")


def _late(part: Part, file: FileRow, words: str) -> MissingFile:
    reason = f"{file.lfn} is not in {part.did.name}: {words}; `prodsys request recover` takes it into a further dataset"
    return MissingFile(file, Why.LATE, reason)


def gravest(missing: Iterable[MissingFile]) -> dict[int, MissingFile]:
    """Seed -> the file that decides about it."""
    order = {why: place for place, why in enumerate(Why)}
    found: dict[int, MissingFile] = {}
    for one in sorted(missing, key=lambda one: (order[one.why], one.file.lfn)):
        found.setdefault(one.file.seed, one)
    return found


def write_missing(
    session: Session, step: StepRow, missing: Sequence[MissingFile], files: Iterable[FileRow]
) -> dict[int, MissingFile]:
    """Note the files, and of a lost seed its other files too; the seeds with the file that decides about each.

    ``files`` are all files of the step: what lies beside a lost file does not count without it.
    """
    deciding = gravest(missing)
    for one in missing:
        lfn, seed, reason = one.file.lfn, one.file.seed, one.reason
        if one.why is Why.LATE:
            late = {"data_type": one.file.data_type, "dataset": one.file.dataset}
            session.merge(LateFileRow(lfn=lfn, step_id=step.step_id, seed=seed, reason=reason, **late))
        else:
            delivered = one.why is Why.LOST
            session.merge(LostFileRow(lfn=lfn, step_id=step.step_id, seed=seed, reason=reason, delivered=delivered))
    for file in files:
        cause = deciding.get(file.seed)
        if cause is not None and cause.why is Why.LOST and file.lfn not in {one.file.lfn for one in missing}:
            words = f"{file.lfn} does not count without its other files: {cause.reason}"
            values = {"step_id": step.step_id, "seed": file.seed, "reason": words, "delivered": True}
            session.merge(LostFileRow(lfn=file.lfn, **values))
    for seed, one in deciding.items():
        outcome = session.get(SeedOutcomeRow, (step.step_id, seed))
        if outcome is not None:
            outcome.state, outcome.reason, outcome.lost_in = STATE[one.why], one.reason, step.kind
    return deciding


def note_superseded(session: Session, step: StepRow, again: Iterable[SeedOutcome]) -> None:
    """Files of lost seeds that are run again do not count any more; the ledger knows still whose they were."""
    for one in again:
        for file in one.files.values() if one.state is SeedState.LOST else ():
            if session.get(LostFileRow, file.lfn) is None:
                values = {"step_id": step.step_id, "seed": one.seed, "reason": one.reason, "delivered": True}
                session.add(LostFileRow(lfn=file.lfn, **values))


def forget_erased(session: Session, erased: Iterable[Did]) -> None:
    """Take the rows of datasets that do not exist any more out of the ledger; certificates keep what they said."""
    dids = [str(did) for did in erased]
    session.execute(delete(RuleRow).where(RuleRow.did.in_(dids)))
    session.execute(delete(DatasetRow).where(DatasetRow.did.in_(dids)))
