"""The table of transitions: every state can be reached, and left for the archive; what is not in it is refused."""

from __future__ import annotations

import pytest

from prodsys.model.statuses import DELIVERED, DRIVEN, RequestState
from prodsys.model.transitions import MOVES, Action, Permission, find_move, possible_acts

STARTS = {RequestState.DRAFT, RequestState.RECORDED}


def _reached_from(starts: set[RequestState]) -> set[RequestState]:
    reached = set(starts)
    while more := {move.target for move in MOVES if move.sources & reached} - reached:
        reached |= more
    return reached


def test_every_state_can_be_reached_and_ends_in_the_archive() -> None:
    assert _reached_from(STARTS) == set(RequestState)
    assert all(RequestState.ARCHIVED in _reached_from({state}) for state in RequestState)
    assert not any(RequestState.ARCHIVED in move.sources for move in MOVES)
    assert not DELIVERED & DRIVEN


def test_an_act_means_one_thing_in_a_state() -> None:
    pairs = [(state, move.act) for move in MOVES for state in move.sources]
    assert len(pairs) == len(set(pairs))
    assert {move.act for move in MOVES} == set(Action)


def test_nothing_runs_that_was_not_approved_and_launched() -> None:
    into_ready = {state for move in MOVES if move.target is RequestState.READY for state in move.sources}
    again = {RequestState.FAILED, RequestState.COMPLETE, RequestState.ACCEPTED}  # approved and launched before
    assert into_ready == {RequestState.APPROVED, RequestState.DELAYED, RequestState.RECORDED} | again
    into_approved = {state for move in MOVES if move.target is RequestState.APPROVED for state in move.sources}
    assert into_approved == {RequestState.PLANNED}
    assert find_move(RequestState.RECORDED, Action.PLAN) is None
    assert find_move(RequestState.RECORDED, Action.LAUNCH) is None


@pytest.mark.parametrize("state", list(RequestState))
def test_what_people_may_do_is_named(state: RequestState) -> None:
    acts = possible_acts(state)
    assert bool(acts) == (state is not RequestState.ARCHIVED)
    for act in acts:
        move = find_move(state, act)
        assert move is not None
        assert isinstance(move.right, Permission)


def test_the_machinery_alone_closes_and_fails() -> None:
    machine = {move.act for move in MOVES if move.right is None}
    machine -= {Action.REVISE, Action.RECORD}  # what importing and editing do to the state
    assert machine == {Action.FAULT, Action.DRIVE, Action.CLOSE, Action.COMPLETE, Action.COMPLETE_PARTLY, Action.FAIL}
