"""What the API shows: models of its own, with units; never a row of the ledger."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from prodsys.model.statuses import Severity

DIGEST = "sha256:9f2c1f0a4be6a3f0d6c2a5b1e8d7c6b5a4938271605f4e3d2c1b0a9f8e7d6c5b"
TASK = "PROD2025-016.SIM"
DID = "MC2025_S2:MC2025_S2.minbias-P8-spdroot4172-dev.27GeV-UU.PROD2025-016.SIM.1.S"
REQUEST = "PROD2025-016"


class View(BaseModel):
    """Base of everything that is shown."""

    model_config = ConfigDict(frozen=True)


class Me(View):
    """Who the server takes you for."""

    name: str = Field(examples=["manager"])
    airflow_roles: list[str] = Field(description="roles at Airflow", examples=[["ProductionManager"]])
    roles: list[str] = Field(description="roles here, by policy.yaml; none: you may only look", examples=[["manager"]])
    rights: list[str] = Field(description="what these roles may do", examples=[["create", "plan", "approve"]])


class RequestLine(View):
    """A request in a list."""

    request_id: str = Field(examples=[REQUEST])
    state: str = Field(description="state in the ledger", examples=["running"])
    reason: str = Field(description="why it is in this state, for people; data, never HTML")
    recorded_status: str = Field(description="what the experiment's own book says", examples=["draft"])
    campaign: str = Field(examples=["SPD MC 2025"])
    priority: int = Field(description="PanDA task priority, 1 to 1000", examples=[900])
    revision: int = Field(description="of what is asked for", examples=[1])
    requester: str
    cloned_from: str | None
    extends: str | None = Field(description="request whose configuration it carries on with the next seeds")
    trial_of: str | None = Field(description="request it was a trial for")
    template: str | None = Field(description="template of a recurring request")
    tag: str = Field(examples=["minbias-P8-spdroot4172-dev"])
    seeds: str = Field(examples=["40001-50000"])
    events: int = Field(description="events asked for", examples=[40_000_000])
    events_per_file: int = Field(examples=[4000])
    chain: str = Field(examples=["SIM-RECO"])
    labels: list[str]
    configuration: str = Field(description="digest of what makes events equal", examples=[DIGEST])
    created_at: datetime
    changed_at: datetime
    not_before: datetime | None = Field(description="a delayed launch waits for this time")
    launched_at: datetime | None
    closed_at: datetime | None


class PlanOfRequest(View):
    """The newest plan of a request's revision, and who approved it."""

    digest: str = Field(description="approve this one", examples=[DIGEST])
    planned_by: str
    planned_at: datetime
    approved_by: str | None
    approved_at: datetime | None
    seconded_by: str | None = Field(description="second person, above the size that policy.yaml names")
    seconded_at: datetime | None


class RequestPicture(View):
    """A request as its decisions depend on it. Its ETag changes exactly when something here does."""

    request_id: str = Field(examples=[REQUEST])
    state: str = Field(examples=["planned"])
    reason: str = Field(description="why it is in this state, for people; data, never HTML")
    acts: list[str] = Field(description="acts that the state allows", examples=[["plan", "approve", "abort"]])
    recorded_status: str
    campaign: str
    priority: int = Field(description="PanDA task priority, 1 to 1000")
    revision: int
    requester: str
    cloned_from: str | None
    extends: str | None
    trial_of: str | None
    template: str | None
    interval_start: datetime | None = Field(description="start of the interval a recurring request stands for")
    runs: int = Field(description="times it was started, this one included")
    created_at: datetime
    changed_at: datetime
    not_before: datetime | None = Field(description="a delayed launch waits for this time")
    launched_at: datetime | None
    closed_at: datetime | None
    configuration: str = Field(description="digest of what makes events equal", examples=[DIGEST])
    spec: dict[str, Any] = Field(description="what is asked for")  # as stored: rules of today are not those of then
    source: dict[str, Any] = Field(description="where it was read: file, row, notes")
    plan: PlanOfRequest | None
    certificate_revision: int | None = Field(description="newest certificate: GET /certificates/{request_id}")
    open_questions: list[int] = Field(description="questions that wait for a person: GET /questions/{question_id}")


