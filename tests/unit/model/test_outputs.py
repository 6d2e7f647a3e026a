"""Names of the datasets that a task fills: as planned, or instances of PanDA's stock refiner."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prodsys.errors import OutputsUnknown
from prodsys.model.outputs import match_outputs, types_of, unite_outputs
from prodsys.panda.client import DATASET_TYPES, OUTPUT_TYPES
from prodsys.panda.parse import job_record, task_datasets
from prodsys.panda.task_map import outputs_of_map

RECORDED = Path(__file__).parents[2] / "data" / "panda" / "stock_refiner.jsonl"
SIM = "MC2025_S2.minbias-P8-spdroot4172-dev.27GeV-UU.PROD2025-202.SIM.1"
PLANNED = {f"{SIM}.S": "S", f"{SIM}.P": "P", f"{SIM}.log": "log"}
INSTANCES = {"S": (f"{SIM}.S.828",), "P": (f"{SIM}.P.829",), "log": (f"{SIM}.log.827",)}


def _calls():
    return [json.loads(line) for line in RECORDED.read_text(encoding="utf-8").splitlines()]


def _shown(call):
    """Output datasets of a recorded answer: it was asked for templates too, those have no files and smaller ids."""
    datasets = task_datasets(call["response_body"]["data"] or ())
    return [(one.dataset_id, one.name) for one in datasets if one.name != "pseudo_dataset"]


def test_the_map_that_was_sent_gives_the_planned_names():
    assert outputs_of_map(_calls()[0]["request_body"]["task_parameters"]) == PLANNED


def test_recorded_names_of_the_stock_refiner_are_matched_as_soon_as_there_are_jobs():
    asked = [
        call
        for call in _calls()
        if call["path"].endswith("get_datasets_and_files")
        and call["query"]["task_id"] == ["251"]
        and set(OUTPUT_TYPES) <= set(call["query"]["dataset_types"]) <= set(DATASET_TYPES)
    ]
    found = [match_outputs(251, PLANNED, _shown(call)) for call in asked]
    assert found[:2] == [{}, {}], "defined and ready: nothing is instantiated yet"
    assert len(found) > 4
    assert all(one == INSTANCES for one in found[2:]), "and a retry fills the same"


def test_the_jobs_tell_the_same_names():
    call = next(call for call in _calls() if call["path"].endswith("get_job_descriptions"))
    jobs = [job_record(row) for row in call["response_body"]["data"]]
    files = {(file.dataset_id, file.dataset) for job in jobs for file in job.outputs}
    assert match_outputs(251, PLANNED, files) == INSTANCES
    assert all(len(file.guid) == 32 for job in jobs if job.status == "finished" for file in job.outputs)


def test_a_refiner_that_keeps_names_is_matched_whatever_the_ids():
    shown = [(7, f"{SIM}.S"), (8, f"{SIM}.P"), (9, f"{SIM}.log")]
    assert types_of(match_outputs(1, PLANNED, shown)) == PLANNED


def test_several_queues_have_an_instance_each():
    shown = [(828, f"{SIM}.S.828"), (1831, f"{SIM}.S.1831"), (829, f"{SIM}.P.829")]
    assert match_outputs(1, PLANNED, shown) == {
        "S": (f"{SIM}.S.1831", f"{SIM}.S.828"), "P": (f"{SIM}.P.829",),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("dataset_id", "name"),
    [
        (829, f"{SIM}.S.828"),  # the number is not its own id
        (828, f"{SIM}.S_der828"),
        (828, f"{SIM}.X.828"),
        (828, f"{SIM}.S.0828"),
        (828, "user.somebody.S"),
    ],
)
def test_a_name_that_cannot_be_matched_is_an_error(dataset_id, name):
    with pytest.raises(OutputsUnknown, match="neither planned") as caught:
        match_outputs(251, PLANNED, [(827, f"{SIM}.log.827"), (dataset_id, name)])
    assert caught.value.names == (name,)


def test_a_name_once_seen_is_never_forgotten():
    known = {"S": ["a.S.1"], "log": ["a.log.3"]}
    assert unite_outputs(known, {"S": ("a.S.2",)}) == {"S": ("a.S.1", "a.S.2"), "log": ("a.log.3",)}
    assert unite_outputs(known, {}) == {"S": ("a.S.1",), "log": ("a.log.3",)}
