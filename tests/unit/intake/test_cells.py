"""Cells, one table per kind."""

from __future__ import annotations

from functools import partial

import pytest

from prodsys.intake import cells
from prodsys.intake.cells import CellRefused
from prodsys.model.seeds import show
from prodsys.model.statuses import RecordedStatus


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4000", 4000),
        ("5 000 000", 5_000_000),
        ("40,000,000", 40_000_000),
        ("40.000.000", 40_000_000),
        ("40'000'000", 40_000_000),
        ("4000.0", 4000),
        ("1", 1),
    ],
)
def test_a_number_of_things_is_read(text, value):
    assert cells.read_count(text).value == value


@pytest.mark.parametrize(
    "text", ["5 000\u00a0000", "5\u2009000\u2009000", "5\u202f000\u202f000", "  5 000 000\u200b", "5\t000\n000"]
)
def test_every_kind_of_blank_is_a_blank(text):
    assert cells.read_count(cells.squeeze(text)).value == 5_000_000


@pytest.mark.parametrize(
    "text",
    ["-5", "0", "4.5", "4e7", "40M", "4,000", "4.000", "5 00 000", "1,000 000", "٤٠٠٠", "9" * 40, "abc", "1_000"],
)
def test_what_is_no_number_of_things_is_refused(text):
    with pytest.raises(CellRefused):
        cells.read_count(text)


def test_a_number_that_can_be_read_in_two_ways_is_asked_back():
    with pytest.raises(CellRefused, match="two ways") as caught:
        cells.read_count("4,000")
    assert "4000" in caught.value.remedy


@pytest.mark.parametrize(
    ("text", "value", "notes"),
    [("27 GeV", 27, 0), ("27GeV", 27, 0), ("27,5 GeV", 27.5, 0), ("3.5 gev", 3.5, 0), ("27", 27, 1)],
)
def test_an_energy_is_read(text, value, notes):
    reading = cells.read_energy(text)
    assert (reading.value, len(reading.notes)) == (value, notes)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("10 TeV", "10000 GeV"),
        ("500 MeV", "0.5 GeV"),
        ("27 Gev/c", "27 GeV"),
        ("0 GeV", "27 GeV"),
        ("-4 GeV", "27 GeV"),
        ("GeV", "27 GeV"),
        ("inf GeV", "27 GeV"),
        ("4x4 GeV", "27 GeV"),
    ],
)
def test_what_is_no_energy_in_gev_is_refused(text, remedy):
    with pytest.raises(CellRefused) as caught:
        cells.read_energy(text)
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("text", "status", "noted"),
    [
        ("Done", RecordedStatus.DONE, False),
        ("DONE", RecordedStatus.DONE, False),
        ("Runnig", RecordedStatus.RUNNING, True),
        ("Running", RecordedStatus.RUNNING, False),
        ("ready", RecordedStatus.READY, False),
        ("Redy", RecordedStatus.READY, True),
        ("Canceled", RecordedStatus.CANCELLED, True),
    ],
)
def test_a_status_is_read_and_a_slip_is_noted(text, status, noted):
    reading = cells.read_status(text)
    assert reading.value is status
    assert bool(reading.notes) is noted


@pytest.mark.parametrize(
    ("text", "meant"), [("Undone", "done"), ("Dnoe", "done"), ("finished", None), ("???", None), ("raeyd", "ready")]
)
def test_an_unknown_status_is_refused_with_a_guess(text, meant):
    with pytest.raises(CellRefused) as caught:
        cells.read_status(text)
    assert "known: cancelled, done, draft, ready, running" in caught.value.remedy
    if meant:
        assert f"did you mean {meant!r}" in caught.value.remedy


@pytest.mark.parametrize("dash", list("-‐‑‒–—―−－"))
def test_seeds_are_read_with_any_dash(dash):
    assert show(cells.read_seeds(f"1{dash}10 000").value) == "1-10000"


@pytest.mark.parametrize("text", ["1..5", "1 to 5", "5-1", "", "0-4", "1-5;3-9", "x"])
def test_what_are_no_seeds_is_refused(text):
    with pytest.raises(CellRefused):
        cells.read_seeds(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("spdroot-dev-4.1.7.2", ("spdroot-dev", "4.1.7.2")),
        ("sampo 1.0", ("sampo", "1.0")),
        ("spdroot_v2-10", ("spdroot_v2", "10")),
    ],
)
def test_software_and_version_are_read(text, value):
    assert cells.read_software(text).value == value


