"""The plan of a request: everything that will be submitted, written and replicated, before anything runs. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, Field

from prodsys.errors import SpecInvalid
from prodsys.model import seeds as seed_ranges
from prodsys.model.names import Did, Sample, TaskName, energy_text
from prodsys.model.placement import Placement, placement_of
from prodsys.model.policy import Answer
from prodsys.model.reading import PlannedReading, in_words
from prodsys.model.request import Configuration, RequestSpec, Seeds, digest_of
from prodsys.model.seeds import SeedRange
from prodsys.model.specs import Catalogue, ChainSpec, PartitionSpec, StepSpec
from prodsys.model.written import check_request

LOG = "log"
BUNCHES = "bunches-2"  # layout of a request with bunches


class PlanPart(BaseModel):
    """Base of the parts of a plan: frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PlannedDataset(PlanPart):
    """One dataset a step's first attempt fills."""

    did: str
    bunch: int | None = None
    data_type: str
    container: str = Field(description="step container it goes into, scope:name")


class PlannedStep(PlanPart):
    """One step as it will be submitted."""

    kind: str
    script: str
    image: str
    transform: str
    processing_type: str
    task_name: str
    queue: str | None = Field(description="queue that all jobs must run at; None: PanDA chooses, job by job")
    rse: str | None = Field(description="storage that outputs are registered for; None: that of a job's queue")
    jobs: int
    events: int
    events_per_job: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...] = Field(description="data types, the log last")
    datasets: tuple[PlannedDataset, ...]
    max_attempts: int
    cores: int
    ram_mb: int
    walltime_s: int
    volume_bytes: int
    core_hours: float


class PlannedRules(PlanPart):
    """Replication of every dataset of the request."""

    rse_expression: str
    rses: tuple[str, ...]
    copies: int
    lifetime_days: int | None
    activity: str


class PlannedSettle(PlanPart):
    """When a step is good enough, and what happens when it is not."""

    accept_percent: float
    rounds: int
    ask_hours: float
    default: Answer


class PlannedBunch(PlanPart):
    """Consecutive seeds that are run together, apart from the others."""

    number: int
    seeds: Seeds


class Plan(PlanPart):
    """What approving a request means."""

    request_id: str
    revision: int
    spec: RequestSpec
    spec_digest: str
    configuration: Configuration
    configuration_digest: str
    layout: str
    partition: str
    tag: str
    seeds: Seeds
    events: int
    priority: int
    campaign: str
    steps: tuple[PlannedStep, ...]
    reading: PlannedReading | None = Field(
        default=None, description="files of earlier requests that the first step reads; None: it makes its events"
    )
    request_container: str
    rules: PlannedRules
    settle: PlannedSettle
    bunches: tuple[PlannedBunch, ...] = Field(
        default=(), description="each its own way from step to step; (): one piece"
    )
    bunches_at_once: int = 1
    sample_files: int
    working_group: str
    volume_bytes: int = Field(description="of one copy, logs not counted")
    volume_with_copies_bytes: int
    core_hours: float

    def digest(self) -> str:
        """``sha256:...`` of the whole plan: approval binds to it."""
        return digest_of(self.model_dump(mode="json"))

    @property
    def accept_percent(self) -> float:
        """Least share of seeds with which a step is accepted [%]."""
        return self.settle.accept_percent

    @property
    def bunch_numbers(self) -> tuple[int | None, ...]:
        """Numbers of the bunches; (None,) for a request that runs in one piece."""
        return tuple(bunch.number for bunch in self.bunches) or (None,)

    def seeds_of_bunch(self, number: int | None) -> tuple[SeedRange, ...]:
        """Seeds of one bunch; of the whole request for None."""
        return next((bunch.seeds for bunch in self.bunches if bunch.number == number), self.seeds)

    @property
    def sample(self) -> Sample:
        """The beginning of all its names."""
        return Sample(self.partition, self.tag, self.spec.energy_gev, self.spec.polarization, self.request_id)

    def step(self, kind: str) -> PlannedStep:
        """The step of this kind; KeyError when the chain has none."""
        for step in self.steps:
            if step.kind == kind:
                return step
        raise KeyError(kind)

    def before(self, kind: str) -> PlannedStep | None:
        """The step whose outputs this one reads, or None for the first."""
        kinds = [step.kind for step in self.steps]
        place = kinds.index(kind)
        return self.steps[place - 1] if place else None

    def dataset_dids(self) -> tuple[Did, ...]:
        """All datasets of first attempts, in the order of the steps."""
        return tuple(Did.parse(dataset.did) for step in self.steps for dataset in step.datasets)


