"""Task maps that PanDA is given, built from an order. Pure.

The two forms are those that a real JEDI ran to the end (recordings ``seed_list`` and ``chain_done``); nothing is sent
that was not tried there. In particular ``walltime`` stays 0: to JEDI it is a growth with the input, not a limit of a
job; the limit is the queue's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prodsys.errors import SpecInvalid
from prodsys.model.names import data_type_of

ADDED_BY_JEDI = frozenset({"userName", "pushStatusChanges", "messageDriven", "cloudAsVO"})
INPUT_ARGUMENTS = ("in", "par")  # what the scripts call their first and second input; later ones are in3, in4, ...
SHOWN_LENGTH = 120  # characters of a value that a difference shows


@dataclass(frozen=True)
class StepOrder:
    """All that PanDA has to know about the task of one step."""

    task_name: str
    vo: str
    campaign: str
    working_group: str
    processing_type: str
    transform: str  # what a job runs (transPath)
    script: str  # full path of the macro
    image: str
    queue: str | None  # None: PanDA's brokerage chooses, job by job
    cloud: str
    priority: int
    cores: int
    ram_mb: int  # per core
    max_attempts: int
    events_per_job: int
    seeds: tuple[int, ...]  # SIM: one job each, in this order; RECO: the seeds of its input
    outputs: Mapping[str, str]  # data type -> dataset, in order, without the log
    log_dataset: str
    inputs: Mapping[str, str] | None = None  # RECO: data type -> dataset, in order: S, P
    parent_tid: int | None = None  # goes beside the map, in the submission
    event_argument: bool = True  # False: the server is too old for ${IN/M[...]}; the script computes the first event
    destination: str | None = None  # storage (RSE) of the output datasets; None: that of the queue where a job runs
    architecture: str = ""
    token: str = "EOS"  # noqa: S105 - a space token of storage, no secret


def build_sim_map(order: StepOrder) -> dict[str, object]:
    """Task map of a simulation: the seeds, listed one by one, are its input.

    Raises
    ------
    SpecInvalid
        There is no seed, or one stands there twice.

    Notes
    -----
    Source: recording ``seed_list``, panda-server 1.0.4. A seed keeps its slot through every attempt.
    """
    if not order.seeds or len(set(order.seeds)) != len(order.seeds):
        raise SpecInvalid(order.task_name, "a simulation needs seeds, each once", "see the seeds of the request")
    first = f" --first=${{IN/M[(#-1)*{order.events_per_job}+1]}}" if order.event_argument else ""
    script = f"{order.script} --seed=${{IN}}{first} --n={order.events_per_job}"
    return _common(order) | {
        "noInput": True,
        "pfnList": [str(seed) for seed in order.seeds],
        "nFiles": len(order.seeds),
        "nFilesPerJob": 1,
        "walltime": 0,
        "cpuTimeUnit": "HS06sPerEvent",
        "jobParameters": [{"type": "constant", "value": script}, *_outputs(order)],
    }


def build_reco_map(order: StepOrder) -> dict[str, object]:
    """Task map of a reconstruction: one file of each input a job, side by side.

    Raises
    ------
    SpecInvalid
        There is no input.

    Notes
    -----
    Source: recording ``chain_done``, panda-server 1.0.4. JEDI pairs the inputs in the order of their names: whoever
    submits this map has checked that every file has its partner.
    """
    if not order.inputs:
        raise SpecInvalid(order.task_name, "a reconstruction needs input datasets", "see the inputs of its chain step")
    return _common(order) | {
        "nFilesPerJob": 1,
        "nEventsPerInputFile": order.events_per_job,
        "jobParameters": [{"type": "constant", "value": order.script}, *_inputs(order.inputs), *_outputs(order)],
    }


def same_work(stored_map: Mapping[str, object], our_map: Mapping[str, object]) -> list[str]:
    """Differences between a map PanDA holds and ours; empty when that task is ours.

    Everything counts, the seeds included. Only what JEDI itself does to a map is overlooked: it adds four keys,
    writes ``${OUTPUT0}`` and ``${LOG0}`` for the names of files, and lists an input dataset once more.
    """
    stored, ours = _as_refined(stored_map), _as_refined(our_map)
    for key in ADDED_BY_JEDI - set(ours):
        stored.pop(key, None)
    return list(_differences("", stored, ours))


def outputs_of_map(task_map: Mapping[str, object]) -> dict[str, str]:
    """Dataset name -> data type of everything a task writes, the log last; also of a task made by hand.

    Returns
    -------
    dict
        Names without scope, as PanDA reports them with the files: ``{"...SIM.1.S": "S", "...SIM.1.log": "log"}``.

    Raises
    ------
    SpecInvalid
        A dataset does not end with a data type, or two datasets have the same.
    """
    found = {plain_name(name): _data_type(name) for name in datasets_of_map(task_map, "output")}
    found |= {plain_name(name): "log" for name in datasets_of_map(task_map, "log")}
    if len(set(found.values())) != len(found):
        raise SpecInvalid(str(task_map.get("taskName")), f"two outputs of one data type: {', '.join(found)}")
    return found


def inputs_of_map(task_map: Mapping[str, object]) -> dict[str, str]:
    """Data type -> name of the dataset a task reads, in the order PanDA pairs them; {} for a simulation."""
    return {_data_type(name): plain_name(name) for name in datasets_of_map(task_map, "input")}


def datasets_of_map(task_map: Mapping[str, object], kind: str) -> list[str]:
    """Datasets of the templates of one ``param_type`` (output, input, log) of a map, in its order."""
    listed = task_map.get("jobParameters")
    templates = [*(listed if isinstance(listed, list) else ()), task_map.get("log")]
    found = [one for one in templates if isinstance(one, Mapping) and one.get("param_type") == kind]
    return list(dict.fromkeys(str(one["dataset"]) for one in found if one.get("dataset")))


def plain_name(dataset: str) -> str:
    """Name of a dataset without its scope, as PanDA takes it either way."""
    return dataset.rpartition(":")[2]


def _data_type(dataset: str) -> str:
    word = data_type_of(dataset)
    if word is None:
        raise SpecInvalid("dataset", f"{dataset!r} does not end with a data type", "such as .S, .P, .R, .log")
    return word


def _common(order: StepOrder) -> dict[str, object]:
    return {
        "taskName": order.task_name,
        "uniqueTaskName": True,
        "vo": order.vo,
        "prodSourceLabel": "managed",
        "taskType": "prod",
        "processingType": order.processing_type,
        "taskPriority": order.priority,
        "workingGroup": order.working_group,
        "campaign": order.campaign,
        "cloud": order.cloud,
        **({"site": order.queue} if order.queue else {}),
        "architecture": order.architecture,  # must be there even when empty, as the next two: else the task is broken
        "transUses": "",
        "transHome": "",
        "transPath": order.transform,
        "container_name": order.image,
        "coreCount": order.cores,
        "ramCount": order.ram_mb,
        "ramUnit": "MBPerCore",
        "maxAttempt": order.max_attempts,
        "maxFailure": order.max_attempts,
        "skipScout": True,  # counts by being there
        "log": _template(order, "log", order.log_dataset, f"{order.log_dataset}.${{SN}}.tgz"),
    }


def _inputs(inputs: Mapping[str, str]) -> list[dict[str, object]]:
    parameters: list[dict[str, object]] = []
    for number, dataset in enumerate(inputs.values(), start=1):
        argument = INPUT_ARGUMENTS[number - 1] if number <= len(INPUT_ARGUMENTS) else f"in{number}"
        stream = "${IN}" if number == 1 else f"${{IN{number}}}"
        parameter: dict[str, object] = {
            "type": "template",
            "param_type": "input",
            "value": f"--{argument}={stream}",
            "dataset": dataset,
        }
        parameters.append(parameter if number == 1 else parameter | {"ratio": 1})
    return parameters


def _outputs(order: StepOrder) -> list[dict[str, object]]:
    single = len(order.outputs) == 1
    return [
        _template(
            order,
            "output",
            dataset,
            f"--{'out' if single else f'out-{data_type.lower()}'}={dataset}.${{SN}}.root",
        )
        | {"offset": 0}
        for data_type, dataset in order.outputs.items()
    ]


def _template(order: StepOrder, kind: str, dataset: str, value: str) -> dict[str, object]:
    return {
        "type": "template",
        "param_type": kind,
        "dataset": dataset,
        "value": value,
        "token": order.token,
        **({"destination": order.destination} if order.destination else {}),
    }


def _as_refined(task_map: Mapping[str, object]) -> dict[str, object]:
    """The map with the names of files as JEDI writes them after refinement."""
    refined = dict(task_map)
    if isinstance(refined.get("log"), Mapping):
        refined["log"] = _refine_template(refined["log"], "LOG0")
    parameters = refined.get("jobParameters")
    if isinstance(parameters, list):
        refined["jobParameters"] = list(_refine_parameters(parameters))
    return refined


def _refine_parameters(parameters: list[object]) -> Iterator[object]:
    outputs = 0
    for parameter in parameters:
        if isinstance(parameter, Mapping) and parameter.get("param_type") == "output":
            yield _refine_template(parameter, f"OUTPUT{outputs}")
            outputs += 1
        elif isinstance(parameter, Mapping) and parameter.get("expandedList") == [parameter.get("dataset")]:
            yield {key: value for key, value in parameter.items() if key != "expandedList"}
        else:
            yield parameter


def _refine_template(template: object, stream: str) -> object:
    if not isinstance(template, Mapping):
        return template
    value, dataset = str(template.get("value")), str(template.get("dataset"))
    for suffix in ("root", "tgz"):
        value = value.replace(f"{dataset}.${{SN}}.{suffix}", f"${{{stream}}}")
    return dict(template) | {"value": value}


def _differences(place: str, stored: object, ours: object) -> Iterator[str]:
    if isinstance(stored, Mapping) and isinstance(ours, Mapping):
        for key in sorted(set(stored) | set(ours), key=str):
            inner = f"{place}.{key}" if place else str(key)
            if key not in ours:
                yield f"{inner}: PanDA has {_shown(stored[key])}, we did not send it"
            elif key not in stored:
                yield f"{inner}: we sent {_shown(ours[key])}, PanDA has none"
            else:
                yield from _differences(inner, stored[key], ours[key])
    elif isinstance(stored, list) and isinstance(ours, list) and len(stored) == len(ours) and place == "jobParameters":
        for number, (left, right) in enumerate(zip(stored, ours, strict=True)):
            yield from _differences(f"{place}[{number}]", left, right)
    elif stored != ours or isinstance(stored, bool) != isinstance(ours, bool):
        yield f"{place}: PanDA has {_shown(stored)}, we sent {_shown(ours)}"


def _shown(value: object) -> str:
    text = f"{len(value)} values {value}" if isinstance(value, list) else repr(value)
    return text if len(text) <= SHOWN_LENGTH else text[: SHOWN_LENGTH - 3] + "..."
