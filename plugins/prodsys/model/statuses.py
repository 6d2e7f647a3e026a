"""Every status vocabulary, each an enum with a home for the unheard-of. No status string is compared elsewhere."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class TaskStatus(StrEnum):
    """A JEDI task status, spelled as PanDA spells it. Source: panda-server 1.0.4."""

    REGISTERED = "registered"
    DEFINED = "defined"
    ASSIGNING = "assigning"
    STAGED = "staged"
    STAGING = "staging"
    READY = "ready"
    PENDING = "pending"
    SCOUTING = "scouting"
    SCOUTED = "scouted"
    RUNNING = "running"
    PREPARED = "prepared"
    THROTTLED = "throttled"
    PAUSED = "paused"
    TORETRY = "toretry"
    TOINCEXEC = "toincexec"
    REREFINE = "rerefine"
    TOREASSIGN = "toreassign"
    REASSIGNING = "reassigning"
    TOPREPROCESS = "topreprocess"
    PREPROCESSING = "preprocessing"
    MERGING = "merging"
    FINISHING = "finishing"
    PASSED = "passed"
    ABORTING = "aborting"
    TOABORT = "toabort"
    TOBROKEN = "tobroken"
    DONE = "done"  # all input processed
    FINISHED = "finished"  # only PART of it: never take this for success
    FAILED = "failed"
    BROKEN = "broken"
    ABORTED = "aborted"
    EXHAUSTED = "exhausted"  # waits for a person
    UNSEEN = "unseen"  # ours: submitted, not refined yet, so PanDA does not show it
    UNKNOWN = "unknown"  # a word we have not met: keep waiting, warn

    @classmethod
    def _missing_(cls, value: object) -> Self:  # noqa: ARG003
        return cls.UNKNOWN


FINAL = frozenset(
    {
        TaskStatus.DONE,
        TaskStatus.FINISHED,
        TaskStatus.FAILED,
        TaskStatus.BROKEN,
        TaskStatus.ABORTED,
        TaskStatus.EXHAUSTED,
    }
)
WITH_OUTPUT = frozenset({TaskStatus.DONE, TaskStatus.FINISHED})  # something to settle
DEAD = frozenset(  # never to run again: ended, or about to
    {TaskStatus.TOABORT, TaskStatus.ABORTING, TaskStatus.ABORTED, TaskStatus.TOBROKEN, TaskStatus.BROKEN}
)
ON_THE_WAY_OUT = frozenset(  # a kill was taken, or the end is being written: another kill is refused
    {TaskStatus.ABORTING, TaskStatus.TOABORT, TaskStatus.TOBROKEN, TaskStatus.PASSED, TaskStatus.PREPARED}
)
NOT_KILLED_IN = FINAL | ON_THE_WAY_OUT
NOT_PAUSED_IN = NOT_KILLED_IN | {TaskStatus.PAUSED, TaskStatus.FINISHING}  # PanDA would take it while aborting
UNREFINED = frozenset(  # PanDA shows no dataset: not yet, or never
    {TaskStatus.UNSEEN, TaskStatus.UNKNOWN, TaskStatus.REGISTERED, TaskStatus.TOBROKEN, TaskStatus.BROKEN}
)
RETRYABLE = frozenset({TaskStatus.FINISHED, TaskStatus.FAILED, TaskStatus.EXHAUSTED})


class JobStatus(StrEnum):
    """A PanDA job status. A job's ``finished`` IS success, unlike a task's."""

    PENDING = "pending"
    DEFINED = "defined"
    ASSIGNED = "assigned"
    WAITING = "waiting"
    THROTTLED = "throttled"
    ACTIVATED = "activated"
    SENT = "sent"
    STARTING = "starting"
    RUNNING = "running"
    HOLDING = "holding"
    MERGING = "merging"
    TRANSFERRING = "transferring"
    FINISHED = "finished"
    FAILED = "failed"
    CLOSED = "closed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"

    @classmethod
    def _missing_(cls, value: object) -> Self:  # noqa: ARG003
        return cls.UNKNOWN


JOB_FINAL = frozenset({JobStatus.FINISHED, JobStatus.FAILED, JobStatus.CLOSED, JobStatus.CANCELLED})


class RuleState(StrEnum):
    """State of a Rucio replication rule."""

    OK = "OK"
    REPLICATING = "REPLICATING"
    STUCK = "STUCK"
    SUSPENDED = "SUSPENDED"
    WAITING_APPROVAL = "WAITING_APPROVAL"
    INJECT = "INJECT"
    GONE = "GONE"  # ours: expired, denied or deleted
    EXPIRED = "EXPIRED"  # ours: its lifetime has passed as it was meant to; never asked for again
    UNKNOWN = "UNKNOWN"

    @classmethod
    def _missing_(cls, value: object) -> Self:  # noqa: ARG003
        return cls.UNKNOWN


class Severity(StrEnum):
    """How much a finding matters."""

    NOTE = "note"  # nothing is lost
    WARNING = "warning"  # something will be lost, or works other than it should
    ERROR = "error"  # something is lost or damaged


class RecordedStatus(StrEnum):
    """What the experiment's own book says about a request."""

    DRAFT = "draft"
    READY = "ready"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"