def build_plan(spec: RequestSpec, revision: int, catalogue: Catalogue, reading: PlannedReading | None = None) -> Plan:
    """The plan of one revision of a request.

    Parameters
    ----------
    spec, revision, catalogue
        What is asked for, and the specs.
    reading
        What was found of the files that a request with inputs reads; None before anybody looked.

    Raises
    ------
    SpecInvalid
        Chain, software, version, campaign, partition or a word of physics are not in the specs, a size is beyond its
        bound, a name would be too long, or the request has inputs that its chain does not read.
    """
    check_request(spec, catalogue)
    partition = catalogue.partitions.partition_of(spec)
    policy = catalogue.partitions.policy_of(partition)
    sample = Sample(partition, spec.tag, spec.energy_gev, spec.polarization, spec.request_id)
    placement = placement_of(spec, catalogue.sites)
    chain = catalogue.chain_of(spec)
    check_inputs(spec, chain)
    run = seed_ranges.subtract(spec.seeds, reading.lacking) if reading else spec.seeds
    steps = tuple(
        _plan_step(step, chain.transform, spec, catalogue, sample, placement, seed_ranges.count(run))
        for step in chain.steps
    )
    volume = sum(step.volume_bytes for step in steps)
    configuration = Configuration.of(spec)
    return Plan(
        request_id=spec.request_id,
        revision=revision,
        spec=spec,
        spec_digest=spec.digest(),
        configuration=configuration,
        configuration_digest=configuration.digest(),
        layout=BUNCHES if spec.bunches > 1 else chain.layout,
        partition=partition,
        tag=spec.tag,
        seeds=spec.seeds,
        events=spec.events,
        priority=spec.priority,
        campaign=spec.campaign,
        steps=steps,
        reading=reading,
        request_container=str(Did(partition, sample.request_container())),
        rules=_plan_rules(policy),
        settle=_plan_settle(spec, partition, catalogue),
        bunches=_plan_bunches(spec, reading),
        bunches_at_once=spec.bunches_at_once,
        sample_files=catalogue.policy.sample_files,
        working_group=catalogue.policy.working_group,
        volume_bytes=volume,
        volume_with_copies_bytes=volume * policy.copies,
        core_hours=round(sum(step.core_hours for step in steps), 3),
    )


def check_inputs(spec: RequestSpec, chain: ChainSpec) -> None:
    """What is read is said where the chain reads, and nowhere else.

    Raises
    ------
    SpecInvalid
        A chain that reads has no inputs, or others than it needs; one that simulates has some.
    """
    types = chain.steps[0].inputs
    if not chain.reads and spec.reads:
        remedy = "take inputs away, or name a chain that reads, such as RECO"
        raise SpecInvalid(f"{spec.request_id}.chain", f"{chain.name} makes its own events and reads nothing", remedy)
    if chain.reads and not spec.reads:
        remedy = f"input_request: PROD2025-016, or inputs: {{{', '.join(f'{one}: scope:name' for one in types)}}}"
        raise SpecInvalid(f"{spec.request_id}.inputs", f"{chain.name} reads files of {chain.reads} that exist", remedy)
    if spec.inputs and set(spec.inputs) != set(types):
        found = ", ".join(sorted(spec.inputs))
        raise SpecInvalid(
            f"{spec.request_id}.inputs", f"{chain.name} reads {' and '.join(types)}, not {found}", "a dataset for each"
        )


def _plan_settle(spec: RequestSpec, partition: str, catalogue: Catalogue) -> PlannedSettle:
    rule = catalogue.policy.settle_rule(spec.request_id, spec.chain, partition)
    return PlannedSettle(
        accept_percent=rule.accept_percent, rounds=rule.rounds, ask_hours=rule.ask_hours, default=rule.default
    )


def _plan_bunches(spec: RequestSpec, reading: PlannedReading | None) -> tuple[PlannedBunch, ...]:
    if spec.bunches == 1:
        return ()
    parts = seed_ranges.split(spec.seeds, spec.bunches)
    for part in parts:
        if reading and not seed_ranges.subtract(part, reading.lacking):
            message = f"the input holds no complete set of files of seeds {seed_ranges.show(part)}, a whole bunch"
            raise SpecInvalid(f"{spec.request_id}.bunches", message, "make fewer bunches, or ask for other seeds")
    return tuple(PlannedBunch(number=number, seeds=part) for number, part in enumerate(parts, start=1))


