"""PanDA's error codes: by a word or by numbers, in the fields of a job."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from sandbox.panda.jobs.errors import COMPONENTS, ERRORS, text_of
from sandbox.panda.trouble.deeds import JobError, error_named


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        (
            {"pilotErrorCode": 1305, "transExitCode": 65, "diag": "fake failure of seed 1002"},
            {
                "transExitCode": "65", "pilotErrorCode": 1305, "exeErrorCode": 65,
                "pilotErrorDiag": "Failed to execute payload: fake failure of seed 1002",
                "exeErrorDiag": "fake failure of seed 1002",
            },
        ),
        (
            {"pilotErrorCode": 1137},
            {"transExitCode": "0", "pilotErrorCode": 1137, "pilotErrorDiag": "Failed to stage-out file"},
        ),
        (
            {"transExitCode": 1, "diag": "bad"},
            {
                "transExitCode": "1", "pilotErrorCode": 1305, "pilotErrorDiag": "Failed to execute payload: bad",
                "exeErrorCode": 1, "exeErrorDiag": "bad",
            },
        ),
        (
            {"ddmErrorCode": 200},
            {"transExitCode": "0", "ddmErrorCode": 200, "ddmErrorDiag": "Could not add files to DDM"},
        ),
        (
            {"jobDispatcherErrorCode": 102, "diag": "gone"},
            {"transExitCode": "0", "jobDispatcherErrorCode": 102, "jobDispatcherErrorDiag": "gone"},
        ),
        (
            {"taskBufferErrorCode": 100},
            {"transExitCode": "0", "taskBufferErrorCode": 100, "taskBufferErrorDiag": "killed by JEDI"},
        ),
    ],
)  # fmt: skip
def test_codes_become_the_fields_of_the_api_as_recorded(given: dict[str, Any], fields: dict[str, Any]) -> None:
    assert JobError.model_validate(given).fields() == fields


@pytest.mark.parametrize("word", ERRORS)
def test_every_word_names_a_code_with_a_text(word: str) -> None:
    known = ERRORS[word]
    fields = error_named(word).fields(last="2025-11-21 12:00:00")
    assert known.component in COMPONENTS
    assert fields[f"{known.component}ErrorCode"] == known.code
    assert fields[f"{known.component}ErrorDiag"] == known.text.replace("{last}", "2025-11-21 12:00:00")
    assert text_of(known.component, known.code)


def test_no_two_words_name_the_same_payload_of_a_component() -> None:
    pilots = [one.code for one in ERRORS.values() if one.component == "pilot"]
    assert len(pilots) == len(set(pilots))


@pytest.mark.parametrize(
    "given", [{"pilotErrorCode": 0}, {"transExitCode": 300}, {"pilotErrorKode": 1}, {"exeErrorCode": -1}]
)
def test_an_error_that_is_none_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        JobError.model_validate(given)
