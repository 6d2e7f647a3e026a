"""What Airflow is told about one published request: read from the plan that was approved, with its digest checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from prodsys.errors import FileUnreadable
from prodsys.model import seeds as seed_ranges
from prodsys.model.names import Did, RequestId, TaskName, dag_id_of
from prodsys.model.plan import Plan, PlannedBunch, PlannedStep, describe, where
from prodsys.model.request import digest_of

TAG_LENGTH = 100  # of a DAG tag; source: Airflow 3.3.2, models/dag.py, DagTag.name
DIGEST_SHOWN = 12  # hex digits of the digest in a file name
STUB = '''"""Airflow DAG of request {request_id}. The request bundle wrote it; change the request, never this file."""

from pathlib import Path

from prodsys.building.dag_builder import build_dag  # an airflow.sdk.DAG
from prodsys.building.published import read_published

PLAN = Path(__file__).with_name({plan_name!r})
EXPECTED = {expected!r}
dag = build_dag(read_published(PLAN, digest={digest!r}, owner={owner!r}, expected=EXPECTED))
'''


class PublishedPart(BaseModel):
    """Base of the parts: frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PublishedAsset(PublishedPart):
    """A dataset others may schedule on."""

    name: str = Field(description="the DID, scope:name")
    uri: str = Field(description="x-rucio://scope/name")
    data_type: str


class PublishedStep(PublishedPart):
    """One step as the graph shows it."""

    kind: str
    task_name: str
    doc_md: str
    assets: tuple[PublishedAsset, ...]


class PublishedBunch(PublishedPart):
    """One bunch, with its own tasks and datasets."""

    number: int
    seeds: str
    steps: tuple[PublishedStep, ...]


class PublishedSpec(PublishedPart):
    """One published request, as a layout lays it out."""

    layout: str
    request_id: str
    revision: int
    digest: str = Field(description="of the approved plan")
    dag_id: str
    display_name: str
    owner: str
    tags: tuple[str, ...]
    doc_md: str
    description: str
    priority: int
    steps: tuple[PublishedStep, ...]
    bunches: tuple[PublishedBunch, ...] = ()
    bunches_at_once: int = 1

    @classmethod
    def of(cls, plan: Plan, digest: str, owner: str, expected: str = "") -> PublishedSpec:
        """What Airflow is told about a plan; the same plan always gives the same.

        ``expected`` is what the plan takes, as it was approved; "": the figures of its chain.
        """
        return cls(
            layout=plan.layout,
            request_id=plan.request_id,
            revision=plan.revision,
            digest=digest,
            dag_id=dag_id_of(plan.request_id),
            display_name=plan.request_id,
            owner=owner or "prodsys",
            tags=_tags(plan),
            doc_md=describe(plan, digest, expected),
            description=f"{plan.events} events, {plan.tag}, {len(plan.steps)} steps, revision {plan.revision}",
            priority=plan.priority,
            steps=() if plan.bunches else _steps(plan, None),
            bunches=tuple(_bunch(plan, bunch) for bunch in plan.bunches),
            bunches_at_once=plan.bunches_at_once,
        )


def stub_name(request_id: str) -> str:
    """File that Airflow parses."""
    return f"{dag_id_of(request_id)}.py"


def plan_name(request_id: str, digest: str) -> str:
    """File the stub reads: ``prod__PROD2025-016.9f2c1a2b3c4d.json``.

    The digest is in it, so that a stub being parsed never meets the plan of another revision.
    """
    return f"{dag_id_of(request_id)}.{digest.removeprefix('sha256:')[:DIGEST_SHOWN]}.json"


def render_stub(request_id: str, digest: str, owner: str, expected: str = "") -> str:
    """Text of the ``.py``; a change of the plan changes it, and that is all Airflow looks at."""
    return STUB.format(
        request_id=RequestId.parse(request_id),
        plan_name=plan_name(request_id, digest),
        digest=digest,
        owner=owner,
        expected=expected,
    )


def render_plan(body: dict[str, Any]) -> str:
    """Text of the ``.json``: the approved plan, readable; its digest does not depend on the layout of the text."""
    return json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def read_published(path: Path, digest: str, owner: str, expected: str = "") -> PublishedSpec:
    """The published request in this file.

    Raises
    ------
    FileUnreadable
        The file is missing, is no plan, or is not the plan that was approved.
    """
    remedy = f"remove {path.parent}: the bundle writes it again from the ledger"
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FileUnreadable(str(path), f"the plan cannot be read: {error}", remedy) from error
    found = digest_of(body)
    if found != digest:
        raise FileUnreadable(str(path), f"it is plan {found}, but {digest} was approved", remedy)
    try:
        plan = Plan.model_validate(body)
    except ValidationError as error:
        words = error.errors(include_url=False)[0]
        place = ".".join(map(str, words["loc"]))
        remedy = "the plan is of another version of prodsys: run the version that approved it"
        raise FileUnreadable(str(path), f"{place}: {words['msg']}", remedy) from error
    return PublishedSpec.of(plan, digest, owner, expected)


def _tags(plan: Plan) -> tuple[str, ...]:
    words = (plan.campaign, plan.spec.stage, plan.spec.collision, plan.tag, RequestId.parse(plan.request_id).prefix)
    return tuple(sorted({word[:TAG_LENGTH] for word in words if word.strip()}))


def _bunch(plan: Plan, bunch: PlannedBunch) -> PublishedBunch:
    return PublishedBunch(number=bunch.number, seeds=seed_ranges.show(bunch.seeds), steps=_steps(plan, bunch.number))


def _steps(plan: Plan, bunch: int | None) -> tuple[PublishedStep, ...]:
    return tuple(_step(plan, step, bunch) for step in plan.steps)


def _step(plan: Plan, step: PlannedStep, bunch: int | None) -> PublishedStep:
    name = TaskName(plan.request_id, step.kind, bunch)
    jobs = seed_ranges.count(plan.seeds_of_bunch(bunch))
    return PublishedStep(
        kind=step.kind,
        task_name=str(name),
        doc_md=f"PanDA task `{name}` {where(step)}: {jobs} jobs, {jobs * step.events_per_job} events.",
        assets=tuple(
            _asset(Did.parse(dataset.did), dataset.data_type) for dataset in step.datasets if dataset.bunch == bunch
        ),
    )


def _asset(did: Did, data_type: str) -> PublishedAsset:
    return PublishedAsset(name=str(did), uri=f"x-rucio://{did.scope}/{did.name}", data_type=data_type)
