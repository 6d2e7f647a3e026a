"""What people write under ``include/specs`` besides requests: chains, software, partitions, sites, policy, profiles.

Plain pydantic models, read by ``intake.catalogue``; unknown keys are refused.
"""

from __future__ import annotations

import re
from string import Formatter
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, Field, model_validator

from prodsys.errors import SpecInvalid
from prodsys.model.names import RequestId, energy_text
from prodsys.model.physics import PhysicsSpec
from prodsys.model.policy import PolicySpec
from prodsys.model.request import RequestSpec
from prodsys.model.spec_base import Pattern, Spec

T = TypeVar("T")


def _check_template(*names: str) -> AfterValidator:
    """Validator of a text that may use these names in braces and no others."""

    def check(template: str) -> str:
        used = {name for _, name, _, _ in Formatter().parse(template) if name is not None}
        if strange := sorted(used - set(names)):
            raise ValueError(f"uses {{{strange[0]}}}; it may use {', '.join(f'{{{name}}}' for name in names)}")
        return template

    return AfterValidator(check)


class StepSpec(Spec):
    """One step of a chain, as physics asks for it."""

    kind: Literal["SIM", "RECO"]
    script: str = Field(pattern=r"^[A-Za-z0-9_.\-]+$", description="macro, in the folder the software table gives")
    processing_type: str = Field(description="PanDA's processingType: simul, reco")
    outputs: tuple[str, ...] = Field(min_length=1, description="data types a job writes, besides the log")
    inputs: tuple[str, ...] = Field(default=(), description="data types of the step before, one file of each a job")
    walltime_s: int = Field(gt=0, description="walltime asked for one job [s]")
    ram_mb: int = Field(gt=0, description="memory asked for one core [MB]")
    cores: int = Field(default=1, gt=0)
    max_attempts: int = Field(default=3, gt=0, description="attempts PanDA makes at one job")
    bytes_per_event: int = Field(gt=0, description="size of one event in all outputs, for the plan [byte]")
    cpu_s_per_event: float = Field(gt=0, description="for the plan [s]")