@pytest.mark.parametrize("text", ["spdroot-dev", "4.1.7.2", "spdroot-dev-4.1.x", "a b c", "=cmd|' /C calc'!A0"])
def test_software_without_a_version_is_refused(text):
    with pytest.raises(CellRefused, match="software"):
        cells.read_software(text)


def test_a_word_after_the_tag_is_a_label_and_says_so():
    reading = cells.read_tag("minbias-P8-spdroot4172-dev test")
    assert reading.value == ("minbias-P8-spdroot4172-dev", ("test",))
    assert "no partition" in reading.notes[0]


def test_a_tag_of_another_form_is_taken_with_a_note():
    reading = cells.read_tag("whatever")
    assert reading.value == ("whatever", ())
    assert "generator" in reading.notes[0]


@pytest.mark.parametrize("text", ["a.b", "a/b", "{{x}}", "<script>", "'; drop table x; --", "ü", "a b {{c}}", "a <b>"])
def test_what_cannot_be_in_a_name_is_refused(text):
    with pytest.raises(CellRefused):
        cells.read_tag(text)


@pytest.mark.parametrize(
    ("text", "remedy"), [("PRDO2031-001", "PROD"), ("prod2031-001", "PROD2025-016"), ("X", "PROD")]
)
def test_an_id_that_is_none_is_refused_with_a_guess(text, remedy):
    with pytest.raises(CellRefused) as caught:
        cells.read_request_id(text, ("PROD", "TEST"))
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(("text", "step"), [("simu", "SIM"), ("Reco", "RECO"), ("simulation", "SIM")])
def test_a_kind_of_step_is_read(text, step):
    assert cells.read_step(text).value == step


def test_a_letter_of_another_alphabet_is_named():
    with pytest.raises(CellRefused, match="cyrillic capital letter er"):
        cells.read_request_id("РROD2031-001", ("PROD",))
    with pytest.raises(CellRefused, match="cyrillic small letter a"):
        cells.read_tag("minbiаs-P8-spdroot4172-dev")


def test_an_unknown_step_is_refused_with_a_guess():
    with pytest.raises(CellRefused) as caught:
        cells.read_step("rceo")
    assert "reco" in caught.value.remedy


@pytest.mark.parametrize(
    ("reader", "own", "others"),
    [
        (cells.read_step, ("simu", "reco", "Reco"), ("sim", "simul", "simulation", "reconstruction", "simulaton")),
        (
            cells.read_status,
            ("draft", "Ready", "RUNNING", "done", "Cancelled"),
            ("new", "in progress", "completed", "canceled", "Redy"),
        ),
        (cells.read_software, ("spdroot-dev-4.1.7.2",), ("spdroot-dev v4.1.7.2", "spdroot-dev/4.1.7.2")),
        (partial(cells.read_request_id, prefixes=["PROD"]), ("PROD2025-016",), ("PROD2025\u2013016",)),
        (cells.read_tag, ("minbias-P8-spdroot4172-dev",), ("minbias\u2013P8-spdroot4172-dev",)),
    ],
)
def test_a_word_that_is_understood_otherwise_than_written_always_gets_a_note(reader, own, others):
    assert [reader(word).notes for word in own] == [()] * len(own)
    for word in others:
        assert "is taken as" in reader(word).notes[0]


@pytest.mark.parametrize("text", ["1,500 GeV", "1.500 GeV", "1,500", "13,500 GeV", "100.000GeV"])
def test_an_energy_with_three_digits_after_a_mark_can_be_read_in_two_ways(text):
    with pytest.raises(cells.CellRefused) as refused:
        cells.read_energy(text)
    assert "two ways" in refused.value.message
    assert text.replace(",", "").replace(".", "") in refused.value.remedy


@pytest.mark.parametrize("text", ["1,500", "12,001-50,000", "1-10,100-200", "5,100"])
def test_seeds_with_three_digits_after_a_comma_can_be_read_in_two_ways(text):
    with pytest.raises(cells.CellRefused) as refused:
        cells.read_seeds(text)
    assert "two ways" in refused.value.message


def test_a_comma_with_a_blank_stands_between_seeds():
    assert show(cells.read_seeds("1, 500, 40001-40002,40005").value) == "1, 500, 40001-40002, 40005"


@pytest.mark.parametrize(("value", "text"), [(27.0, "27"), (4.1, "4.1"), (1.877, "1.8770"), (0.938, "0.938")])
def test_a_number_of_a_program_is_a_text_that_nobody_takes_for_thousands(value, text):
    assert cells.number_text(value) == text
    assert cells.read_energy(f"{text} GeV").value == value
