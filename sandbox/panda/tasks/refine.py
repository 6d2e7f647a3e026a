"""From a submitted map to a task: what JEDI's refiner does, as pure functions over the map.

Source: recordings ``broken``, ``seed_list``, ``chain_done``, ``odd_input``, ``twins``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sandbox.panda.tasks.templates import input_stream, mark_outputs, output_pattern, parameter_text

LABELS = frozenset({"managed", "user", "panda", "test", "ptest", "rc_test", "rc_test2", "install"})
COMMON_KEYS = ("taskType", "processingType", "taskPriority", "architecture", "transUses", "transHome")
_DOCUMENTED = ("allowEmptyInput", "failGoalUnreached", "runUntilClosed", "useExhausted")
SCOUTS = 10
SCOUT_THRESHOLD = 20
MOST_SLOTS = 1_000_000
"""Not recorded: a bound of the sandbox, so that no map can fill its database."""


class RefineFailed(Exception):
    """The map cannot become a task; the text becomes the task's errorDialog.

    `named` tells whether JEDI had read the name and user by then; otherwise the task keeps a random name.
    """

    def __init__(self, reason: str, named: bool) -> None:
        self.named = named
        super().__init__(reason)


@dataclass(frozen=True)
class DatasetPlan:
    """A dataset the task reads or fills."""

    name: str
    type: str
    master: bool = False
    stream: str | None = None
    ratio: int = 1
    first_number: int = 0
    pattern: str | None = None
    token: str | None = None
    destination: str | None = None


@dataclass(frozen=True)
class RefinedTask:
    """What the map means."""

    attributes: dict[str, Any]
    raw_params: dict[str, Any]
    datasets: list[DatasetPlan] = field(default_factory=list)

    @property
    def inputs(self) -> list[str]:
        """Names of the datasets to be looked up."""
        return [plan.name for plan in self.datasets if plan.type == "input"]


TEMPLATE = "tmpl_"
"""Begins the types of datasets that the stock refiner makes of outputs and logs; no file is ever in them."""
INSTANTIATES = "instantiateTmpl=1,instantiateTmplSite=1"
"""Words of the split rule of a task whose outputs are templates (recording ``stock_refiner``)."""
_BEFORE_OUTPUTS = frozenset(
    {"walltime", "outDiskCount", "workDiskCount", "ramCount", "eventService", "cpuTimeUnit", "requestType"}
)


def as_templates(refined: RefinedTask) -> RefinedTask:
    """What PanDA's stock refiner makes of it: outputs and log are templates, instantiated with the first jobs."""
    plans = [
        replace(plan, type=f"{TEMPLATE}{plan.type}") if plan.type in ("output", "log") else plan
        for plan in refined.datasets
    ]
    rule = f"{refined.attributes['splitRule']},{INSTANTIATES}"
    return replace(refined, datasets=plans, attributes={**refined.attributes, "splitRule": rule})


