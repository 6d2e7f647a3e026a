"""Where the inputs of a request come from: the request that wrote them, when the ledger knows it, and their seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from prodsys.errors import InputsUnusable, SpecInvalid
from prodsys.ledger.requests import find_request, get_request, get_spec, list_steps
from prodsys.ledger.tables import DatasetRow, StepRow
from prodsys.ledger.tasks import delivered_by, is_open, list_files, list_step_tasks
from prodsys.model import seeds as seed_ranges
from prodsys.model.names import DataKind, DataName, Did
from prodsys.model.reading import InputFile, request_of
from prodsys.model.request import Configuration, RequestSpec
from prodsys.model.seeds import SeedRange
from prodsys.model.specs import ChainSpec
from prodsys.model.statuses import GOOD, RequestState

MUST_AGREE = ("collision", "energy_gev", "polarization", "variant", "events_per_file")
MAY_DIFFER = ("stage", "geometry")


@dataclass(frozen=True)
class Source:
    """Who wrote the inputs, and how the seeds of their files are known."""

    dids: tuple[tuple[str, str], ...]  # data type and dataset, in the order of types
    request_id: str | None  # that wrote them and stands in the ledger
    files: Mapping[str, InputFile] | None  # LFN -> file that counts; None: not written by a task of this ledger
    numbering: tuple[SeedRange, ...]  # seeds that serial numbers count
    numbered_by: str
    same_configuration: bool
    warnings: tuple[str, ...] = ()

    def samples(self) -> tuple[Did, ...]:
        """One of the datasets of each sample whose name follows the rule."""
        found: dict[str, Did] = {}
        for _, text in self.dids:
            did = Did.parse(text)
            if request_of(text) is not None:
                found.setdefault(str(DataName.parse(did.name).sample), did)
        return tuple(found.values())


def find_source(session: Session, spec: RequestSpec, chain: ChainSpec) -> Source:
    """Where the inputs come from.

    Raises
    ------
    InputsUnusable
        They are of several requests, of the wrong type, or the step that writes them has not ended.
    SpecInvalid
        The request that wrote them has another beam, or other events in a file.
    RequestUnknown
        There is no such request.
    """
    _check_types(spec)
    owner = spec.input_request or _owner(session, spec)
    if owner is not None:
        return _of_ledger(session, spec, chain, owner)
    recorded = next(
        (one for did in spec.inputs.values() if (one := request_of(did)) and find_request(session, one)), None
    )
    base = get_spec(session, recorded) if recorded else spec
    return Source(
        dids=tuple((kind, spec.inputs[kind]) for kind in chain.steps[0].inputs),
        request_id=recorded,
        files=None,
        numbering=base.seeds,
        numbered_by=base.request_id,
        same_configuration=recorded is not None and _configuration(base) == _configuration(spec),
        warnings=_check_alike(spec, base),
    )


def _check_types(spec: RequestSpec) -> None:
    """Refuse a dataset whose name says another type than the request does."""
    wrong = []
    for kind, did in sorted(spec.inputs.items()):
        try:
            found = DataName.parse(Did.parse(did).name).data_type
        except SpecInvalid:
            continue  # a name of before the rule
        if found not in (kind, None):
            wrong.append((did, f"it is of type {found}, not {kind}"))
    if wrong:
        raise InputsUnusable(spec.request_id, wrong, "mend the inputs")


def _owner(session: Session, spec: RequestSpec) -> str | None:
    """The request whose tasks write these datasets, None when no request of the ledger does."""
    wanted = select(DatasetRow.did, DatasetRow.request_id).where(DatasetRow.did.in_(spec.inputs.values()))
    known = {row.did: row.request_id for row in session.execute(wanted)}
    owners = {did: known.get(did) or _published(session, request_of(did)) for did in spec.inputs.values()}
    if len(set(owners.values())) > 1:
        said = [(did, f"it is of {owner or 'no request of this ledger'}") for did, owner in owners.items()]
        raise InputsUnusable(spec.request_id, said, "name datasets of one request")
    return next(iter(owners.values()))


def _published(session: Session, request_id: str | None) -> str | None:
    found = find_request(session, request_id) if request_id else None
    return found.request_id if found and list_steps(session, found.request_id) else None


def _of_ledger(session: Session, spec: RequestSpec, chain: ChainSpec, owner: str) -> Source:
    row, base = get_request(session, owner), get_spec(session, owner)
    steps = _ended_steps(session, spec, chain.reads, owner)
    warnings = _check_alike(spec, base)
    types = chain.steps[0].inputs
    wanted = select(DatasetRow).where(
        DatasetRow.request_id == owner,
        DatasetRow.step == chain.reads,
        DatasetRow.kind == DataKind.DATASET,
        DatasetRow.data_type.in_(types),
    )
    dids = {one.did: one.data_type or "" for one in session.scalars(wanted.order_by(DatasetRow.did))}
    if alien := [did for did in spec.inputs.values() if did not in dids]:
        said = [(did, f"it is no dataset that {owner} delivered") for did in alien]
        raise InputsUnusable(spec.request_id, said, f"write input_request: {owner}")
    files = {one.lfn: one for step in steps for one in _files(session, step, dids)}
    asked = set(seed_ranges.iterate(spec.seeds))
    needed = {one.did for one in files.values() if one.seed in asked} if not spec.inputs else set(spec.inputs.values())
    if RequestState(row.state) is RequestState.ABORTED:
        warnings = (*warnings, f"{owner} is aborted: look whether its data were given an end")
    return Source(
        dids=tuple((kind, did) for kind in types for did in dids if dids[did] == kind and did in (needed or dids)),
        request_id=owner,
        files=files,
        numbering=base.seeds,
        numbered_by=owner,
        same_configuration=_configuration(base) == _configuration(spec),
        warnings=warnings,
    )


def _ended_steps(session: Session, spec: RequestSpec, kind: str, owner: str) -> list[StepRow]:
    """The steps that wrote, one a bunch; refused when one of them may still bring or lose files."""
    steps = [step for step in list_steps(session, owner) if step.kind == kind]
    state = get_request(session, owner).state
    if not steps:
        remedy = (
            "write inputs with the real names of its datasets" if state == RequestState.RECORDED else "run it first"
        )
        raise InputsUnusable(spec.request_id, [(f"{owner}.{kind}", f"{owner} is {state}: no task wrote any")], remedy)
    said = [(_name(owner, step), reason) for step in steps if (reason := _unready(session, step))]
    if said:
        raise InputsUnusable(spec.request_id, said, f"{owner} is {state}: wait until its {kind} has ended")
    return steps


def _name(owner: str, step: StepRow) -> str:
    return f"{owner}.{step.kind}" + (f".b{step.bunch:03d}" if step.bunch is not None else "")


def _unready(session: Session, step: StepRow) -> str:
    """Why the files of a step cannot be read yet; "" when they can."""
    if moving := [task.task_name for task in list_step_tasks(session, step.step_id) if is_open(task)]:
        return f"task {', '.join(moving)} may still write"
    if step.verdict is None:
        return "it has not ended"
    if step.verdict not in GOOD:
        return f"its verdict is {step.verdict}"
    return "" if step.data_ready_at else "its data are not complete in Rucio yet"


def _files(session: Session, step: StepRow, dids: Mapping[str, str]) -> Iterable[InputFile]:
    """Files of the seeds that a step delivered, in these datasets."""
    by_name = {Did.parse(did).name: did for did in dids}
    writers = {seed: task.jedi_task_id for seed, task in delivered_by(session, step.step_id)}
    for file in list_files(session, step.step_id):
        if file.seed in writers and (did := by_name.get(file.dataset)):
            tid = writers[file.seed]
            yield InputFile(file.lfn, did, file.data_type, file.seed, file.bytes, file.adler32, tid)


def _check_alike(spec: RequestSpec, base: RequestSpec) -> tuple[str, ...]:
    """What differs from the request that simulated and is worth knowing; SpecInvalid when it cannot be so."""
    for name in MUST_AGREE:
        theirs, ours = getattr(base, name), getattr(spec, name)
        if theirs != ours:
            remedy = f"write {theirs}, or read another sample"
            raise SpecInvalid(f"{spec.request_id}.{name}", f"{base.request_id} has {theirs}, not {ours}", remedy)
    return tuple(
        f"{name} is {getattr(spec, name)}, {base.request_id} was simulated with {getattr(base, name)}"
        for name in MAY_DIFFER
        if getattr(spec, name) != getattr(base, name)
    )


def _configuration(spec: RequestSpec) -> str:
    return Configuration.of(spec).digest()
