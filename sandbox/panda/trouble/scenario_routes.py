"""The sandbox's own routes about its scenario: what is in force, and the journal of what was done to whom."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from sqlalchemy import Connection, select

from sandbox.panda import tables as t
from sandbox.panda.trouble.in_force import ScenarioInForce

router = APIRouter(prefix="/sandbox/scenario")
MOST = 1000


@router.get("")
def show_scenario(request: Request) -> JSONResponse:
    """What is in force, since when, and what is wrong with the file if anything."""
    return JSONResponse(describe(request.app.state.scenario))


@router.get("/journal")
def show_journal(
    request: Request, task: int | None = None, limit: int = Query(default=100, ge=1, le=MOST)
) -> JSONResponse:
    """The journal, newest first; of one task or of all."""
    with request.app.state.engine.connect() as connection:
        return JSONResponse(read_journal(connection, task, limit))


def describe(scenario: ScenarioInForce) -> dict[str, Any]:
    """Return what is in force in words."""
    return {
        "description": scenario.current.description,
        "rules": len(scenario.current.rules),
        "since": scenario.moment().since.isoformat() if scenario.current.rules else None,
        "trouble": scenario.file.trouble or None,
    }


def read_journal(connection: Connection, jedi_task_id: int | None, limit: int) -> list[dict[str, Any]]:
    """Lines of the journal, newest first."""
    j = t.scenario_journal.c
    query = select(t.scenario_journal).order_by(j.entry_id.desc()).limit(limit)
    if jedi_task_id is not None:
        query = query.where(j.jedi_task_id == jedi_task_id)
    return [
        {**row, "happened": row["happened"].isoformat(timespec="seconds")}
        for row in connection.execute(query).mappings()
    ]
