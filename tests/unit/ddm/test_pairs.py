"""S and P compared seed by seed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodsys.ddm.pairs import pair_inputs
from prodsys.errors import DatasetConflict


def names(data_type, serial_of_seed):
    return {f"ds.SIM.1.{data_type}.{serial:06d}.root": seed for seed, serial in serial_of_seed.items()}


def test_complete_datasets_are_clean_and_paired_in_the_order_of_seeds():
    found = pair_inputs({"S": names("S", {7: 1, 5: 2}), "P": names("P", {7: 1, 5: 2})})
    assert found.clean
    assert [pair.seed for pair in found.pairs] == [5, 7]
    assert found.pairs[0].lfns == {"S": "ds.SIM.1.S.000002.root", "P": "ds.SIM.1.P.000002.root"}


def test_one_lost_p_is_found_although_all_other_names_look_alike():
    """The recorded case pairing_shift: four of five RECO jobs would read the parameters of another seed."""
    seeds = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5}
    found = pair_inputs({"S": names("S", seeds), "P": names("P", {seed: seed for seed in seeds if seed != 1})})
    assert found.lonely == {"S": ("ds.SIM.1.S.000001.root",)}
    assert found.broken_seeds == (1,)
    assert found.shifted == ()  # once the lonely S is detached
    assert not found.clean
    assert [pair.seed for pair in found.pairs] == [2, 3, 4, 5]


def test_serial_numbers_that_went_apart_shift_the_pairs_although_no_file_is_lost():
    found = pair_inputs({"S": names("S", {1: 1, 2: 2, 3: 3}), "P": names("P", {2: 1, 1: 2, 3: 3})})
    assert found.broken_seeds == ()
    assert found.shifted == (1, 2)
    assert not found.clean


def test_equal_order_with_other_serial_numbers_is_clean():
    assert pair_inputs({"S": names("S", {1: 1, 2: 5}), "P": names("P", {1: 2, 2: 3})}).clean


def test_two_files_of_one_seed_are_refused():
    twice = {"ds.S.000001.root": 4, "ds.S.000002.root": 4}
    with pytest.raises(DatasetConflict, match="seed 4 has two files"):
        pair_inputs({"S": twice, "P": {}})


def test_a_step_with_one_input_has_only_complete_pairs():
    assert pair_inputs({"S": names("S", {1: 1})}).clean


def test_nothing_pairs_with_nothing():
    assert pair_inputs({}).pairs == ()
    assert pair_inputs({"S": {}, "P": {}}).clean


@given(st.permutations(range(8)), st.permutations(range(8)), st.sets(st.integers(0, 7)), st.sets(st.integers(0, 7)))
def test_shifted_is_empty_exactly_when_jedi_pairs_right(order_s, order_p, lost_s, lost_p):
    s = names("S", {seed: serial for serial, seed in enumerate(order_s) if seed not in lost_s})
    p = names("P", {seed: serial for serial, seed in enumerate(order_p) if seed not in lost_p})
    found = pair_inputs({"S": s, "P": p})
    kept = {pair.seed for pair in found.pairs}
    by_position = zip(
        [s[name] for name in sorted(s) if s[name] in kept],
        [p[name] for name in sorted(p) if p[name] in kept],
        strict=True,
    )
    assert (found.shifted == ()) == all(left == right for left, right in by_position)
    assert kept == set(range(8)) - lost_s - lost_p
