"""Layouts: how a chain becomes airflow tasks. A layout never changes its shape; a new shape gets a new name.

A run that was begun with a layout may be resumed months later, so a layout stays as long as an unarchived request uses
it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow.sdk import Asset, TaskGroup, TriggerRule, chain

from prodsys.building.published import PublishedBunch, PublishedSpec, PublishedStep
from prodsys.errors import SpecInvalid
from prodsys.operators.close import CertifyOperator, CollectOperator, ReplicateOperator
from prodsys.operators.gate import GateOperator
from prodsys.operators.panda_submit import OPERATORS, PandaSubmitOperator
from prodsys.operators.settle import SettleOperator
from prodsys.operators.step_data import StepDataOperator
from prodsys.sensors.panda_task import PandaTaskSensor
from prodsys.sensors.rucio_rule import RucioRuleSensor

Layout = Callable[[PublishedSpec], None]


def lay_out_linear_1(spec: PublishedSpec) -> None:
    """``gate``, then per step ``submit, wait, settle, data``, then ``close``."""
    gate = GateOperator(task_id="gate", **_request(spec))
    chain(gate, *(_step_group(spec, step) for step in spec.steps), _close_group(spec))


def lay_out_bunches_1(spec: PublishedSpec) -> None:
    """``gate``, then the steps of each bunch in a lane of their own, then ``close``.

    There are as many lanes as bunches may run at once; in a lane one bunch follows the other.
    """
    gate = GateOperator(task_id="gate", **_request(spec))
    lanes: list[list[Any]] = [[gate] for _ in range(min(spec.bunches_at_once, len(spec.bunches)))]
    for place, bunch in enumerate(spec.bunches):
        lanes[place % len(lanes)].append(_bunch_group(spec, bunch))
    close = _close_group(spec)
    for lane in lanes:
        chain(*lane, close)


def lay_out_bunches_2(spec: PublishedSpec) -> None:
    """As ``bunches-1``, but a bunch that failed does not stop the next one of its lane.

    The first task of a bunch starts when the bunch before it is done, whatever became of it, and the gate succeeded.
    ``close`` needs every bunch, so a run in which a bunch failed ends failed.
    """
    gate = GateOperator(task_id="gate", **_request(spec))
    lanes: list[TaskGroup | None] = [None] * min(spec.bunches_at_once, len(spec.bunches))
    groups = []
    for position, bunch in enumerate(spec.bunches):
        group, previous = _bunch_group(spec, bunch), lanes[position % len(lanes)]
        gate >> group
        if previous is not None:
            previous >> group
            for first in group.get_roots():
                first.trigger_rule = TriggerRule.ALL_DONE_MIN_ONE_SUCCESS  # the gate is the one; skipped stays skipped
        lanes[position % len(lanes)] = group
        groups.append(group)
    groups >> _close_group(spec)


def _bunch_group(spec: PublishedSpec, bunch: PublishedBunch) -> TaskGroup:
    with TaskGroup(group_id=f"b{bunch.number:03d}", tooltip=f"seeds {bunch.seeds}") as group:
        chain(*(_step_group(spec, step, bunch.number) for step in bunch.steps))
    return group


LAYOUTS: dict[str, Layout] = {
    "linear-1": lay_out_linear_1,
    "bunches-1": lay_out_bunches_1,  # of plans that were approved with it; new plans have bunches-2
    "bunches-2": lay_out_bunches_2,
}


def get_layout(name: str) -> Layout:
    """The layout of this name.

    Raises
    ------
    SpecInvalid
        This version of prodsys has none of this name.
    """
    try:
        return LAYOUTS[name]
    except KeyError:
        known = ", ".join(sorted(LAYOUTS))
        raise SpecInvalid("layout", f"{name!r} is not built here", f"known: {known}; install a newer prodsys") from None


def _request(spec: PublishedSpec) -> dict[str, Any]:
    return {"request_id": spec.request_id, "revision": spec.revision}


def _step_group(spec: PublishedSpec, step: PublishedStep, bunch: int | None = None) -> TaskGroup:
    common = _request(spec) | {"step": step.kind, "doc_md": step.doc_md}
    if bunch is not None:
        common["bunch"] = bunch
    wait = {name: value for name, value in common.items() if name != "revision"}
    assets = [Asset(name=asset.name, uri=asset.uri, group="dataset") for asset in step.assets]
    with TaskGroup(group_id=step.kind.lower(), tooltip=step.task_name) as group:
        submit = OPERATORS.get(step.kind, PandaSubmitOperator)(
            task_id="submit", priority_weight=spec.priority, weight_rule="absolute", **common
        )
        settle = SettleOperator(task_id="settle", **common)
        data = StepDataOperator(task_id="data", outlets=assets, **common)
        chain(submit, PandaTaskSensor(task_id="wait", **wait), settle, data)
    return group


def _close_group(spec: PublishedSpec) -> TaskGroup:
    common = _request(spec)
    with TaskGroup(group_id="close", tooltip="containers, replicas, certificate") as group:
        collect = CollectOperator(task_id="collect", **common)
        replicate = ReplicateOperator(task_id="replicate", **common)
        wait = RucioRuleSensor(task_id="wait_replicas", request_id=spec.request_id)
        certify = CertifyOperator(task_id="certify", **common)
        chain(collect, replicate, wait, certify)
    return group
