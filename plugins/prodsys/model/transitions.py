"""The table of transitions of a request: from which state, by which action, to which state, with which permission.

Anything that is not in the table is refused, with the acts that are possible. Airflow's state never decides.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from prodsys.model.statuses import RequestState as State


class Permission(StrEnum):
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


class Action(StrEnum):
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
class Transition:
    """One line of the table; `right` None: it follows from another act, nobody asks for it by itself."""

    act: Action
    sources: frozenset[State]
    target: State
    right: Permission | None = None


def _move(act: Action, sources: Collection[State], target: State, right: Permission | None = None) -> Transition:
    return Transition(act, frozenset(sources), target, right)


_OPEN = (State.DRAFT, State.CHECKED, State.PLANNED)
_LAUNCHED = (State.DELAYED, State.READY)
_DELIVERED = (State.COMPLETE, State.ACCEPTED)

MOVES: tuple[Transition, ...] = (
    _move(Action.REVISE, (*_OPEN, State.RECORDED), State.DRAFT),
    _move(Action.RECORD, (*_OPEN, State.RECORDED), State.RECORDED),
    _move(Action.CHECK, (State.DRAFT, State.CHECKED), State.CHECKED, Permission.PLAN),
    _move(Action.FAULT, (State.CHECKED,), State.DRAFT),
    _move(Action.PLAN, _OPEN, State.PLANNED, Permission.PLAN),
    _move(Action.APPROVE, (State.PLANNED,), State.APPROVED, Permission.APPROVE),
    _move(Action.REJECT, (State.PLANNED,), State.CHECKED, Permission.APPROVE),
    _move(Action.WITHDRAW, (State.APPROVED, *_LAUNCHED), State.PLANNED, Permission.APPROVE),
    _move(Action.DELAY, (State.APPROVED, *_LAUNCHED), State.DELAYED, Permission.LAUNCH),
    _move(Action.LAUNCH, (State.APPROVED, State.DELAYED), State.READY, Permission.LAUNCH),
    _move(Action.DRIVE, (State.READY, State.FAILED), State.RUNNING),
    _move(Action.PAUSE, (State.RUNNING,), State.PAUSED, Permission.CONTROL),
    _move(Action.RESUME, (State.PAUSED,), State.RUNNING, Permission.CONTROL),
    _move(Action.CLOSE, (State.RUNNING,), State.CLOSING),
    _move(Action.COMPLETE, (State.CLOSING,), State.COMPLETE),
    _move(Action.COMPLETE_PARTLY, (State.CLOSING,), State.ACCEPTED),
    _move(Action.FAIL, (State.RUNNING, State.PAUSED, State.CLOSING), State.FAILED),
    _move(Action.RETRY, (State.FAILED,), State.READY, Permission.REPAIR),
    _move(Action.RECOVER, (State.FAILED, State.ACCEPTED), State.READY, Permission.REPAIR),
    _move(Action.ACCEPT, (State.FAILED,), State.READY, Permission.ACCEPT),
    _move(Action.REOPEN, _DELIVERED, State.READY, Permission.REPAIR),
    _move(Action.ADOPT, (State.RECORDED, State.APPROVED, State.DELAYED), State.READY, Permission.ADOPT),
    _move(
        Action.ABORT,
        (*_OPEN, State.APPROVED, *_LAUNCHED, State.RUNNING, State.PAUSED, State.CLOSING, State.FAILED),
        State.ABORTED,
        Permission.ABORT,
    ),
    _move(Action.DELETE, _OPEN, State.DELETED, Permission.CREATE),
    _move(
        Action.ARCHIVE,
        (*_DELIVERED, State.FAILED, State.ABORTED, State.DELETED, State.RECORDED),
        State.ARCHIVED,
        Permission.ARCHIVE,
    ),
)


def find_move(state: State, act: Action) -> Transition | None:
    """The line of the table for this act in this state, or None when it is refused."""
    return next((move for move in MOVES if move.act is act and state in move.sources), None)


def possible_acts(state: State) -> tuple[Action, ...]:
    """Acts that people may do in this state, in the order of the table."""
    return tuple(move.act for move in MOVES if state in move.sources and move.right is not None)
