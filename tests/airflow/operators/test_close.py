from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from sqlalchemy import update

from prodsys.errors import StepReopened
from prodsys.ledger.requests import get_request
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import PlanRow
from prodsys.operators.close import CertifyOperator, ClosingOperator, CollectOperator
from tests.airflow.operators.conftest import REQUEST
from tests.airflow.operators.test_gate import gate, state
from tests.publishing import Ledger

MakeContext = Callable[..., dict[str, Any]]


class Reopening(ClosingOperator):
    """Finds a task of a settled step at work."""

    def close(self, ctx: Any, context: Any) -> None:
        raise StepReopened(REQUEST, "SIM", [f"{REQUEST}.SIM"])


def test_a_task_that_works_again_while_closing_is_settled_by_another_run(ledger: Ledger, context: MakeContext) -> None:
    gate().execute(context())
    state(ledger, "closing")
    with transaction(ledger.sessions) as session:
        session.execute(update(PlanRow).values(approved_at=datetime.now(UTC)))
    with pytest.raises(AirflowFailException, match="works again"):
        Reopening(task_id="certify", request_id=REQUEST, revision=1).execute(context())
    with transaction(ledger.sessions) as session:
        row = get_request(session, REQUEST)
        assert (row.state, row.runs) == ("ready", 2)
    assert issubclass(CollectOperator, ClosingOperator)
    assert issubclass(CertifyOperator, ClosingOperator)


def test_nobody_certifies_from_a_run_that_may_not_drive(ledger: Ledger, context: MakeContext) -> None:
    state(ledger, "aborted")
    with pytest.raises(AirflowSkipException, match="nothing to drive"):
        CertifyOperator(task_id="certify", request_id=REQUEST, revision=1).execute(context())