def _plan_rules(policy: PartitionSpec) -> PlannedRules:
    return PlannedRules(
        rse_expression=policy.rse_expression,
        rses=policy.rses,
        copies=policy.copies,
        lifetime_days=policy.lifetime_days,
        activity=policy.activity,
    )


def _plan_step(
    step: StepSpec,
    transform: str,
    spec: RequestSpec,
    catalogue: Catalogue,
    sample: Sample,
    placement: Placement,
    jobs: int,
) -> PlannedStep:
    software = catalogue.software_of(spec)
    types = (*step.outputs, LOG)
    events = jobs * spec.events_per_file
    return PlannedStep(
        kind=step.kind,
        script=f"{software.script_folder(spec)}/{step.script}",
        image=software.version_of(spec).image,
        transform=transform,
        processing_type=step.processing_type,
        task_name=str(TaskName(spec.request_id, step.kind)),
        queue=placement.queue,
        rse=placement.rse,
        jobs=jobs,
        events=events,
        events_per_job=spec.events_per_file,
        inputs=step.inputs,
        outputs=types,
        datasets=tuple(
            _plan_dataset(sample, step.kind, data_type, bunch) for bunch in _bunch_numbers(spec) for data_type in types
        ),
        max_attempts=step.max_attempts,
        cores=step.cores,
        ram_mb=step.ram_mb,
        walltime_s=step.walltime_s,
        volume_bytes=step.bytes_per_event * events,
        core_hours=round(step.cpu_s_per_event * events / 3600, 3),
    )


def _bunch_numbers(spec: RequestSpec) -> Iterable[int | None]:
    return range(1, spec.bunches + 1) if spec.bunches > 1 else (None,)


def _plan_dataset(sample: Sample, kind: str, data_type: str, bunch: int | None) -> PlannedDataset:
    return PlannedDataset(
        did=str(Did(sample.scope, sample.dataset(kind, data_type, bunch=bunch))),
        bunch=bunch,
        data_type=data_type,
        container=str(Did(sample.scope, sample.step_container(kind, data_type))),
    )


def describe(plan: Plan, digest: str, expected: str = "") -> str:
    """The plan in Markdown, for Airflow's pages; all values are checked names and numbers.

    What it takes is told in the words of ``expected``, else by the figures of the chain.
    """
    beam = f"{plan.spec.collision} {energy_text(plan.spec.energy_gev)} GeV {plan.spec.polarization}"
    rules = plan.rules
    lifetime = f"{rules.lifetime_days} days" if rules.lifetime_days else "kept"
    lines = [
        f"### {plan.request_id}, revision {plan.revision}",
        "",
        f"{plan.events} events of {beam}, {plan.tag}, {plan.spec.software} {plan.spec.version}, "
        f"seeds {seed_ranges.show(plan.seeds)}.",
        "",
    ]
    if plan.reading:
        lines += [f"{one}  " for one in in_words(plan.reading)] + [""]
    for step in plan.steps:  # no table: the dialog is narrow, and names are long
        names = dict.fromkeys(dataset.container if plan.bunches else dataset.did for dataset in step.datasets)
        tasks = f"{len(plan.bunches)} tasks `{step.task_name}.bNNN`" if plan.bunches else f"task `{step.task_name}`"
        lines.append(f"**{step.kind}**: {step.jobs} jobs, {step.events} events, {tasks}, {where(step)}")
        lines += ["", *(f"- {_plain(name)}" for name in names), ""]
    if plan.bunches:
        lines += [f"{len(plan.bunches)} bunches, at most {plan.bunches_at_once} at once.", ""]
    lines += [f"Recovery: {plan.settle.rounds} rounds, then a person is asked for {plan.settle.ask_hours:g} h.", ""]
    lines += [
        f"Replicas: {rules.copies} on {', '.join(rules.rses)}, {lifetime}. "
        f"Accepted from {plan.accept_percent:g} % of the seeds.",
        *(("", expected) if expected else (f"Expected: {_chain_figures(plan)}.",)),
        "",
        f"Plan `{digest}`",
    ]
    return "\n".join(lines)


def _plain(name: str) -> str:
    """A name as text of a page: in a code span of two lines Airflow's pages cut its underscores off."""
    return name.replace("_", "\\_")


def where(step: PlannedStep) -> str:
    """Where the jobs of a step run, in words."""
    return f"at {step.queue}" if step.queue else "at the queues that PanDA chooses"


def _chain_figures(plan: Plan) -> str:
    return f"{plan.volume_bytes / 1e9:.1f} GB a copy, {plan.core_hours:.0f} core hours"