class ChainSpec(Spec):
    """The steps of a request, in order."""

    name: str = Field(pattern=r"^[A-Z0-9]+(-[A-Z0-9]+)*$")
    layout: str = Field(pattern=r"^[a-z]+-\d+$", description="how building/ lays the chain out as a DAG")
    transform: str = Field(description="what a job runs (transPath)")
    reads: Literal["", "SIM"] = Field(
        default="", description="step of an earlier request whose files the first step reads; empty: it reads none"
    )
    steps: tuple[StepSpec, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _first_step_reads_what_the_chain_says(self) -> ChainSpec:
        first = self.steps[0]
        if first.inputs and not self.reads:
            raise ValueError(
                f"the first step {first.kind} has inputs, but nothing comes before it: say `reads: SIM` when it reads "
                "what an earlier request wrote"
            )
        if self.reads and (not first.inputs or self.reads in {step.kind for step in self.steps}):
            raise ValueError(
                f"it reads {self.reads}: its first step needs inputs, and no step of its own is {self.reads}"
            )
        return self

    @model_validator(mode="after")
    def _each_reads_the_one_before(self) -> ChainSpec:
        if len({step.kind for step in self.steps}) != len(self.steps):
            raise ValueError("a kind of step stands there twice")
        for before, step in zip(self.steps, self.steps[1:], strict=False):
            missing = set(step.inputs) - set(before.outputs)
            if missing or not step.inputs:
                given = ", ".join(before.outputs)
                raise ValueError(f"{step.kind} must read outputs of {before.kind} ({given}), not {sorted(missing)}")
        return self


class VersionSpec(Spec):
    """One version of a software."""

    image: str = Field(description="Apptainer image on CVMFS")
    script_version: str = Field(pattern=r"^V\d+$", description="current version of the production scripts")


class SoftwareSpec(Spec):
    """Where scripts and images of one software lie."""

    scripts: Annotated[str, _check_template("tag", "energy", "script_version", "variant")] = Field(
        description="folder; may use {tag} {energy} {script_version} {variant}"
    )
    versions: dict[str, VersionSpec]

    def script_folder(self, spec: RequestSpec) -> str:
        """Folder of the scripts of a request on CVMFS."""
        version = spec.script_version or self.version_of(spec).script_version
        variant = f"_{spec.variant}" if spec.variant else ""
        return self.scripts.format(
            tag=spec.tag, energy=energy_text(spec.energy_gev), script_version=version, variant=variant
        )

    def version_of(self, spec: RequestSpec) -> VersionSpec:
        """The row of the request's version; SpecInvalid when the table lacks it."""
        try:
            return self.versions[spec.version]
        except KeyError:
            known = ", ".join(sorted(self.versions))
            raise SpecInvalid(
                f"{spec.request_id}.version",
                f"{spec.software} {spec.version} is not in the software table",
                f"known: {known}; or add it to include/specs/software.yaml",
            ) from None


class PartitionSpec(Spec):
    """Replication policy of the partitions whose name matches."""

    pattern: Pattern = Field(description="regular expression over the partition's name")
    rses: tuple[str, ...] = Field(min_length=1, description="where copies go; the first one serves the hand-over lists")
    copies: int = Field(gt=0)
    lifetime_days: int | None = Field(default=None, gt=0, description="None: kept")
    activity: str = Field(default="Production Output", description="Rucio's name of the traffic")

    @model_validator(mode="after")
    def _enough_storages(self) -> PartitionSpec:
        if self.copies > len(self.rses):
            raise ValueError(f"{self.copies} copies need as many storages, there are {len(self.rses)}")
        return self

    @property
    def rse_expression(self) -> str:
        """Rucio's expression for the storages."""
        return "|".join(self.rses)


class PartitionTable(Spec):
    """How campaign and stage give a partition, and what each partition's data are worth."""

    campaign_pattern: Pattern = Field(description="regular expression with a group `year`")
    template: Annotated[str, _check_template("year", "stage")] = Field(description="may use {year} {stage}")
    default_campaign: Annotated[str, _check_template("year")] = Field(
        description="campaign of a source that names none; may use {year} of the request id"
    )
    partitions: tuple[PartitionSpec, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _default_campaign_gives_a_partition(self) -> PartitionTable:
        example = self.default_campaign.format(year=2000)
        found = re.fullmatch(self.campaign_pattern, example)
        if not found or found.groupdict().get("year") != "2000":
            raise ValueError(f"campaign_pattern does not find the year in the default campaign {example!r}")
        return self

    def partition_of(self, spec: RequestSpec) -> str:
        """Partition of a request: the one it names, else what follows from campaign and stage."""
        return spec.partition or self.partition_for(spec.campaign, spec.stage, f"{spec.request_id}.campaign")

    def partition_for(self, campaign: str, stage: str, place: str = "campaign") -> str:
        """Partition that follows from campaign and stage; SpecInvalid, naming the place, when none does."""
        found = re.fullmatch(self.campaign_pattern, campaign)
        if not found:
            raise SpecInvalid(
                place,
                f"no partition follows from {campaign!r}",
                f"campaigns look like {self.default_campaign.format(year=2025)!r}; or name a partition",
            )
        return self.template.format(year=found["year"], stage=stage)

    def campaign_for(self, request_id: str) -> str:
        """Campaign of a source without one: ``SPD MC <year of the id>``."""
        return self.default_campaign.format(year=RequestId.parse(request_id).year)

    def policy_of(self, partition: str) -> PartitionSpec:
        """The first policy whose pattern matches; SpecInvalid when none does."""
        for policy in self.partitions:
            if re.fullmatch(policy.pattern, partition):
                return policy
        known = ", ".join(policy.pattern for policy in self.partitions)
        raise SpecInvalid("partition", f"{partition!r} has no policy", f"known patterns: {known}; see partitions.yaml")


class QueueSpec(Spec):
    """A PanDA queue and the storage its jobs write to."""

    name: str
    site: str
    rse: str
    slots: int = Field(gt=0, description="jobs at once")
    enabled: bool = Field(default=True, description="false: out of service, no request may be pinned to it")


class SiteTable(Spec):
    """Queues and storages."""

    queues: tuple[QueueSpec, ...] = Field(min_length=1)
    cloud: str
    rses: tuple[str, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _queues_write_somewhere(self) -> SiteTable:
        for queue in self.queues:
            if queue.rse not in self.rses:
                raise ValueError(
                    f"queue {queue.name} writes to {queue.rse}, which is not among the storages {self.rses}"
                )
        return self

    @property
    def in_service(self) -> tuple[QueueSpec, ...]:
        """Queues that may be used."""
        return tuple(queue for queue in self.queues if queue.enabled)


class TimesSpec(Spec):
    """Every number of seconds there is (DESIGN decision 12), of one deployment."""

    call_timeout_s: float = Field(
        gt=0, description="longest time for a whole answer of PanDA, IAM or Airflow; longest silence of Rucio"
    )
    stream_max_s: float = Field(
        default=600, gt=0, description="longest time for a whole answer of Rucio, which lists files line by line"
    )
    answer_max_s: float = Field(gt=0, description="a sent submission without answer is in doubt after this")
    doubt_max_s: float = Field(gt=0, description="an unseen submission is sent again after this")
    unseen_max_s: float = Field(gt=0, description="a submitted task may be unknown this long before somebody is asked")
    poll_s: float = Field(gt=0, description="between two looks at all waiting tasks")
    rule_poll_s: float = Field(gt=0, description="between two looks at replication rules")
    resume_min_s: float = Field(ge=0, description="earliest resumption of a deferred wait: Airflow must have heard")
    wait_max_s: float = Field(gt=0, description="longest wait of one try before a person is asked")
    outage_first_s: float = Field(
        default=10, gt=0, description="first wait for a service that is away; then it doubles"
    )
    outage_longest_s: float = Field(
        default=300, gt=0, description="longest of these waits before it is looked at again"
    )
    dag_visible_max_s: float = Field(gt=0, description="until Airflow must show a published DAG")
    modified_window_s: float = Field(gt=0, description="how far back tasks are asked for: JEDI dates them an hour back")
    finality_gap_s: float = Field(gt=0, description="between the two readings that make a final status final")
    mark_stands_s: float = Field(
        ge=0, description="age at which a person's `failed` in Airflow counts: who erred takes it back before"
    )
    job_files_kept_s: float = Field(gt=0, description="PanDA keeps files and parameters of ended jobs this long")
    jobs_kept_s: float = Field(gt=0, description="PanDA keeps ended jobs this long; later a person is asked about them")
    kill_again_s: float = Field(
        default=120, gt=0, description="a kill that PanDA took and that shows no effect is sent again after this"
    )
    token_margin_s: float = Field(gt=0, description="a token this close to its end is renewed")
    intake_rest_s: float = Field(
        default=120, gt=0, description="a file in the intake folder is taken when nobody has written to it for so long"
    )

    @model_validator(mode="after")
    def _answers_come_within_their_call(self) -> TimesSpec:
        if not self.call_timeout_s < self.answer_max_s < self.doubt_max_s:
            raise ValueError(
                f"call_timeout_s < answer_max_s < doubt_max_s must hold, not "
                f"{self.call_timeout_s:g}, {self.answer_max_s:g}, {self.doubt_max_s:g}: a call that may still be "
                "answered is not in doubt, and one in doubt is not sent again at once"
            )
        return self


class ProfileSpec(Spec):
    """Settings of one experiment's deployment."""

    name: str
    vo: str
    role: str = Field(description="PanDA role that makes a task a production")
    origin_separator: Literal[".", ":"] = Field(description="between VO and role in the Origin header")
    production_group: str = Field(description="group that gives the role")
    groups_claim: str = Field(description="claim of the token that lists groups")
    panda_audience: str
    rucio_audience: str
    architecture: str = ""
    token: str = Field(default="EOS", description="space token of output templates")
    event_argument: bool = Field(
        default=True, description="False: server too old for ${IN/M[...]}; the script computes it"
    )
    speed: float = Field(
        default=1.0, gt=0, description="how many times faster than a real server; 1 outside the sandbox"
    )
    answer_max_bytes: int = Field(default=268_435_456, gt=0, description="largest answer of PanDA, Rucio or Airflow")
    times: TimesSpec

    @property
    def origin(self) -> str:
        """The Origin header: ``spd.production``."""
        return f"{self.vo}{self.origin_separator}{self.role}"


class Catalogue(Spec):
    """All specs of a deployment, read together."""

    chains: dict[str, ChainSpec]
    software: dict[str, SoftwareSpec]
    partitions: PartitionTable
    sites: SiteTable
    policy: PolicySpec
    physics: PhysicsSpec
    profile: ProfileSpec
    faulty: dict[str, str] = Field(default_factory=dict, description="name of a chain that could not be read -> why")

    def chain_of(self, spec: RequestSpec) -> ChainSpec:
        """Chain of a request; SpecInvalid when the name is unknown or its file is faulty."""
        if spec.chain in self.faulty:
            raise SpecInvalid(f"{spec.request_id}.chain", f"{spec.chain} cannot be read", self.faulty[spec.chain])
        return _pick(self.chains, spec.chain, f"{spec.request_id}.chain", "chains")

    def software_of(self, spec: RequestSpec) -> SoftwareSpec:
        """Software of a request; SpecInvalid when the name is unknown."""
        return _pick(self.software, spec.software, f"{spec.request_id}.software", "software")


def _pick(table: dict[str, T], name: str, place: str, what: str) -> T:
    try:
        return table[name]
    except KeyError:
        raise SpecInvalid(place, f"no {what} named {name!r}", f"known: {', '.join(sorted(table))}") from None