def early_attributes(params: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of a task whose outputs JEDI could not check (recording ``stock_ddm``)."""
    return {key: value for key, value in common_attributes(params).items() if key not in _BEFORE_OUTPUTS}


def destinations(plans: Sequence[DatasetPlan]) -> list[str]:
    """Destinations of outputs that JEDI looks up: plain words, each once."""
    found = [plan.destination for plan in plans if plan.type in ("output", "log") and plan.destination]
    return [one for one in dict.fromkeys(found) if re.fullmatch(r"[a-zA-Z0-9_-]+", one)]


def check_common(params: Mapping[str, Any], vo: str) -> None:
    """Fail where JEDI fails before it knows the task's name.

    Raises
    ------
    RefineFailed
        Unknown experiment or label, or one of the common keys is missing.
    """
    label = params.get("prodSourceLabel")
    if params.get("vo") != vo:
        raise RefineFailed(f"task refiner is undefined for vo={params.get('vo')} sourceLabel={label}", named=False)
    for key in COMMON_KEYS:
        if key not in params:
            raise RefineFailed(f"failed to extract common parameters with KeyError:'{key}'", named=False)
    if label not in LABELS:
        rule = _short_rule(params)
        raise RefineFailed(
            "failed to extract common parameters with RuntimeError:workqueue is undefined for "
            f"vo={vo} label={label} processingType={params['processingType']} "
            f"workingGroup={params.get('workingGroup')} coreCount={params.get('coreCount')} eventService=0 "
            f"splitRule={rule} campaign={params.get('campaign')}",
            named=True,
        )


def _short_rule(params: Mapping[str, Any]) -> str:
    head = [f"NE={params['nEventsPerJob']}"] if params.get("nEventsPerJob") else []
    return ",".join([*head, "PC=1", "CV=1", "MD=1"])


def refine(params: Mapping[str, Any], user_name: str) -> RefinedTask:
    """Return the refined task of a map that passed `check_common`.

    Raises
    ------
    RefineFailed
        The map has no job parameters.
    """
    if "jobParameters" not in params:
        raise RefineFailed("failed to refine task with KeyError:'jobParameters'", named=True)
    marked = mark_outputs(params["jobParameters"])
    raw = {**params, "jobParameters": marked, "userName": user_name}
    if isinstance(params.get("log"), Mapping):
        value = str(params["log"].get("value", ""))
        raw["log"] = {**params["log"], "value": value.replace(output_pattern(value), "${LOG0}") if value else "${LOG0}"}
    raw.update(pushStatusChanges=True, messageDriven=True, cloudAsVO=True)
    attributes = common_attributes(params)
    attributes["splitRule"] = split_rule(params)
    attributes["job_execution_params"] = parameter_text(marked)
    return RefinedTask(attributes, raw, plan_datasets(params))


def common_attributes(params: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes of the task that come straight from the map, by their names in the API."""
    given = {
        key: params.get(key)
        for key in (
            "workingGroup", "processingType", "transUses", "transHome", "transPath", "coreCount", "walltime",
            "ramCount", "ramUnit", "cloud", "campaign", "cpuTimeUnit", "container_name", "goal",
        )
    }  # fmt: skip
    kind = f"{params.get('workingGroup')}|{params.get('campaign', '')[:3]}"
    fixed = {
        "architecture": params["architecture"] or "{}",
        "outDiskCount": 0,
        "workDiskCount": 0,
        "workQueue_ID": 11,
        "eventService": 0,
        "cpuEfficiency": 90,
        "baseWalltime": 600,
        "baseRamCount": 0,
        "gshare": "SPD production",
        "resource_type": "Undefined",
        "requestType": hashlib.md5(kind.encode(), usedforsecurity=False).hexdigest(),
    }
    return {**given, **fixed, "walltime": params.get("walltime", 0), "goal": read_goal(params)}


def read_goal(params: Mapping[str, Any]) -> int | None:
    """Goal of the map [tenths of a percent of the input], or None when it has none or an impossible one.

    Not recorded: from PanDA's documentation; a goal of 100 % or more is no goal, the task ends by itself.
    """
    try:
        goal = int(float(params.get("goal") or 0) * 10)
    except (TypeError, ValueError, OverflowError):
        return None
    return goal if 0 < goal < 1000 else None


def uses_scouts(params: Mapping[str, Any]) -> bool:
    """Whether scouts are wanted: ``skipScout`` acts by being there, whatever its value."""
    return "skipScout" not in params


def split_rule(params: Mapping[str, Any]) -> str:
    """Return the task's split rule in words, in the recorded order."""
    parts = ["useScout=no_use"] if uses_scouts(params) else []
    numbers = (
        ("nFilesPerJob", "nFilesPerJob"), ("nEventsPerInput", "nEventsPerInputFile"), ("nEventsPerJob", "nEventsPerJob")
    )  # fmt: skip
    parts += [f"{name}={params[key]}" for name, key in numbers if params.get(key) or (params.get(key) == 0)]
    parts += [f"disableAutoRetry={params['disableAutoRetry']}"] if "disableAutoRetry" in params else []
    parts += [f"{name}=1" for name, key in (("noWaitParent", "noWaitParent"), ("pfnList", "pfnList")) if key in params]
    parts += [f"{name}=1" for name in _DOCUMENTED if params.get(name)]
    parts += ["pushStatusChanges=1", "cloudAsVO=1", "messageDriven=1"]
    for name, placeholder in (("randomSeed", "${RNDMSEED}"), ("firstEvent", "${FIRSTEVENT}")):
        offset = _number_offset(params, placeholder)
        if offset is not None:
            parts.append(f"{name}={offset}")
    return ",".join(parts)


def _number_offset(params: Mapping[str, Any], placeholder: str) -> int | None:
    for item in params.get("jobParameters", ()):
        if item.get("param_type") == "number" and placeholder in str(item.get("value", "")):
            return int(item.get("offset", 0))
    return None


def first_event_offset(params: Mapping[str, Any]) -> int:
    """Return the offset of ``${FIRSTEVENT}``."""
    return _number_offset(params, "${FIRSTEVENT}") or 0


def plan_datasets(params: Mapping[str, Any]) -> list[DatasetPlan]:
    """Datasets of the task: input slots first, then the seed pool, outputs in the order of the map, the log last."""
    items = [item for item in params["jobParameters"] if item.get("type") == "template"]
    inputs = [item for item in items if item.get("param_type") == "input"]
    plans = _plan_inputs(inputs) or [DatasetPlan("pseudo_dataset", "pseudo_input", master=True, stream="IN")]
    pool = _number_offset(params, "${RNDMSEED}")
    if pool is not None:
        plans.append(DatasetPlan("RNDMSEED", "random_seed", stream="RNDMSEED", first_number=pool))
    plans += [_plan_output(item, "output") for item in items if item.get("param_type") == "output"]
    if isinstance(params.get("log"), Mapping):
        plans.append(_plan_output(params["log"], "log"))
    return plans


def _plan_inputs(items: list[Mapping[str, Any]]) -> list[DatasetPlan]:
    streams = [input_stream(str(item.get("value", "")), position) for position, item in enumerate(items)]
    master = streams.index("IN") if "IN" in streams else 0
    return [
        DatasetPlan(
            name=str(item["dataset"]),
            type="input",
            master=position == master,
            stream=streams[position],
            ratio=max(int(item.get("ratio", 1) or 1), 1),
        )
        for position, item in enumerate(items)
    ]


def _plan_output(item: Mapping[str, Any], kind: str) -> DatasetPlan:
    return DatasetPlan(
        name=str(item["dataset"]),
        type=kind,
        first_number=int(item.get("offset", 0) or 0),
        pattern=output_pattern(str(item.get("value", ""))),
        token=item.get("token"),
        destination=item.get("destination"),
    )


def plan_slots(params: Mapping[str, Any]) -> list[tuple[str, int | None, int | None]] | None:
    """Input slots of a task without input datasets: (lfn, first event, events) each.

    Returns
    -------
    list or None
        None when the number of events is no number: such a task stays ``defined`` for ever (recording ``odd_input``).

    Raises
    ------
    ValueError
        The map asks for more than `MOST_SLOTS` jobs.
    """
    listed = params.get("pfnList")
    if isinstance(listed, list) and listed:
        limit = params.get("nFiles")
        listed = listed[: int(limit)] if isinstance(limit, int) and limit > 0 else listed
        per_job = _whole(params.get("nEventsPerJob"))
        return [(f"{index:06d}:{name}", None, per_job) for index, name in enumerate(listed)]
    events, per_job = params.get("nEvents"), params.get("nEventsPerJob")
    if events is not None and not isinstance(events, int):
        return None
    if not events or events < 0:
        return [("pseudo_lfn", None, _whole(per_job))] * _bounded(_whole(params.get("nFiles")) or 1)
    events = int(events)
    size = _whole(per_job) or events
    _bounded(-(-events // size))
    starts = range(0, events, size)
    return [("pseudo_lfn", start, min(size, events - start)) for start in starts]


def _bounded(count: int) -> int:
    if count > MOST_SLOTS:
        raise ValueError(f"{count} jobs are too many, at most {MOST_SLOTS} can be made for one task")
    return count


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def scope_of(dataset: str) -> tuple[str, str]:
    """Scope and name of a dataset: ``scope:name``, or the first dot part of the name as scope."""
    if ":" in dataset:
        scope, name = dataset.split(":", 1)
        return scope, name
    return dataset.split(".", 1)[0], dataset
