"""How operators are tried again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.sdk.exceptions import AirflowFailException

from prodsys.building.retries import FIRST_DELAY, LONGEST_DELAY, RETRIES, request_retries
from prodsys.errors import (
    DatasetConflict,
    LedgerUnavailable,
    NotAllowed,
    PandaRefused,
    PandaUnavailable,
    ProductionError,
    StepFailed,
    SubmissionInDoubt,
    TaskEnded,
)
from prodsys.hooks.failing import final_errors_fail
from prodsys.operators.panda_submit import RecoOperator, SimOperator


@pytest.mark.parametrize(
    "error",
    [PandaUnavailable("no answer"), LedgerUnavailable("no answer"), SubmissionInDoubt("PROD2025-016.SIM", "no answer")],
    ids=lambda error: type(error).__name__,
)
def test_what_is_unavailable_is_tried_again(error: ProductionError) -> None:
    with pytest.raises(type(error)), final_errors_fail():
        raise error


@pytest.mark.parametrize(
    "error",
    [
        PandaRefused("insertTaskParams", "too many active tasks", 10),
        TaskEnded(7, "broken", "no such dataset"),
        StepFailed("PROD2025-016", "SIM", "failed", "1 of 3 seeds"),
        DatasetConflict("a:b", ["c has 1 byte, not 2"]),
        NotAllowed("jdoe", "launch", "manager"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_is_final_fails_at_once_in_its_own_words(error: ProductionError) -> None:
    with pytest.raises(AirflowFailException) as failed, final_errors_fail():
        raise error
    assert str(failed.value) == str(error)
    assert failed.value.__cause__ is error


def test_a_bug_is_not_dressed_up_as_either() -> None:
    with pytest.raises(KeyError), final_errors_fail():
        raise KeyError("SIM")


def test_tries_bridge_half_an_hour() -> None:
    delays = [min(FIRST_DELAY * 2**number, LONGEST_DELAY) for number in range(RETRIES)]
    assert sum(delays, timedelta()) > timedelta(minutes=30)
    assert request_retries()["retries"] == RETRIES


def test_the_two_submit_operators_know_their_step() -> None:
    assert SimOperator(task_id="sim", request_id="PROD2025-016", revision=1).step == "SIM"
    assert RecoOperator(task_id="reco", request_id="PROD2025-016", revision=1).step == "RECO"
    assert SimOperator(task_id="sim2", request_id="PROD2025-016", revision=1).pool == "panda_submit"
