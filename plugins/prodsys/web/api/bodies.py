"""What acts are told, and what they answer."""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model

from prodsys.actions.runs.controlling import HIGHEST_PRIORITY, LOWEST_PRIORITY
from prodsys.model.names import canonical_id
from prodsys.model.policy import Answer as Options
from prodsys.model.request import RequestSpec, Seeds
from prodsys.model.statuses import ReuseKind
from prodsys.model.text import ID_LENGTH, PRINTED, REASON_LENGTH, REUSE_LENGTH
from prodsys.web.api.timestamps import SoonTimestamp
from prodsys.web.api.views import DIGEST, REQUEST, View

Answer = TypeVar("Answer", bound=BaseModel)


class Told(BaseModel):
    """Base of bodies: an unknown key is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Why = Annotated[str, Field(max_length=REASON_LENGTH, pattern=PRINTED, description="why, for whoever reads it later")]
Wait = Annotated[
    bool,
    Field(
        description="true: answer 202 with a `Location` to look at while the run is not started yet; false: 200 then, "
        "too. The dispatcher starts it; no call waits for that"
    ),
]
Id = Annotated[
    str,
    Field(max_length=ID_LENGTH, pattern=r"^[A-Z][A-Z0-9]*[0-9]{4}-[0-9]{3,40}$", examples=["PROD2026-001"]),
    AfterValidator(canonical_id),
]


class Nothing(Told):
    """Nothing to tell."""


_FIELDS: dict[str, Any] = {
    name: (Any, Field(default=None, description=info.description))
    for name, info in RequestSpec.model_fields.items()
    if name != "request_id"
}
Patch: type[Told] = create_model(
    "Patch",
    __base__=Told,
    __doc__="Fields to change, by the rules of a JSON merge patch; null sets one back to its default.",
    **_FIELDS,
)


class Reason(Told):
    """Why."""

    reason: Why = ""


class ReasonNeeded(Told):
    """Why; without it nothing is done."""

    reason: str = Field(
        min_length=1,
        max_length=REASON_LENGTH,
        pattern=PRINTED,
        description="why, for whoever reads it later",
        examples=["wrong field map"],
    )


class Approval(Told):
    """The plan that was looked at."""

    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$", description="of the plan you looked at", examples=[DIGEST])


class No(Told):
    """Why a plan is not approved, and which."""

    reason: str = Field(min_length=1, max_length=REASON_LENGTH, pattern=PRINTED, description="what has to change")
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$", description="of the plan you looked at", examples=[DIGEST])


class End(Told):
    """Why, and whether what it wrote goes too."""

    reason: str = Field(
        min_length=1,
        max_length=REASON_LENGTH,
        pattern=PRINTED,
        description="why, for whoever reads it later",
        examples=["wrong field map"],
    )
    clean: bool = Field(
        default=False, description="true: what it registered in Rucio expires within a day; a dry run lists it"
    )


class Launch(Told):
    """When."""

    not_before: SoonTimestamp | None = Field(
        default=None, description="start then, not now; at most a year ahead", examples=["2026-12-01T08:00:00Z"]
    )
    wait: Wait = False


class Priority(Told):
    """How urgent."""

    priority: int = Field(ge=LOWEST_PRIORITY, le=HIGHEST_PRIORITY, description="productions have 900", examples=[950])


QUEUE, RSE = r"^([A-Za-z0-9][A-Za-z0-9_.\-]{0,63})?$", r"^([A-Z0-9]+([_\-][A-Z0-9]+)*)?$"


class Clone(Told):
    """What the clone differs in; what is left out stays as it is."""

    request_id: Id | None = Field(default=None, description="id of the clone; default: the next free one")
    seeds: Seeds | None = Field(default=None, description="seeds by number; default: the next free ones")
    seed_count: int | None = Field(default=None, ge=1, le=10_000_000, description="how many seeds; default: as many")
    events_per_file: int | None = Field(default=None, ge=1, le=10**9, description="events a seed; default: as many")
    chain: str | None = Field(default=None, pattern=r"^[A-Z0-9\-]{1,64}$", examples=["SIM-RECO"])
    priority: int | None = Field(default=None, ge=LOWEST_PRIORITY, le=HIGHEST_PRIORITY)
    partition: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_]{0,24}$")
    bunches: int | None = Field(default=None, ge=1, le=500, description="pieces of seeds with tasks of their own")
    bunches_at_once: int | None = Field(default=None, ge=1, le=100, description="how many of them run at once")
    queue: str | None = Field(default=None, pattern=QUEUE, description="queue of all jobs; empty: PanDA chooses")
    rse: str | None = Field(
        default=None, pattern=RSE, description="storage of the outputs; empty: that of a job's queue"
    )


class Extension(Told):
    """A new request that follows from this one."""

    request_id: Id | None = Field(default=None, description="id of the new request; default: the next free one")
    seed_count: int | None = Field(default=None, ge=1, le=10_000_000, description="how many seeds; default: by rule")


class Answered(Told):
    """The answer to a question, and why."""

    answer: Options = Field(description="one of the question's options")
    reason: Why = ""


class Retry(Told):
    """How to start again."""

    wait: Wait = False


class Restart(Told):
    """How to start again, and why."""

    reason: Why = ""
    wait: Wait = False


class RestartWithReason(Told):
    """How to start again, and why; without it nothing is done."""

    reason: str = Field(min_length=1, max_length=REASON_LENGTH, pattern=PRINTED, description="why; it is kept for ever")
    wait: Wait = False


class Adoption(Told):
    """Which task, for which step."""

    step: str = Field(pattern=r"^[A-Z][A-Z0-9]{0,15}$", examples=["SIM"])
    jedi_task_id: int = Field(ge=1, le=2**63 - 1, examples=[364])


class Reuse(Told):
    """Whose seeds, and why."""

    owner: Id = Field(description="request that owns the seeds", examples=[REQUEST])
    kind: ReuseKind = Field(description="pilot_of, supersedes or compare")
    reason: str = Field(
        min_length=1, max_length=REUSE_LENGTH, pattern=PRINTED, description="it stands in the certificate"
    )


# --- answers -------------------------------------------------------------------------------------------------------
class Done(BaseModel, Generic[Answer]):
    """What an act did, or with `dry_run` would do."""

    act: str = Field(examples=["pause"])
    request_id: str = Field(
        description="request it was done to, or that it made; empty: it is about none", examples=[REQUEST]
    )
    state: str = Field(description="of this request now; after a dry run: as it would be", examples=["paused"])
    dry_run: bool
    would: list[str] = Field(
        description="a dry run: what other services would be told", examples=[["panda pause 364", "panda pause 365"]]
    )
    answer: Answer


class ToldTasks(View):
    """Which PanDA tasks took the command, and which did not, with PanDA's words."""

    tasks: list[int] = Field(description="JEDI ids", examples=[[364]])
    refused: dict[int, str] = Field(description="JEDI id -> why not; data, never HTML")
    message: str = Field(description="what was done, where that does not follow from the act", examples=[""])
    already: list[int] = Field(default=[], description="JEDI ids that needed no telling: they rest or end already")


