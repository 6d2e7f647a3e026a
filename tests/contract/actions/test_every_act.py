"""Every act in every state that does not allow it: refused with what is possible, and nothing is changed or sent."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from prodsys.actions.closing.reopening import accept, recover, retry, settle_again
from prodsys.actions.core.context import Context
from prodsys.actions.core.dry_run import run_dry
from prodsys.actions.planning.approving import reject
from prodsys.actions.planning.checking import check
from prodsys.actions.planning.planning import approve, plan
from prodsys.actions.queries.showing import show_audit
from prodsys.actions.requests.deletion import delete
from prodsys.actions.runs.aborting import abort
from prodsys.actions.runs.controlling import archive, withdraw
from prodsys.actions.runs.launching import launch
from prodsys.actions.runs.pausing import pause, resume
from prodsys.actions.submission.adopting import adopt
from prodsys.errors import InvalidTransition
from prodsys.ledger.requests import get_request
from prodsys.ledger.session import transaction
from prodsys.model.statuses import RequestState
from prodsys.model.transitions import Action, find_move, possible_acts

REQUEST = "DEMO2025-016"
LATER = datetime.now(UTC) + timedelta(days=1)
ACTS: dict[Action, Callable[[Context], object]] = {
    Action.CHECK: lambda ctx: check(ctx, REQUEST),
    Action.PLAN: lambda ctx: plan(ctx, REQUEST),
    Action.APPROVE: lambda ctx: approve(ctx, REQUEST),
    Action.REJECT: lambda ctx: reject(ctx, REQUEST, "no"),
    Action.WITHDRAW: lambda ctx: withdraw(ctx, REQUEST, "no"),
    Action.DELAY: lambda ctx: launch(ctx, REQUEST, not_before=LATER),
    Action.LAUNCH: lambda ctx: launch(ctx, REQUEST, wait=False),
    Action.PAUSE: lambda ctx: pause(ctx, REQUEST),
    Action.RESUME: lambda ctx: resume(ctx, REQUEST),
    Action.RETRY: lambda ctx: retry(ctx, REQUEST, wait=False),
    Action.RECOVER: lambda ctx: recover(ctx, REQUEST, wait=False),
    Action.ACCEPT: lambda ctx: accept(ctx, REQUEST, "why", wait=False),
    Action.REOPEN: lambda ctx: settle_again(ctx, REQUEST, "why", wait=False),
    Action.ADOPT: lambda ctx: adopt(ctx, REQUEST, "SIM", 1),
    Action.ABORT: lambda ctx: abort(ctx, REQUEST, "why"),
    Action.DELETE: lambda ctx: delete(ctx, REQUEST),
    Action.ARCHIVE: lambda ctx: archive(ctx, REQUEST),
}
NO_ERROR = {  # what a person may have said a moment ago, or what moves nothing
    Action.CHECK: {RequestState.PLANNED},
    Action.APPROVE: {RequestState.APPROVED},
    Action.REJECT: {RequestState.CHECKED},
    Action.WITHDRAW: {RequestState.PLANNED},
    Action.LAUNCH: {
        RequestState.READY,
        RequestState.RUNNING,
        RequestState.PAUSED,
        RequestState.CLOSING,
        RequestState.COMPLETE,
        RequestState.ACCEPTED,
    },
    Action.PAUSE: {RequestState.PAUSED},
    Action.RESUME: {RequestState.RUNNING},
    Action.ABORT: {RequestState.ABORTED},
    Action.DELETE: {RequestState.DELETED},
    Action.ARCHIVE: {RequestState.ARCHIVED},
    Action.RECOVER: {RequestState.COMPLETE},  # nothing is missing, and that is said
    Action.ADOPT: {RequestState.READY, RequestState.RUNNING, RequestState.PAUSED, RequestState.FAILED},  # a later step
}


def test_the_table_knows_no_act_of_people_that_is_not_tried_here():
    assert set(ACTS) == {act for state in RequestState for act in possible_acts(state)}


@pytest.mark.parametrize("act", list(ACTS), ids=str)
def test_an_act_in_a_state_that_does_not_allow_it_is_refused_with_what_is_possible(approved, act):
    for state in RequestState:
        if find_move(state, act) is None and state not in NO_ERROR.get(act, ()):
            refused_in(approved, act, state)


def refused_in(ctx: Context, act: Action, state: RequestState) -> None:
    def be_refused(hands):
        with transaction(hands.sessions) as session:
            get_request(session, REQUEST).state = state
        told = len(show_audit(hands, REQUEST))
        with pytest.raises(InvalidTransition) as refused:
            ACTS[act](hands)
        assert refused.value.state == state
        assert set(refused.value.possible) <= set(possible_acts(state))
        with transaction(hands.sessions) as session:
            assert get_request(session, REQUEST).state == state
        assert len(show_audit(hands, REQUEST)) == told

    assert run_dry(ctx, be_refused).effects == []
