"""The table of allowed moves of a request: from which state, by which act, to which state, and with which right.

Anything that is not in the table is refused, with the acts that are possible. Airflow's state never decides.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from prodsys.model.statuses import RequestState as State


class Right(StrEnum):
    """What a role may be allowed to do; ``policy.yaml`` says which roles are."""

    CREATE = "create"  # write, edit, delete a draft, clone, extend, trial, reuse of seeds
    PLAN = "plan"  # and check
    APPROVE = "approve"
    LAUNCH = "launch"
    CONTROL = "control"  # pause, resume, finish, priority
    REPAIR = "repair"  # retry, recover, settle again
    ACCEPT = "accept"  # a partial result; the answer to a question
    ADOPT = "adopt"  # a task made elsewhere
    ABORT = "abort"
    ARCHIVE = "archive"


class Act(StrEnum):
    """What is done to a request, in the words of the audit log."""

    REVISE = "revise"  # something else is asked for: it is a draft again
    RECORD = "record"  # a file says that it was done, or runs, elsewhere
    CHECK = "check"
    FAULT = "find fault"  # checked again, it is not in order any more
    PLAN = "plan"
    APPROVE = "approve"
    REJECT = "reject"  # the plan
    WITHDRAW = "withdraw"  # the approval
    DELAY = "delay"  # launch at a time
    LAUNCH = "launch"
    DRIVE = "drive"  # a run takes it up
    PAUSE = "pause"
    RESUME = "resume"
    CLOSE = "close"  # all steps are settled
    COMPLETE = "complete"
    COMPLETE_PARTLY = "complete partly"
    FAIL = "fail"
    RETRY = "retry"  # another run goes on where the ledger stands
    RECOVER = "recover"  # what is missing is run again
    ACCEPT = "accept"  # what is missing is waived
    REOPEN = "settle again"  # a task moved after the request was closed
    ADOPT = "adopt"
    ABORT = "abort"
    DELETE = "delete"  # what is not approved
    ARCHIVE = "archive"


@dataclass(frozen=True)
class Move:
    """One line of the table; `right` None: it follows from another act, nobody asks for it by itself."""

    act: Act
    sources: frozenset[State]
    target: State
    right: Right | None = None


def _move(act: Act, sources: Collection[State], target: State, right: Right | None = None) -> Move:
    return Move(act, frozenset(sources), target, right)


_OPEN = (State.DRAFT, State.CHECKED, State.PLANNED)
_LAUNCHED = (State.DELAYED, State.READY)
_DELIVERED = (State.COMPLETE, State.ACCEPTED)

MOVES: tuple[Move, ...] = (
    _move(Act.REVISE, (*_OPEN, State.RECORDED), State.DRAFT),
    _move(Act.RECORD, (*_OPEN, State.RECORDED), State.RECORDED),
    _move(Act.CHECK, (State.DRAFT, State.CHECKED), State.CHECKED, Right.PLAN),
    _move(Act.FAULT, (State.CHECKED,), State.DRAFT),
    _move(Act.PLAN, _OPEN, State.PLANNED, Right.PLAN),
    _move(Act.APPROVE, (State.PLANNED,), State.APPROVED, Right.APPROVE),
    _move(Act.REJECT, (State.PLANNED,), State.CHECKED, Right.APPROVE),
    _move(Act.WITHDRAW, (State.APPROVED, *_LAUNCHED), State.PLANNED, Right.APPROVE),
    _move(Act.DELAY, (State.APPROVED, *_LAUNCHED), State.DELAYED, Right.LAUNCH),
    _move(Act.LAUNCH, (State.APPROVED, State.DELAYED), State.READY, Right.LAUNCH),
    _move(Act.DRIVE, (State.READY, State.FAILED), State.RUNNING),
    _move(Act.PAUSE, (State.RUNNING,), State.PAUSED, Right.CONTROL),
    _move(Act.RESUME, (State.PAUSED,), State.RUNNING, Right.CONTROL),
    _move(Act.CLOSE, (State.RUNNING,), State.CLOSING),
    _move(Act.COMPLETE, (State.CLOSING,), State.COMPLETE),
    _move(Act.COMPLETE_PARTLY, (State.CLOSING,), State.ACCEPTED),
    _move(Act.FAIL, (State.RUNNING, State.PAUSED, State.CLOSING), State.FAILED),
    _move(Act.RETRY, (State.FAILED,), State.READY, Right.REPAIR),
    _move(Act.RECOVER, (State.FAILED, State.ACCEPTED), State.READY, Right.REPAIR),
    _move(Act.ACCEPT, (State.FAILED,), State.READY, Right.ACCEPT),
    _move(Act.REOPEN, _DELIVERED, State.READY, Right.REPAIR),
    _move(Act.ADOPT, (State.RECORDED, State.APPROVED, State.DELAYED), State.READY, Right.ADOPT),
    _move(
        Act.ABORT,
        (*_OPEN, State.APPROVED, *_LAUNCHED, State.RUNNING, State.PAUSED, State.CLOSING, State.FAILED),
        State.ABORTED,
        Right.ABORT,
    ),
    _move(Act.DELETE, _OPEN, State.DELETED, Right.CREATE),
    _move(
        Act.ARCHIVE,
        (*_DELIVERED, State.FAILED, State.ABORTED, State.DELETED, State.RECORDED),
        State.ARCHIVED,
        Right.ARCHIVE,
    ),
)


def find_move(state: State, act: Act) -> Move | None:
    """The line of the table for this act in this state, or None when it is refused."""
    return next((move for move in MOVES if move.act is act and state in move.sources), None)


def possible_acts(state: State) -> tuple[Act, ...]:
    """Acts that people may do in this state, in the order of the table."""
    return tuple(move.act for move in MOVES if state in move.sources and move.right is not None)
