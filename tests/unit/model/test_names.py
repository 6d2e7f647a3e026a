"""Names are for ever, so each one reads back as what it was built from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodsys.errors import SpecInvalid
from prodsys.model.names import (
    NAME_LENGTH,
    DataName,
    Did,
    RequestId,
    Sample,
    TaskName,
    canonical_id,
    check_name,
    data_type_of,
    energy_text,
    file_name,
    instance_name,
)

UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIGITS = "0123456789"
LETTERS = UPPER + UPPER.lower()
WORD = LETTERS + DIGITS + "_"


def words(first: str, rest: str, longest: int) -> st.SearchStrategy[str]:
    """Texts that begin with one of ``first`` and go on with ``rest``."""
    return st.builds(str.__add__, st.sampled_from(first), st.text(rest, max_size=longest - 1))


prefixes = words(UPPER, UPPER + DIGITS, 6)
request_ids = st.builds(RequestId, prefixes, st.integers(1000, 9999), st.integers(0, 10**6))
steps = words(UPPER, UPPER + DIGITS, 8)
bunches = st.none() | st.integers(0, 20_000)
attempts = st.integers(1, 500)
types = st.sampled_from(["S", "P", "R", "log", "mDST"])
tags = words(WORD, WORD + "-", 60)
energies = st.integers(1, 100_000_000).map(lambda value: value / 1000)
samples = st.builds(
    Sample,
    words(LETTERS + DIGITS, WORD, 25),
    tags,
    energies,
    words(LETTERS + DIGITS, LETTERS + DIGITS, 8),
    request_ids.map(str),
)


@given(request_ids)
def test_a_request_id_reads_back(request_id):
    assert RequestId.parse(str(request_id)) == request_id


@given(request_ids.map(str), steps, bunches, attempts)
def test_a_task_name_reads_back(request_id, step, bunch, attempt):
    name = TaskName(request_id, step, bunch, attempt)
    assert TaskName.parse(str(name)) == name


@given(samples, steps, bunches, attempts, types)
def test_a_dataset_name_reads_back(sample, step, bunch, attempt, data_type):
    name = DataName.parse(sample.dataset(step, data_type, attempt, bunch))
    assert (name.sample, name.step, name.bunch, name.attempt, name.data_type) == (
        sample,
        step,
        bunch,
        attempt,
        data_type,
    )
    assert str(name) == sample.dataset(step, data_type, attempt, bunch) == name.dataset


@given(samples, steps, types)
def test_containers_read_back_and_are_no_datasets(sample, step, data_type):
    container = DataName.parse(sample.step_container(step, data_type))
    assert (container.step, container.attempt, container.data_type) == (step, None, data_type)
    assert str(container) == sample.step_container(step, data_type)
    whole = DataName.parse(sample.request_container())
    assert (whole.sample, whole.step) == (sample, None)
    assert str(whole) == str(sample)


@given(samples, steps, bunches, attempts, types, st.integers(1, 10**7), st.sampled_from(["root", "tgz", "log.tgz"]))
def test_a_file_name_reads_back(sample, step, bunch, attempt, data_type, serial, suffix):
    dataset = sample.dataset(step, data_type, attempt, bunch)
    name = DataName.parse(file_name(dataset, serial, suffix))
    assert (name.serial, name.suffix, name.dataset) == (serial, suffix, dataset)
    assert str(name) == file_name(dataset, serial, suffix)


@given(samples, st.lists(st.tuples(steps, bunches, attempts, types), min_size=2, max_size=6, unique=True))
def test_two_parts_of_a_request_never_share_a_name(sample, parts):
    datasets = {sample.dataset(step, data_type, attempt, bunch) for step, bunch, attempt, data_type in parts}
    containers = {sample.step_container(step, data_type) for step, _, _, data_type in parts}
    assert len(datasets) == len(parts)
    assert not datasets & containers
    assert str(sample) not in datasets | containers


@given(energies)
def test_energy_text_is_the_same_energy(energy):
    assert float(energy_text(energy)) == pytest.approx(energy, abs=1e-6)
    assert not energy_text(energy).endswith((".", ".0"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PROD2025-16",
        "prod2025-016",
        "PROD2025_016",
        "PROD25-016",
        "2025-016",
        "PROD2025-016 ",
        "PROD2025-016\n",
        "PROD٢٠٢٥-016",
        "PROD2025-016.SIM",
    ],
)
def test_what_is_no_request_id_is_refused(text):
    with pytest.raises(SpecInvalid, match="request id"):
        RequestId.parse(text)


def test_names_of_the_domain_are_built_as_the_experiment_writes_them():
    sample = Sample("MC2025_S2", "minbias-P8-spdroot4172-dev", 27.0, "UU", "PROD2025-016")
    assert sample.dataset("SIM", "S") == "MC2025_S2.minbias-P8-spdroot4172-dev.27GeV-UU.PROD2025-016.SIM.1.S"
    assert file_name(sample.dataset("RECO", "R", 2), 41).endswith("PROD2025-016.RECO.2.R.000041.root")
    assert str(TaskName("PROD2025-013", "SIM", attempt=2)) == "PROD2025-013.SIM.2"
    assert str(TaskName("PROD2025-013", "SIM")) == "PROD2025-013.SIM"


def test_a_file_with_the_suffix_of_a_repeated_attempt_is_read():
    name = DataName.parse("MC2025_S2.tag.27GeV-UU.PROD2025-016.SIM.1.S.000003.root.2")
    assert (name.serial, name.suffix) == (3, "root")


@pytest.mark.parametrize("name", ["a b", "a\n", "ü", ".a", "a{b}", "a" * (NAME_LENGTH + 1), ""])
def test_what_rucio_refuses_is_refused_here(name):
    with pytest.raises(SpecInvalid):
        check_name(name)


@pytest.mark.parametrize("did", ["noscope", "a:b c", "a b:c", "x" * 26 + ":a", ":a", "a:"])
def test_what_is_no_did_is_refused(did):
    with pytest.raises(SpecInvalid):
        Did.parse(did)


@given(samples)
def test_a_did_reads_back(sample):
    did = Did(sample.scope, str(sample))
    assert Did.parse(str(did)) == did


@pytest.mark.parametrize("text", ["PROD2025-016", "PROD2025-016.SIM.x", "PROD2025-016.SIM\n", "TEST_S1-001-SIM.1"])
def test_foreign_task_names_are_refused(text):
    with pytest.raises(SpecInvalid):
        TaskName.parse(text)


@pytest.mark.parametrize("text", ["PROD2032-0001", "PROD2032-001", "PROD2032-000000000000001"])
def test_one_number_is_one_id_however_many_zeros_stand_before_it(text):
    assert str(RequestId.parse(text)) == "PROD2032-001"
    assert canonical_id(text) == "PROD2032-001"


def test_a_number_of_ten_digits_is_a_slip_and_the_words_say_so():
    assert str(RequestId.parse("PROD2032-1234")) == "PROD2032-1234"
    with pytest.raises(SpecInvalid, match="a number of 3 to 9 digits"):
        RequestId.parse("PROD2032-1234567890")


@given(
    samples,
    st.sampled_from(["SIM", "RECO"]),
    st.none() | st.integers(1, 999),
    st.integers(1, 99),
    st.integers(1, 10**9),
)
def test_an_instance_of_a_dataset_reads_back_and_knows_its_planned_name(sample, step, bunch, attempt, number):
    dataset = sample.dataset(step, "S", attempt, bunch)
    name = DataName.parse(instance_name(dataset, number))
    assert str(name) == instance_name(dataset, number)
    assert (name.instance, name.serial, name.dataset) == (number, None, dataset)
    assert data_type_of(str(name)) == data_type_of(dataset) == "S"


@pytest.mark.parametrize("ending", ["SIM.S.828", "828", "SIM.1.S.828.root", "SIM.1.S.", "SIM.1.828"])
def test_only_datasets_of_tasks_have_instances(ending):
    with pytest.raises(SpecInvalid):
        DataName.parse(f"MC2025_S2.tag.27GeV-UU.PROD2025-016.{ending}")
