"""The plan of a request: pure, and its digest is what approval binds to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prodsys.errors import SpecInvalid
from prodsys.intake.catalogue import load_catalogue
from prodsys.model.plan import Plan, build_plan, describe
from prodsys.model.request import RequestSpec
from tests.unit.intake.corpus import SPECS

SPEC = RequestSpec.model_validate(
    {
        "request_id": "DEMO2031-012",
        "campaign": "SPD MC 2031",
        "stage": "S2",
        "collision": "pp",
        "energy_gev": 27,
        "polarization": "UU",
        "geometry": "DSSD, TS",
        "software": "spdroot-dev",
        "version": "4.1.7.2",
        "tag": "minbias-P8-spdroot4172-dev",
        "events": 60,
        "events_per_file": 20,
        "seeds": "1-3",
    }
)


@pytest.fixture(scope="module")
def specs():
    return load_catalogue(SPECS, "sandbox")


def test_equal_requests_have_equal_plans_and_a_change_shows(specs):
    plan = build_plan(SPEC, 1, specs)
    assert build_plan(SPEC, 1, specs).digest() == plan.digest()
    assert build_plan(SPEC, 2, specs).digest() != plan.digest()
    other = RequestSpec.model_validate(SPEC.model_dump() | {"seeds": "2-4"})
    assert build_plan(other, 1, specs).digest() != plan.digest()


def test_names_of_the_plan_follow_the_rule(specs):
    plan = build_plan(SPEC, 1, specs)
    sample = "MC2031_S2.minbias-P8-spdroot4172-dev.27GeV-UU.DEMO2031-012"
    assert [str(did) for did in plan.dataset_dids()] == [
        f"MC2031_S2:{sample}.{name}" for name in ("SIM.1.S", "SIM.1.P", "SIM.1.log", "RECO.1.R", "RECO.1.log")
    ]
    assert plan.request_container == f"MC2031_S2:{sample}"
    assert [step.task_name for step in plan.steps] == ["DEMO2031-012.SIM", "DEMO2031-012.RECO"]
    assert plan.before("RECO") == plan.step("SIM")
    assert plan.before("SIM") is None


def test_nothing_of_2025_is_built_in(specs):
    plan = build_plan(SPEC, 1, specs)
    assert "2025" not in plan.model_dump_json()
    assert (plan.partition, plan.accept_percent) == ("MC2031_S2", 66)


def test_a_plan_reads_back_from_its_json(specs):
    plan = build_plan(SPEC, 1, specs)
    again = type(plan).model_validate_json(plan.model_dump_json())
    assert again == plan
    assert again.digest() == plan.digest()


def _asked(**changes: object) -> RequestSpec:
    return RequestSpec.model_validate(SPEC.model_dump() | changes)


def _out_of_service(specs, *names):
    queues = tuple(one.model_copy(update={"enabled": one.name not in names}) for one in specs.sites.queues)
    return specs.model_copy(update={"sites": specs.sites.model_copy(update={"queues": queues})})


def test_nothing_is_pinned_to_a_queue_whatever_the_number_of_the_request(specs):
    plans = [build_plan(_asked(request_id=f"DEMO2031-{number:03d}"), 1, specs) for number in range(1, 21)]
    assert {(step.queue, step.rse) for plan in plans for step in plan.steps} == {(None, None)}
    assert "at the queues that PanDA chooses" in describe(plans[0], "sha256:0")


@pytest.mark.parametrize(
    ("asked", "placed"),
    [
        ({"queue": "SPD_PNPI"}, ("SPD_PNPI", "PNPI_EOS")),
        ({"queue": "SPD_PNPI", "rse": "JINR_EOS"}, ("SPD_PNPI", "JINR_EOS")),
        ({"rse": "PNPI_EOS"}, (None, "PNPI_EOS")),
    ],
)
def test_a_person_may_pin_queue_and_storage(specs, asked, placed):
    plan = build_plan(_asked(**asked), 1, specs)
    assert {(step.queue, step.rse) for step in plan.steps} == {placed}
    assert Plan.model_validate(plan.model_dump(mode="json")).digest() == plan.digest()


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"queue": "SPD_SAMARA"}, "SPD_SAMARA is not among the queues"),
        ({"queue": "SPD_PNPI"}, "SPD_PNPI is out of service"),
        ({"rse": "SAMARA_EOS"}, "SAMARA_EOS is not among the storages"),
    ],
)
def test_a_place_that_cannot_be_used_is_a_fault_with_a_remedy(specs, asked, words):
    with pytest.raises(SpecInvalid, match=words) as caught:
        build_plan(_asked(**asked), 1, _out_of_service(specs, "SPD_PNPI"))
    assert "leave it out: PanDA then chooses" in caught.value.remedy
    assert build_plan(SPEC, 1, _out_of_service(specs, "SPD_PNPI")) == build_plan(SPEC, 1, specs)


def test_an_older_plan_keeps_its_queue_and_its_digest():
    stored = json.loads((Path(__file__).parents[2] / "data/stored/plan_pinned_to_a_queue.json").read_text())
    plan = Plan.model_validate(stored["body"])
    assert {(step.queue, step.rse) for step in plan.steps} == {("SPD_JINR", "JINR_EOS")}
    assert plan.digest() == stored["digest"]
    assert plan.model_dump(mode="json") == stored["body"]
    assert plan.spec.digest() == plan.spec_digest


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"chain": "SIM"}, "chain"),
        ({"software": "sampo"}, "software"),
        ({"version": "9.9"}, "version"),
        ({"campaign": "COMPASS 2016"}, "campaign"),
        ({"partition": "elsewhere"}, "partition"),
    ],
)
def test_what_the_specs_lack_is_named(specs, change, place):
    with pytest.raises(SpecInvalid) as caught:
        build_plan(RequestSpec.model_validate(SPEC.model_dump() | change), 1, specs)
    assert place in caught.value.place
    assert "known" in caught.value.remedy or "look like" in caught.value.remedy


def test_the_description_names_every_task_dataset_and_the_digest(specs):
    plan = build_plan(SPEC, 1, specs)
    text = describe(plan, "sha256:approved")
    assert all(f"task `{step.task_name}`" in text for step in plan.steps)
    names = [one.did for step in plan.steps for one in step.datasets]
    assert any("_" in name for name in names)
    for name in names:  # as text, whose underscores mean nothing to Markdown
        assert f"\n- {name.replace('_', chr(92) + '_')}\n" in text
    assert "Plan `sha256:approved`" in text
    assert "2 on JINR_EOS, PNPI_EOS, kept" in text