class Step(View):
    """One step of a request, of one bunch where it has bunches, and the verdict about it."""

    step: str = Field(examples=["SIM"])
    bunch: int | None
    verdict: str | None = Field(
        description="full, accepted partial, mispaired or failed; null until settled", examples=["full"]
    )
    asked: int = Field(description="seeds; asked = delivered + missing + waived; 0 until settled")
    delivered: int
    missing: int
    waived: int = Field(description="not waited for any more")
    lost_before: int = Field(description="of missing and waived: those that an earlier step lost")
    events: int | None = Field(description="events delivered")
    counted_files: int = Field(description="files that were opened and whose events were counted")
    rounds: int = Field(description="rounds of recovery done")
    waived_by: str = Field(description="who took what is missing, and why")
    notes: list[str]
    settled_at: datetime | None
    data_ready_at: datetime | None


class Outcome(View):
    """What one seed brought in one step."""

    step: str
    bunch: int | None
    seed: int
    state: str = Field(description="delivered, or why not", examples=["missing"])
    reason: str = Field(description="last error, for people; data, never HTML")
    lost_in: str = Field(description="step that lost it; empty when it was delivered")
    waived: str = Field(description="why it is not waited for any more; empty when it is")
    panda_job_id: int | None
    site: str
    events: int
    events_source: str = Field(description="counted in the file, from the job's report, or assumed")


class Run(View):
    """An Airflow run of a request."""

    dag_id: str
    dag_run_id: str
    revision: int
    driving: bool = Field(description="false: it has ended, or was turned away")
    airflow_state: str
    note: str
    entered_at: datetime


class PlanLine(View):
    """A plan in a list."""

    request_id: str
    digest: str = Field(examples=[DIGEST])
    revision: int
    planned_by: str
    planned_at: datetime
    approved_by: str | None
    approved_at: datetime | None
    seconded_by: str | None
    seconded_at: datetime | None
    events: int
    volume_bytes: int = Field(description="of one copy, logs not counted [bytes]")
    volume_with_copies_bytes: int = Field(description="of all copies [bytes]")
    core_hours: float = Field(description="by the figures of the specs [core hours]")
    warnings: list[str] = Field(description="what whoever approves it should know")


class PlanPicture(PlanLine):
    """A plan with everything it means: tasks, names, rules."""

    body: dict[str, Any] = Field(description="the whole plan; its digest is of exactly this")
    estimate: dict[str, Any] = Field(
        description="volume [bytes], core hours and duration [h] from comparable productions, each with its source; "
        "no part of the digest"
    )


class Task(View):
    """A PanDA task of a request, as the ledger saw it last."""

    request_id: str
    revision: int
    step: str
    bunch: int | None
    attempt: int
    task_name: str = Field(examples=[TASK])
    intent: str = Field(description="how far its submission has come", examples=["confirmed"])
    jedi_task_id: int | None = Field(examples=[364])
    parent_tid: int | None = Field(description="JEDI id of the task whose output it reads")
    status: str | None = Field(description="PanDA's word", examples=["running"])
    final: bool = Field(description="read twice as final")
    adopted: bool = Field(description="made elsewhere, and taken over")
    reason: str = Field(description="PanDA's words; data, never HTML")
    seeds: str
    jobs: int = Field(description="jobs PanDA made of it, all attempts; before it is settled, one for each seed")
    outputs: dict[str, list[str]] = Field(
        description="names of the datasets it fills by data type, as PanDA shows them; empty until it does"
    )
    retries: int = Field(description="PanDA's own, that we asked for")
    twins: list[int] = Field(description="JEDI ids of twins that were killed")
    sent_count: int
    first_sent_at: datetime | None
    status_at: datetime | None
    created_at: datetime
    url: str | None = Field(description="page of the task in PanDA's monitor")


class TaskPicture(Task):
    """A PanDA task with the map it was submitted with."""

    task_map: dict[str, Any]


