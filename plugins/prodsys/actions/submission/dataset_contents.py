"""The files of one data type of one step, and a dataset of Rucio that holds them and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from prodsys.actions.core.context import Context
from prodsys.actions.submission.job_evidence import read_all_jobs
from prodsys.ddm.facts import FileFact
from prodsys.ddm.verbs import Held, ensure_dataset_holds, ensure_described
from prodsys.ledger.absent_files import seeds_of_lost_files
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import DatasetRow, FileRow, StepRow
from prodsys.ledger.tasks import list_files, list_outcomes, list_step_tasks
from prodsys.model.names import Did, guid_of
from prodsys.model.plan import LOG, Plan


@dataclass(frozen=True)
class Part:
    """The files of one data type of a step that go into one dataset, by LFN."""

    did: Did
    data_type: str
    files: Mapping[str, FileRow]

    def without(self, seeds: Collection[int]) -> Part:
        """The same without the files of these seeds."""
        return Part(self.did, self.data_type, {lfn: file for lfn, file in self.files.items() if file.seed not in seeds})


@dataclass(frozen=True)
class Source:
    """The step that wrote the files."""

    plan: Plan
    step_id: int
    kind: str
    rse_of: Mapping[int, str]  # seed -> storage where its job ran; "" when no site says


def rse_of_seeds(session: Session, ctx: Context, step_id: int) -> dict[int, str]:
    """Seed -> storage of the site where its job ran."""
    queues = {queue.name: queue.rse for queue in ctx.catalogue.sites.queues}
    return {one.seed: queues.get(one.site, "") for one in list_outcomes(session, step_id)}


def hold(ctx: Context, part: Part, source: Source) -> Held:
    """The dataset as Rucio holds it: complete, closed, compared, its data files with GUID and events."""
    rse_of = {lfn: source.rse_of[file.seed] for lfn, file in part.files.items()}

    def known(lfns: Collection[str]) -> Collection[str]:
        return _written(ctx, source, lfns)

    facts = _facts(part)
    held = ensure_dataset_holds(ctx.rucio, part.did, facts, rse_of, known)
    if any(fact.description(held.files.get(lfn)) for lfn, fact in facts.items() if lfn in held.files):
        describe(ctx, part)  # PanDA's adder registered them without
    return held


def describe(ctx: Context, part: Part) -> None:
    """Have GUID and events with the files of a dataset that Rucio holds; a question where all have them."""
    ensure_described(ctx.rucio, part.did, {Did(part.did.scope, lfn): fact for lfn, fact in _facts(part).items()})


def _written(ctx: Context, source: Source, lfns: Collection[str]) -> frozenset[str]:
    """Which of these files jobs of the step wrote: of seeds that do not count, or twice for one seed."""
    with transaction(ctx.sessions) as session:
        bound = {file.lfn for file in list_files(session, source.step_id)}
        bound |= seeds_of_lost_files(session, source.step_id).keys()
        tasks = [task.jedi_task_id for task in list_step_tasks(session, source.step_id)]
    rest = frozenset(lfns) - bound
    if rest:  # PanDA alone knows them: ask it only then
        bound |= {file.lfn for task in tasks if task for one in ctx.panda.get_files(task) for file in one.files}
    if rest - bound:  # JEDI lists what every attempt was to write: nobody's, unless a job says otherwise
        bound |= {file.lfn for task in tasks if task for job in read_all_jobs(ctx, task) for file in job.outputs}
    return frozenset(lfns) & bound


def _facts(part: Part) -> dict[str, FileFact]:
    return {lfn: _fact(part, file) for lfn, file in part.files.items()}


def _fact(part: Part, file: FileRow) -> FileFact:
    """What is registered of a file. Nobody reads logs by GUID, and each costs Rucio as much as its registration."""
    if part.data_type == LOG:
        return FileFact(file.bytes, file.adler32)
    guid = file.guid or guid_of(Did(part.did.scope, file.lfn))
    return FileFact(file.bytes, file.adler32, guid, file.events or None)


def dataset_row(step: StepRow, part: Part, held: Held, what: str) -> DatasetRow:
    """Row of a dataset of a step as read back; ``what`` is its kind."""
    events = 0 if part.data_type == LOG else sum(file.events for file in part.files.values())
    return DatasetRow(
        did=str(part.did),
        request_id=step.request_id,
        step=step.kind,
        bunch=step.bunch,
        data_type=part.data_type,
        kind=what,
        files=len(held.files),
        bytes=sum(fact.bytes for fact in held.files.values()),
        events=events,
        closed=True,
        strays=len(held.strays),
        read_back_at=datetime.now(UTC),
    )
