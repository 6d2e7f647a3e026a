"""The report of the demonstration: every number read back from PanDA, Rucio and the files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from prodsys.actions.core.context import Context
from prodsys.ddm.content import count_events
from prodsys.ddm.placement import hash_path
from prodsys.model.names import Did
from prodsys.model.plan import LOG
from prodsys.model.seeds import iterate, parse_seeds
from prodsys.model.statuses import JobStatus
from prodsys.settings import Settings
from prodsys.whole_files import write_whole
from sandbox.demo.course import DemoFailed


def build_report(ctx: Context, settings: Settings, pictures: list[dict[str, Any]]) -> dict[str, Any]:
    """The report, with how to ask for oneself at its top."""
    return _addresses(ctx, settings) | {"requests": [read_back(ctx, picture) for picture in pictures]}


def _addresses(ctx: Context, settings: Settings) -> dict[str, Any]:
    secrets = settings.home / "secrets"
    profile = ctx.catalogue.profile
    return {
        "panda": {
            "url": settings.need("PANDA_URL"),
            "vo": settings.get("PANDA_ORIGIN") or profile.origin,
            "token_file": str(secrets / "panda.token"),
        },
        "rucio": {
            "url": settings.need("RUCIO_URL"),
            "account": settings.need("RUCIO_ACCOUNT"),
            "token_file": str(secrets / "rucio.token"),
        },
        "rses": {rse: str(_root(ctx) / rse) for rse in ctx.catalogue.sites.rses},
    }


def _root(ctx: Context) -> Path:
    if ctx.rse_root is None:
        raise DemoFailed("PRODSYS_RSE_ROOT is not set: the files cannot be counted")
    return ctx.rse_root


def read_back(ctx: Context, picture: dict[str, Any]) -> dict[str, Any]:
    """One request, read back."""
    run: dict[str, Any] = next((one for one in picture["runs"] if one["airflow_state"] or one["driving"]), {})
    seeds = list(iterate(parse_seeds(picture["seeds"])))
    datasets = [_dataset(ctx, one) for one in picture["datasets"] if one["kind"] == "dataset"]
    return {
        "request": picture["request_id"],
        "configuration": picture["configuration"],
        "seeds": seeds,
        "events_per_seed": picture["events_per_file"],
        "dag_id": run.get("dag_id"),
        "dag_run_id": run.get("dag_run_id"),
        "state": picture["state"],
        "tasks": [_task(ctx, one, picture) for one in picture["tasks"]],
        "datasets": datasets,
        "containers": [one["did"] for one in picture["datasets"] if one["kind"].endswith("container")],
        "rules": [{"rule_id": one["rule_id"], "state": _rule(ctx, one["rule_id"])} for one in picture["rules"]],
        "missing_seeds": sorted(missing_seeds(picture)),
        "certificate": picture["certificate"],
    }


def missing_seeds(picture: dict[str, Any]) -> set[int]:
    """Seeds that some step of a request lacks."""
    families = [family for step in picture["steps"] for family in step["missing"]]
    return {seed for family in families for seed in iterate(parse_seeds(family["seeds"]))}


def _task(ctx: Context, task: dict[str, Any], picture: dict[str, Any]) -> dict[str, Any]:
    info, jobs = ctx.panda.get_task(task["jedi_task_id"]), ctx.panda.get_jobs(task["jedi_task_id"])
    verdict = next(one["verdict"] for one in picture["steps"] if one["step"] == task["step"])
    return {
        "step": task["step"],
        "attempt": task["attempt"],
        "task_name": info.task_name,
        "jedi_task_id": info.jedi_task_id,
        "status": str(info.status),
        "verdict": verdict,
        "jobs": len(jobs),
        "events": sum(job.events or 0 for job in jobs if job.status is JobStatus.FINISHED),
    }


def _dataset(ctx: Context, row: dict[str, Any]) -> dict[str, Any]:
    did = Did.parse(row["did"])
    files, replicas = ctx.rucio.list_files(did), ctx.rucio.list_replicas_by_rse(did)
    return {
        "did": row["did"],
        "step": row["step"],
        "type": row["data_type"],
        "files": len(files),
        "events": 0 if row["data_type"] == LOG else sum(_events(ctx, did, lfn, replicas) for lfn in files),
        "bytes": sum(fact.bytes for fact in files.values()),
        "replicas": {rse: len(lfns) for rse, lfns in sorted(replicas.items())},
    }


def _events(ctx: Context, did: Did, lfn: str, replicas: dict[str, set[str]]) -> int:
    rse = next(rse for rse, lfns in sorted(replicas.items()) if lfn in lfns)
    return count_events(_root(ctx) / rse / hash_path(Did(did.scope, lfn)))


def _rule(ctx: Context, rule_id: str) -> str:
    return str(ctx.rucio.rule_state(rule_id).state)


def write_report(home: Path, report: dict[str, Any]) -> Path:
    """Write the report; its path."""
    path = home / "demo" / "report.json"
    write_whole(path, json.dumps(report, indent=2) + "\n", mode=0o644)
    return path
