"""Rucio's and the wire's errors in our words."""

import pytest
import requests
from rucio.common import exception as rucio_exception

from prodsys.ddm.translation import Refusal, translate
from prodsys.errors import IdentityUnavailable, RucioRefused, RucioUnavailable


@pytest.mark.parametrize(
    "error",
    [
        requests.ReadTimeout("read timed out"),
        requests.ConnectionError("refused"),
        requests.exceptions.ChunkedEncodingError("cut"),
        rucio_exception.ServerConnectionException(),
        rucio_exception.DatabaseException("deadlock detected"),
        rucio_exception.FileAlreadyExists("(psycopg.errors.UniqueViolation) ..."),
        rucio_exception.RucioException("(psycopg.errors.UniqueViolation) duplicate key"),
        rucio_exception.RucioException("no error information passed (http status code: 502)"),
        rucio_exception.ServiceUnavailable(),
        TypeError("string indices must be integers"),  # a proxy's page instead of the API
        ConnectionResetError(104, "reset"),
    ],
)
def test_what_another_try_may_mend_is_unavailable(error):
    assert isinstance(translate("list_files a:b", error), RucioUnavailable)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (rucio_exception.DataIdentifierNotFound("x"), "DataIdentifierNotFound"),
        (rucio_exception.AccessDenied("x"), "AccessDenied"),
        (rucio_exception.InsufficientAccountLimit("x"), "InsufficientAccountLimit"),
        (rucio_exception.RucioException("Badly formatted rule id (xyz)"), "RucioException"),
        (rucio_exception.CannotAuthenticate("x"), "CannotAuthenticate"),
    ],
)
def test_a_no_keeps_rucios_own_word_for_it(error, kind):
    ours = translate("get_did a:b", error)
    assert isinstance(ours, Refusal)
    assert isinstance(ours, RucioRefused)
    assert ours.kind == kind
    assert "get_did a:b" in str(ours)


def test_the_words_are_rucios_details_on_one_line():
    error = rucio_exception.DataIdentifierNotFound("Data identifier\n 'a:b'  not found")
    assert translate("get_did", error).words.endswith("DataIdentifierNotFound: Data identifier 'a:b' not found")


def test_an_error_of_ours_passes_unchanged():
    error = IdentityUnavailable("no answer")
    assert translate("get_did", error) is error
