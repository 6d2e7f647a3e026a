"""How operators are tried again."""

from __future__ import annotations

import errno

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from sqlalchemy.exc import DBAPIError, IntegrityError, MultipleResultsFound, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from prodsys.building.retries import RETRIES, request_retries
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
from prodsys.hooks.failing import TryAgain, describe_error, final_errors_fail
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


@pytest.mark.parametrize(
    "error",
    [
        KeyError("SIM"),
        TypeError("'NoneType' object is not iterable"),
        AttributeError("'str' object has no attribute 'get'"),
        ValueError("invalid literal for int()"),
        ZeroDivisionError("division by zero"),
        AssertionError("a step without a plan"),
        IntegrityError("insert", {}, Exception('violates exclusion constraint "task_one_open_attempt"')),
        ProgrammingError("select", {}, Exception("syntax error")),
        MultipleResultsFound("two rows"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_fault_of_our_own_fails_at_once_and_is_told_with_its_type(error: Exception) -> None:
    with pytest.raises(AirflowFailException) as failed, final_errors_fail():
        raise error
    cause = error.orig if isinstance(error, DBAPIError) else error
    assert str(failed.value).startswith(f"{type(error).__name__}: {cause}")
    assert failed.value.__cause__ is error


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EIO, "Input/output error"),
        OperationalError("select", {}, Exception("server closed the connection")),
        NoConnectionFree("QueuePool limit"),
        TryAgain("asked by the next try"),
        RuntimeError("a library's"),
    ],
    ids=str,
)
def test_what_this_host_may_get_over_is_tried_again(error: Exception) -> None:
    with pytest.raises(type(error)), final_errors_fail():
        raise error


@pytest.mark.parametrize("error", [AirflowSkipException("not mine"), AirflowFailException("reopened")], ids=str)
def test_what_is_said_to_airflow_on_purpose_stays_as_it_is(error: AirflowException) -> None:
    with pytest.raises(type(error), match=str(error)) as raised, final_errors_fail():
        raise error
    assert raised.value is error


def test_an_error_of_a_type_without_words_is_its_type() -> None:
    assert describe_error(AssertionError()).startswith("AssertionError (a fault of Prodsys")


def test_tries_are_for_workers_that_die() -> None:
    assert request_retries()["retries"] == RETRIES == 10


def test_the_two_submit_operators_know_their_step() -> None:
    assert SimOperator(task_id="sim", request_id="PROD2025-016", revision=1).step == "SIM"
    assert RecoOperator(task_id="reco", request_id="PROD2025-016", revision=1).step == "RECO"
    assert SimOperator(task_id="sim2", request_id="PROD2025-016", revision=1).pool == "panda_submit"
