"""What a request refuses, and what makes two of them one configuration."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from prodsys.errors import SpecInvalid
from prodsys.model.request import Configuration, RequestSpec, normalise_geometry
from prodsys.model.seeds import SeedRange

BASE = {
    "request_id": "PROD2031-007",
    "campaign": "SPD MC 2031",
    "stage": "S2",
    "collision": "pp",
    "energy_gev": 27,
    "polarization": "UU",
    "geometry": "DSSD, TS, TOF",
    "software": "spdroot-dev",
    "version": "4.1.7.2",
    "tag": "minbias-P8-spdroot4172-dev",
    "events": 40_000,
    "events_per_file": 4000,
    "seeds": "1-10",
}


def make(**changes: object) -> RequestSpec:
    return RequestSpec.model_validate(BASE | changes)


def test_a_request_reads_back_from_its_own_json():
    spec = make(labels=("test",))
    again = RequestSpec.model_validate(spec.model_dump(mode="json"))
    assert again == spec
    assert again.digest() == spec.digest()
    assert spec.seeds == (SeedRange(first=1, last=10),)
    assert spec.seed_count == 10


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("request_id", "PROD31-7"),
        ("campaign", "SPD {{ MC }}"),
        ("stage", "2"),
        ("collision", "p p"),
        ("energy_gev", 0),
        ("energy_gev", float("nan")),
        ("polarization", "U U"),
        ("geometry", "<script>"),
        ("geometry", "a\x00b"),
        ("version", "v4"),
        ("tag", "a.b"),
        ("tag", "x" * 240),
        ("events", 39_999),
        ("seeds", "1-5, 5-9"),
        ("seeds", []),
        ("seeds", [{"first": 1, "last": 6}, {"first": 6, "last": 9}]),
        ("partition", "MC2025.S1"),
        ("variant", "D0-sig"),
        ("script_version", "2"),
        ("priority", 1001),
        ("labels", ("<b>",)),
        ("description", "a\x00"),
        ("nonsense", 1),
    ],
)
def test_what_cannot_be_is_refused(field, value):
    with pytest.raises(ValidationError):
        make(**{field: value})


def test_a_checked_request_names_every_fault_in_one_error_of_ours():
    assert RequestSpec.checked(BASE) == make()
    with pytest.raises(SpecInvalid, match=r"PROD2031-007: (partition|priority): .*; (priority|partition): "):
        RequestSpec.checked(BASE | {"priority": 2000, "partition": "a.b"})
    with pytest.raises(SpecInvalid, match="10 seeds x 4000"):
        RequestSpec.checked(BASE | {"events": 1})


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"geometry": "tof,  DSSD,ts"}, True),
        ({"request_id": "PROD2031-008", "seeds": "11-20"}, True),
        ({"tag": "minbias-P8-spdroot4172-prod"}, True),
        ({"script_version": "V03"}, True),
        ({"energy_gev": 27.0}, True),
        ({"collision": "PP", "polarization": "uu"}, True),
        ({"campaign": "SPD MC 2032", "priority": 1, "description": "x"}, True),
        ({"tag": "minbias-FTF-spdroot4172-dev"}, False),
        ({"energy_gev": 10}, False),
        ({"stage": "S1"}, False),
        ({"version": "4.1.7.1"}, False),
        ({"variant": "D0sig"}, False),
        ({"geometry": "DSSD, TS"}, False),
    ],
)
def test_the_configuration_is_what_makes_events_equal(changes, same):
    one, other = Configuration.of(make()), Configuration.of(make(**changes))
    assert (one == other) is same
    assert (one.digest() == other.digest()) is same


def test_geometry_loses_case_blanks_and_order():
    assert normalise_geometry(" ECal,  Micromegas ,,BBC") == "bbc, ecal, micromegas"
