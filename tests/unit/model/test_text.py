"""One thing has one spelling: what is taken out, what is refused, and which names are one person's."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodsys.errors import SpecInvalid
from prodsys.model.text import (
    REASON_LENGTH,
    check_word,
    clean_line,
    clean_reason,
    clean_text,
    invisible_in,
    kept_reason,
    person_name,
    same_person,
    separate,
)

HIDDEN = "\u00ad\u200b\u200c\u200d\u2060\ufeff\u200e\u202e\u061c\u180e\u115f\u3164\ufe0f\U000e0041"


@pytest.mark.parametrize("hidden", list(HIDDEN))
def test_what_cannot_be_seen_is_taken_out_and_named(hidden):
    assert clean_line(f"ske{hidden}tch") == "sketch"
    [name] = invisible_in(f"ske{hidden}tch")
    assert name.startswith(f"U+{ord(hidden):04X}")


@pytest.mark.parametrize("blank", list("\u00a0\u2000\u2009\u202f\u205f\u3000\u2028\t\n\r\x0b\x0c\x85"))
def test_every_kind_of_blank_is_one_space(blank):
    assert clean_line(f" TS,{blank}{blank} TOF{blank}") == "TS, TOF"


def test_letters_are_composed_and_lines_of_a_text_stay():
    assert clean_line("de\u0301tecteur") == "d\u00e9tecteur"
    assert clean_text("first\r\nsecond\u200b\n") == "first\nsecond"


@given(st.text())
def test_cleaning_again_changes_nothing(text):
    assert clean_line(clean_line(text)) == clean_line(text)
    assert clean_text(clean_text(text)) == clean_text(text)
    assert not any(unicodedata.category(char) == "Cf" for char in clean_line(text))
    assert kept_reason(text).isprintable() or any(not char.isprintable() for char in clean_line(text))


def test_a_reason_is_one_line_that_forges_no_other():
    assert clean_reason("too small\n[2026-11-28] ERROR forged") == "too small [2026-11-28] ERROR forged"


@pytest.mark.parametrize("char", list("\x00\x07\x08\x1b\x7f\x9b\ud800"))
def test_a_reason_with_a_control_character_is_refused_by_name(char):
    with pytest.raises(SpecInvalid, match=f"reason: holds the control character U\\+{ord(char):04X}"):
        clean_reason(f"red {char}[31m")


def test_a_reason_has_a_length():
    clean_reason("x" * REASON_LENGTH)
    with pytest.raises(SpecInvalid, match="has 2001 characters"):
        clean_reason("x" * (REASON_LENGTH + 1))


@pytest.mark.parametrize("other", ["anna ", " Anna", "an\u200bna", "\uff41\uff4e\uff4e\uff41", "anna\u00a0", "ANNA"])
def test_names_that_are_written_otherwise_are_one_person(other):
    assert same_person("anna", other)
    assert person_name(other) == person_name(person_name(other))


def test_two_persons_are_two_and_nobody_is_nobody():
    assert not same_person("anna", "hanna")
    assert not same_person(None, None)
    for bad in ("", " \u200b", "a\x1bb", "<b>", "x" * 101):
        with pytest.raises(SpecInvalid):
            person_name(bad)


@pytest.mark.parametrize(
    ("word", "named"),
    [
        ("DSSD, \u0422S", "cyrillic capital letter te"),
        ("\u0422\u0405", "cyrillic capital letter te"),
        ("\u039cicromegas", "greek capital letter mu"),
        ("\uff34S", "fullwidth latin capital letter t"),
        ("\U0001d413S", "mathematical bold capital t"),
        ("T\u0332S", "combining low line"),
        ("TS\u201a TOF", "single low-9 quotation mark"),
        ("S\u0662", "arabic-indic digit two"),
    ],
)
def test_a_word_that_only_looks_latin_is_refused_by_name(word, named):
    with pytest.raises(SpecInvalid, match=named):
        check_word(word, "geometry")


@pytest.mark.parametrize("text", ["DSSD; TS;TOF", "DSSD ,TS,  TOF", "DSSD\uff0c TS\uff1b TOF", "DSSD | TS | TOF,"])
def test_other_separators_of_a_geometry_are_commas(text):
    assert separate(clean_line(text)) == "DSSD, TS, TOF"