class RequestState(StrEnum):
    """State of a request in the ledger, the truth."""

    DRAFT = "draft"
    CHECKED = "checked"  # against specs, history and the services it needs
    PLANNED = "planned"
    APPROVED = "approved"  # published, not launched
    DELAYED = "delayed"  # launched for a later time
    READY = "ready"  # launched, waits for its run
    RUNNING = "running"
    PAUSED = "paused"  # its PanDA tasks and its run rest together
    CLOSING = "closing"
    COMPLETE = "complete"
    ACCEPTED = "accepted"  # partial, by policy or person
    FAILED = "failed"
    ABORTED = "aborted"
    ARCHIVED = "archived"
    DELETED = "deleted"  # a draft that nobody wants: lists show it when they are asked for it, its id stays taken
    RECORDED = "recorded"  # history: done or running elsewhere


STATE_OF_RECORD = {  # what a recorded status becomes in the ledger; a sheet's Ready is never the ledger's ready
    RecordedStatus.DRAFT: RequestState.DRAFT,
    RecordedStatus.READY: RequestState.DRAFT,
    RecordedStatus.RUNNING: RequestState.RECORDED,
    RecordedStatus.DONE: RequestState.RECORDED,
    RecordedStatus.CANCELLED: RequestState.RECORDED,
}
DELIVERED = frozenset({RequestState.COMPLETE, RequestState.ACCEPTED})
DRIVEN = frozenset({RequestState.RUNNING, RequestState.PAUSED, RequestState.CLOSING})


class IntentState(StrEnum):
    """How far the submission of one task has come (DESIGN decision 5)."""

    INTENDED = "intended"
    SENDING = "sending"
    IN_DOUBT = "in doubt"
    RECORDED = "recorded"  # PanDA gave an id; provisional until JEDI has refined the task
    CONFIRMED = "confirmed"  # refined: the stored map is ours
    SPENT = "spent"  # ended without a usable task; the name is used for ever


class Verdict(StrEnum):
    """What we conclude about a step."""

    FULL = "full"
    PARTIAL = "accepted partial"
    MISPAIRED = "mispaired"
    FAILED = "failed"


GOOD = frozenset({Verdict.FULL, Verdict.PARTIAL})


class ReuseKind(StrEnum):
    """Why seeds that have an owner are used again, on purpose."""

    HISTORY = "history"
    PILOT_OF = "pilot_of"
    SUPERSEDES = "supersedes"
    COMPARE = "compare"
    RECONSTRUCTS = "reconstructs"  # it reads the very files; said by plan, never by people


class EventSource(StrEnum):
    """Where a number of events comes from."""

    COUNTED = "counted"  # the ROOT file was opened
    JOB_REPORT = "job report"
    ASSUMED = "assumed"  # seeds x events per file
