"""Rucio's and the wire's errors in our words."""

import errno
import http.client
import json
import socket
import ssl

import pytest
import requests
from rucio.common import exception as rucio_exception
from urllib3.exceptions import ReadTimeoutError

from prodsys.ddm.translation import Refusal, translate
from prodsys.errors import IdentityUnavailable, RucioAnswerInvalid, RucioRefused, RucioUnavailable, ServiceUnavailable


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
        requests.exceptions.SSLError("certificate has expired"),
        requests.exceptions.JSONDecodeError("Expecting value", "<html>", 0),
        json.JSONDecodeError("Expecting value", "{", 1),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        ReadTimeoutError(None, "/", "read timed out"),
        http.client.IncompleteRead(b"half"),
        ConnectionResetError(104, "reset"),
        BrokenPipeError(32, "broken pipe"),
        TimeoutError("timed out"),
        OSError(errno.EHOSTUNREACH, "no route to host"),
        socket.gaierror(-2, "Name or service not known"),
        ssl.SSLError(1, "handshake failure"),
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


@pytest.mark.parametrize(
    "error",
    [
        KeyError("adler32"),
        TypeError("string indices must be integers"),
        AttributeError("'str' object has no attribute 'get'"),
        ValueError("invalid literal for int()"),
        IndexError("list index out of range"),
        RuntimeError("dictionary changed size"),
        requests.exceptions.InvalidURL("no host"),
        requests.exceptions.MissingSchema("no scheme"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_of_our_own_is_no_outage_and_is_told_with_its_type(error):
    ours = translate("list_files a:b", error)
    assert isinstance(ours, RucioAnswerInvalid)
    assert not isinstance(ours, ServiceUnavailable)
    assert type(error).__name__ in str(ours)
    assert "list_files a:b" in str(ours)


def test_trouble_of_this_host_comes_as_it_is():
    error = OSError(errno.ENOSPC, "No space left on device")
    assert translate("list_files a:b", error) is error


def test_no_markup_of_a_page_is_shown():
    error = rucio_exception.RucioException("<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>")
    assert str(translate("get_did", error)).endswith("502 Bad Gateway: nginx")
