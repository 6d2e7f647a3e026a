"""Pages of proxies in error messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodsys.model.plain_text import is_page, plain_text

APACHE = (
    '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01//EN" "http://www.w3.org/TR/html4/strict.dtd">\n<html><head>\n'
    "<title>503 Service Unavailable</title>\n<style>p {color: red}</style></head><body>\n<h1>Service Unavailable</h1>\n"
    "<p>The server is temporarily unable to service your\nrequest &amp; more. Please try again later.</p></body></html>"
)


def test_a_page_becomes_its_words() -> None:
    assert plain_text(APACHE, 200) == (
        "503 Service Unavailable: Service Unavailable: "
        "The server is temporarily unable to service your request & more. Please try again later"
    )


@pytest.mark.parametrize("length", range(1, len(APACHE)))
def test_a_page_that_was_cut_anywhere_leaves_no_markup(length: int) -> None:
    text = plain_text(APACHE[:length], 300)
    assert "<" not in text or not is_page(APACHE[:length])


@pytest.mark.parametrize("text", ["a < b and c > d", '{"a": "<b>"}', "", "no such task <7>"])
def test_other_text_is_kept(text: str) -> None:
    assert plain_text(text, 200) == text


def test_a_page_without_words_is_called_one() -> None:
    assert plain_text("<html><script>go()</script></html>", 99) == "a page without text"


@given(st.text(), st.integers(0, 60))
def test_any_text_becomes_one_printable_line_of_bounded_length(text: str, longest: int) -> None:
    line = plain_text(text, longest)
    assert len(line) <= max(longest, 3)
    assert all(char.isprintable() for char in line)