class Ended(ToldTasks):
    """Which PanDA tasks were killed, and what expires."""

    expiring: list[str] = Field(description="DIDs that expire within a day", examples=[[]])


class Rejected(View):
    """A request whose plan was rejected."""

    reason: str = Field(description="who said no, and why")


class PlanChange(View):
    """One field that differs from the plan before."""

    field: str = Field(examples=["steps.SIM.queue"])
    before: str | None
    after: str | None


class Planned(View):
    """A plan to look at."""

    digest: str = Field(description="approve this one", examples=[DIGEST])
    warnings: list[str] = Field(description="what whoever approves it should know")
    changes: list[PlanChange] = Field(description="what differs from the plan before it")
    waits_for: str = Field(description="what an approval still lacks; empty: nothing")
    estimate: dict[str, Any] | None = Field(
        description="volume [bytes], core hours and duration [h] from comparable productions, each with its source"
    )
    plan: dict[str, Any] = Field(description="the whole plan")


class Launched(View):
    """What launching did."""

    started: bool = Field(description="false: it waits as ready or delayed, the dispatcher starts it")
    dag_id: str = Field(examples=["prod__PROD2025-016"])
    dag_run_id: str = Field(examples=["PROD2025-016-r1"])
    message: str


class Drafted(View):
    """The request as it stands now."""

    spec: RequestSpec
    notes: list[str] = Field(default=[], description="what it lacks, such as seeds that are taken")


class Change(View):
    """One field that differs from the original."""

    field: str = Field(examples=["seeds"])
    before: Any
    now: Any


class MadeOf(View):
    """A request that was made of another one."""

    spec: RequestSpec
    origin: str = Field(description="request it was made of", examples=[REQUEST])
    changes: list[Change]


class Tried(View):
    """A trial, and its plan."""

    trial: str = Field(description="id of the trial", examples=["TEST2026-001"])
    seeds: str = Field(examples=["1-3"])
    events: int
    plan: Planned | None = Field(description="null: it is past planning already")


class Finding(View):
    """Something about a request: a fault, or what is worth knowing."""

    place: str
    message: str
    remedy: str
    fault: bool


class Checked(View):
    """What a check found."""

    findings: list[Finding]


class AnswerTaken(View):
    """The question with its answer."""

    question_id: int
    answer: Options
    answered_by: str
    reason: str


class FindingTaken(View):
    """The finding with its decision."""

    finding_id: int
    what: str
    decided_by: str
    reason: str


class StartedAgain(View):
    """What was asked for again, and the run that does it."""

    message: str
    launch: Launched | None = Field(description="null: the run that waits for an answer goes on")


class Adopted(View):
    """What was linked, and in what it differs from what we would have submitted."""

    step: str
    jedi_task_id: int
    task_name: str
    attempt: int
    seeds: str
    differences: list[str] = Field(description="harmless ones; others are refused")
    new: bool = Field(description="false: it was linked before")


class SharedSeeds(View):
    """Seeds that are used again."""

    owner: str
    seeds: str = Field(examples=["1-1250"])


class Reused(View):
    """Which seeds are used again."""

    shared: list[SharedSeeds]
