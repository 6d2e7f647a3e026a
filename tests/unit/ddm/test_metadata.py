"""Which keys may be used, and whether Rucio holds what was meant."""

import pytest

from prodsys.ddm.metadata import check_keys, unlike
from prodsys.errors import SpecInvalid
from prodsys.model.names import Did

DID = Did("test", "test.a.S")


@pytest.mark.parametrize("key", ["events", "campaign", "version", "a.b", ""])
def test_a_key_that_rucio_takes_for_something_else_is_refused(key):
    with pytest.raises(SpecInvalid):
        check_keys(DID, {key: 1})


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, object()])
def test_a_value_that_is_no_json_is_refused(value):
    with pytest.raises(SpecInvalid, match="is no JSON"):
        check_keys(DID, {"prod_x": value})


def test_tuples_and_number_keys_are_compared_as_json_brings_them_back():
    assert unlike({"a": [1, 2], "b": {"1": "x"}, "other": 5}, {"a": (1, 2), "b": {1: "x"}}) == []


def test_what_is_not_as_wanted_is_told():
    assert unlike({"a": 1}, {"a": 2, "b": None}) == ["a is 1, not 2", "b is not there"]
