"""The certificate of a request: what was asked, what came, where it lies. One JSON file with a generated schema."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from prodsys.model.statuses import EventSource, ReuseKind, Verdict


class Part(BaseModel):
    """Base: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class CertifiedTask(Part):
    """One PanDA task that worked for the request."""

    step: str
    bunch: int | None = None
    attempt: int
    task_name: str
    jedi_task_id: int
    status: str
    jobs: int = Field(description="attempts of jobs, all of them")
    url: str


class CertifiedFile(Part):
    """One file."""

    lfn: str
    seed: int
    bytes: int
    adler32: str
    events: int
    events_source: EventSource


class CertifiedDataset(Part):
    """One dataset, with its files in the order of seeds."""

    did: str
    step: str
    data_type: str
    files: tuple[CertifiedFile, ...]
    events: int
    bytes: int
    replicas: dict[str, int] = Field(description="storage -> available files")


class CertifiedInput(Part):
    """One dataset of an earlier request that was read."""

    did: str
    step: str
    data_type: str
    request_id: str | None = Field(description="that wrote it; None: no request of this ledger")
    files: int = Field(description="that it holds")
    files_read: int
    bytes_read: int
    seeds_from: str = Field(description="how the seeds of its files are known; an assumption is called one")


class CertifiedRule(Part):
    """One replication rule."""

    rule_id: str
    did: str
    rse_expression: str
    copies: int
    lifetime_days: int | None
    state: str
    locks_ok: int


class MissingSeed(Part):
    """A seed that was asked for and did not come."""

    seed: int
    step: str
    reason: str
    waived: str = Field(default="", description="why nobody waits for it any more")


class ReusedSeeds(Part):
    """Seeds of this sample that another request of the same configuration owns: never add the two samples together."""

    first: int
    last: int
    owner: str
    kind: ReuseKind
    reason: str


class CertifiedStep(Part):
    """The verdict about one step."""

    step: str
    bunch: int | None = None
    verdict: Verdict
    script: str
    image: str
    seeds_asked: int
    seeds_delivered: int
    seeds_waived: int = Field(description="asked = delivered + waived in a certificate")
    rounds: int = Field(description="of recovery")
    core_s: float | None = Field(default=None, description="CPU time of all its jobs [s]; None: not reported")
    events: int
    events_counted_in: int = Field(description="files that were opened and counted")
    notes: tuple[str, ...] = ()


class Certificate(Part):
    """Everything a physicist or an auditor needs to trust, or not to trust, the sample."""

    format: str = "prodsys-certificate-1"
    request_id: str
    certificate_revision: int
    request_revision: int
    plan_digest: str
    configuration_digest: str
    verdict: Verdict
    software: str
    version: str
    tag: str
    stage: str
    collision: str
    energy_gev: float
    polarization: str
    geometry: str
    campaign: str
    partition: str
    events_per_seed: int
    seeds_asked: str
    seeds_delivered: str
    seeds_missing: tuple[MissingSeed, ...]
    seeds_reused: tuple[ReusedSeeds, ...]
    events_asked: int
    events_delivered: int
    bytes_delivered: int
    steps: tuple[CertifiedStep, ...]
    tasks: tuple[CertifiedTask, ...]
    inputs: tuple[CertifiedInput, ...] = Field(default=(), description="of earlier requests; none where SIM ran")
    datasets: tuple[CertifiedDataset, ...]
    containers: tuple[str, ...]
    rules: tuple[CertifiedRule, ...]
    requested_by: str
    planned_by: str
    approved_by: str
    seconded_by: str = Field(default="", description="second person, where the size asks for one")
    approved_at: datetime
    launched_at: datetime
    closed_at: datetime
    dag_id: str
    dag_run_id: str
