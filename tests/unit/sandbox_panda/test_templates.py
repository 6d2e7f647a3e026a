"""What ``${...}`` in job parameters becomes."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.panda.tasks.templates import TemplateInvalid, evaluate, expand, input_stream, mark_outputs, output_pattern


def test_the_first_event_of_seed_40003_is_as_recorded() -> None:
    text = "--seed=${IN} --first=${IN/M[(#-1)*4000+1]} --n=4000"
    assert expand(text, {"IN": "40003"}) == "--seed=40003 --first=160008001 --n=4000"


@pytest.mark.parametrize(
    ("expression", "value", "result"),
    [("#", 7, 7), ("1+2*3", 0, 7), ("(1+2)*3", 0, 9), ("-#+10", 4, 6), ("#%7", 20, 6), ("#/3", 10, 3), ("#//3", 10, 3),
     ("((((#))))", 5, 5), (" # * 2 ", 5, 10)],
)  # fmt: skip
def test_arithmetic(expression: str, value: int, result: int) -> None:
    assert evaluate(expression, value) == result


@pytest.mark.parametrize(
    "expression",
    ["", "#+", "(#", "#)", "2**3", "__import__('os')", "#/0", "1 2", "a", "(" * 50 + "#" + ")" * 50, "#;1", "1e5"],
)
def test_what_is_no_arithmetic_is_refused(expression: str) -> None:
    with pytest.raises(TemplateInvalid):
        evaluate(expression, 1)


@given(st.integers(1, 10**9), st.integers(1, 10**6), st.integers(0, 10**6))
def test_arithmetic_agrees_with_python(value: int, factor: int, offset: int) -> None:
    assert evaluate(f"(#-1)*{factor}+{offset}", value) == (value - 1) * factor + offset


def _joined(parts: tuple[str, str, str]) -> str:
    return f"({parts[0]}){parts[1]}({parts[2]})"


EXPRESSIONS = st.recursive(
    st.one_of(st.just("#"), st.integers(0, 10**6).map(str)),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "//", "%"]), inner).map(_joined),
        st.tuples(inner, st.sampled_from([" + ", "-", "*", "//"]), inner).map("".join),
        inner.map(lambda one: f"-({one})"),
    ),
    max_leaves=12,
)


@given(EXPRESSIONS, st.integers(0, 10**6))
def test_any_arithmetic_agrees_with_pythons_whole_numbers(expression: str, value: int) -> None:
    """Python itself is the reference; ``/`` means whole division here."""
    reference = re.sub(r"(?<!/)/(?!/)", "//", expression).replace("#", str(value))
    try:
        expected = eval(reference, {"__builtins__": {}})
    except ZeroDivisionError:
        with pytest.raises(TemplateInvalid):
            evaluate(expression, value)
        return
    assert evaluate(expression, value) == expected


@given(st.text(max_size=60))
def test_any_text_is_computed_or_refused(expression: str) -> None:
    with contextlib.suppress(TemplateInvalid):
        assert isinstance(evaluate(expression, 3), int)


def test_unknown_placeholders_stay() -> None:
    assert expand("${SITE} ${IN}", {"IN": "x"}) == "${SITE} x"


def test_the_pattern_of_an_output_is_the_file_name() -> None:
    assert output_pattern("--out-s=A.B.S.${SN}.root") == "A.B.S.${SN}.root"
    assert output_pattern("--verbose --out='A.${SN}.root'") == "A.${SN}.root"


def test_streams_by_name_and_by_position() -> None:
    assert [input_stream("--in=${IN}", 0), input_stream("--par=${IN2}", 1), input_stream("x", 2)] == [
        "IN",
        "IN2",
        "IN3",
    ]


def test_outputs_are_marked_by_number() -> None:
    parameters = [
        {"type": "constant", "value": "run"},
        {"type": "template", "param_type": "output", "value": "--s=X.${SN}.root"},
        {"type": "template", "param_type": "output", "value": "--p=Y.${SN}.root"},
    ]
    assert [item["value"] for item in mark_outputs(parameters)] == ["run", "--s=${OUTPUT0}", "--p=${OUTPUT1}"]
    assert parameters[1]["value"] == "--s=X.${SN}.root"