class Claim(View):
    """Seeds and their first owner."""

    configuration: str = Field(examples=[DIGEST])
    request_id: str | None = Field(description="the first owner; null: they are kept for a template")
    template: str | None = Field(description="recurring template whose request is to come")
    seeds: str = Field(examples=["40001-50000"])
    state: str = Field(description="state of the owner; `reserved` for a template's")
    claimed_at: datetime


class SharedPair(View):
    """Two requests of one configuration that hold the same events."""

    a: str
    b: str
    seeds: str = Field(examples=["1-1250"])
    reuse: list[str] = Field(description="what was declared about it, in words; empty: nothing")


class SharedPairs(View):
    """All pairs that share seeds."""

    items: list[SharedPair]


class FreeSeeds(View):
    """Where free seeds of a configuration begin."""

    configuration: str
    next_free: int = Field(description="lowest free seed above the lowest in use, gaps included", examples=[50001])


class Rule(View):
    """A replication rule of a dataset."""

    rule_id: str
    rse_expression: str = Field(examples=["JINR_EOS|PNPI_EOS"])
    copies: int
    lifetime_days: int | None = Field(description="[days]; null: kept")
    length: int = Field(description="files it must cover")
    state: str = Field(examples=["OK"])
    locks_ok: int = Field(description="copies of files that are there")
    error: str
    checked_at: datetime


class Dataset(View):
    """A dataset or container, as it was read back from Rucio."""

    did: str = Field(examples=[DID])
    request_id: str
    kind: str = Field(description="dataset, input, step container or request container", examples=["dataset"])
    step: str | None
    data_type: str | None = Field(examples=["S"])
    files: int
    bytes: int = Field(description="size of one copy [bytes]")
    events: int
    closed: bool
    read_back_at: datetime


class DatasetPicture(Dataset):
    """A dataset with its replication rules."""

    rules: list[Rule]


class File(View):
    """A file, bound to its seed by its job."""

    lfn: str
    seed: int
    data_type: str
    panda_job_id: int
    bytes: int = Field(description="[bytes]")
    adler32: str
    events: int
    events_source: str


class AuditLine(View):
    """Who did what, when."""

    audit_id: int
    at: datetime
    who: str
    action: str = Field(examples=["approve"])
    request_id: str | None
    detail: dict[str, Any]


class CertificateLine(View):
    """A certificate in a list."""

    request_id: str
    certificate_revision: int
    digest: str
    path: str = Field(description="file on the server")
    issued_at: datetime
    verdict: str


class CertificatePicture(CertificateLine):
    """A certificate: what was asked, what came, where it lies."""

    body: dict[str, Any] = Field(description="the certificate itself, as in its file")


class Question(View):
    """A question to a person about a step that brought too little."""

    question_id: int
    request_id: str
    step: str
    bunch: int | None
    body: str = Field(description="the question in Markdown; data, never HTML")
    options: list[str] = Field(examples=[["accept", "recover again", "abort", "stop as failed"]])
    default: str = Field(description="answer that counts when nobody gave one until due_at")
    asked_at: datetime
    due_at: datetime
    answer: str | None = Field(description="null: it waits")
    answered_by: str | None
    answered_at: datetime | None
    reason: str


class Finding(View):
    """A disagreement between the ledger and another service; it waits until it is decided, or closed."""

    finding_id: int
    request_id: str = Field(description="empty: it is about no single request")
    look: str = Field(description="comparison that found it", examples=["rule expiry"])
    subject: str = Field(description="what it is about: a rule, a dataset, a plan, a task")
    severity: Severity
    what: str = Field(description="data, never HTML")
    cause: str
    advice: str
    first_seen: datetime
    last_seen: datetime
    decided_by: str | None = Field(description="null: nobody has decided")
    decided_at: datetime | None
    reason: str = Field(description="why it was decided")
    closed_at: datetime | None = Field(description="since then it is not seen any more")


class StepList(View):
    """Steps of a request."""

    items: list[Step]


class RunList(View):
    """Runs of a request."""

    items: list[Run]
