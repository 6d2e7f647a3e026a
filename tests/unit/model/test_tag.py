"""The middle of every dataset name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodsys.model.tag import parse_tag, split_remark

words = st.text("abcXYZ019_", min_size=1, max_size=10)
softwares = st.builds("{}{}{}".format, st.text("spdROOT", min_size=1, max_size=8), st.integers(0, 9), words)


@given(st.sampled_from(["", "pp", "dd", "pd", "dp"]), words, words, softwares, words)
def test_a_tag_of_the_known_form_reads_back(collision, process, generator, software, flavour):
    text = "-".join(filter(None, (collision, process, generator, software, flavour)))
    parsed = parse_tag(text)
    assert not parsed.note
    assert (parsed.process, parsed.generator, parsed.software, parsed.flavour) == (
        process,
        generator,
        software,
        flavour,
    )
    assert parsed.collision == collision


@given(st.text("abpdX09_-. \n\u00e9\u0421", max_size=40))
def test_any_text_is_parsed_without_an_error(text):
    parsed = parse_tag(text)
    assert parsed.physics or not text
    assert bool(parsed.note) == (parsed.generator == text and not parsed.process)


@pytest.mark.parametrize(
    ("tag", "physics", "known"),
    [
        ("minbias-P8-spdroot4172-dev", "minbias-P8", True),
        ("dd-minbias-FTF-spdroot4171-dev", "minbias-FTF", True),
        ("whatever", "whatever", False),
        ("minbias-P8", "minbias-P8", False),
    ],
)
def test_physics_is_what_makes_events_equal(tag, physics, known):
    parsed = parse_tag(tag)
    assert parsed.physics == physics
    assert bool(parsed.note) is not known


def test_words_after_the_tag_are_remarks():
    assert split_remark("minbias-P8-spdroot4172-dev test") == ("minbias-P8-spdroot4172-dev", ("test",))
    assert split_remark("  a  b c ") == ("a", ("b", "c"))
    assert split_remark("") == ("", ())
