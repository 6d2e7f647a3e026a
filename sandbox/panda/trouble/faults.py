"""Faults of the server that a scenario asks for: errors, silence, pages, cut connections, a restart."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

from fastapi import Request, Response
from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.exc import DBAPIError
from starlette.concurrency import run_in_threadpool

from sandbox.panda import tables as t
from sandbox.panda.api.apache_pages import apache_page, login_page
from sandbox.panda.api.connection import HalfAnswer, NoAnswer
from sandbox.panda.trouble.deeds import Answer
from sandbox.panda.trouble.in_force import ScenarioInForce
from sandbox.panda.trouble.scenario import Rule, within
from sandbox.panda.trouble.strikes import Strike, rules_with, write_strikes

log = logging.getLogger(__name__)

AWAY_UNTIL = "SANDBOX_PANDA_AWAY_UNTIL"
"""Environment variable by which a server that restarts tells itself when it may listen again [s since 1970]."""

Work = Callable[[], Awaitable[Response]]
SERVER = "server"
_LOCKS = 7_263


class Faults:
    """Decides which calls go wrong, and counts them in the journal."""

    def __init__(self, engine: Engine, scenario: ScenarioInForce) -> None:
        self._engine, self._scenario = engine, scenario

    @property
    def possible(self) -> bool:
        """Whether any rule of the scenario concerns calls."""
        return any(rule.answer is not None or rule.lose_reply is not None for rule in self._scenario.current.rules)

    def find(self, path: str, verb: str, given: Mapping[str, Any]) -> Answer | None:
        """How this call goes wrong, or None; a rule that still may strike is counted at once."""
        try:
            moment = self._scenario.moment()
            rules = [
                rule
                for rule in rules_with(self._scenario.current, moment, "answer", "lose_reply")
                if rule.match.hits_endpoint(path) and (rule.answer is not None or rule.match.endpoint)
            ]
            if not rules:
                return None
            with self._engine.begin() as connection:
                task_id, task_name = _task_of(connection, given)
                meant = [rule for rule in rules if not rule.match.task or rule.match.hits_task(task_name or "")]
                return _strike(connection, meant, f"{verb} {path}", task_id, moment.since)
        except DBAPIError as error:
            log.error("faults: %s", " ".join(str(error).split())[:300])
            return None

    def loses_submission(self, connection: Connection, task_name: str, jedi_task_id: int) -> bool:
        """Whether the answer to an accepted submission gets lost; counted in the submission's own transaction."""
        moment = self._scenario.moment()
        for rule in rules_with(self._scenario.current, moment, "lose_reply"):
            if rule.lose_reply is None or rule.match.endpoint or not rule.match.hits_task(task_name):
                continue
            if within(rule.lose_reply.times, count_since(connection, rule.key, "submit", moment.since)):
                write_strikes(connection, [Strike(rule.key, "submit", f"reply lost: {task_name}", jedi_task_id)])
                return True
        return False


def _strike(
    connection: Connection, rules: list[Rule], call: str, task_id: int | None, since: datetime
) -> Answer | None:
    """Deed of the first rule that may still strike, counted."""
    for rule in rules:
        deed = rule.answer or Answer(how="lose_reply", times=rule.lose_reply.times if rule.lose_reply else 1)
        if within(deed.times, count_since(connection, rule.key, SERVER, since)):
            what = f"{call}: {deed.how}{f' {deed.status}' if deed.how == 'error' else ''}"
            write_strikes(connection, [Strike(rule.key, SERVER, what, task_id)])
            return deed
    return None


def count_since(connection: Connection, rule: str, target: str, since: datetime) -> int:
    """How often a rule has struck a target since a moment; calls at the same time wait for each other."""
    connection.execute(text("select pg_advisory_xact_lock(:room, hashtext(:rule))"), {"room": _LOCKS, "rule": rule})
    j = t.scenario_journal.c
    query = select(func.count()).where(j.rule == rule, j.target == target, j.happened >= since)
    return connection.execute(query).scalar_one()


def _task_of(connection: Connection, given: Mapping[str, Any]) -> tuple[int | None, str | None]:
    """Task a call is about, where its arguments tell."""
    params = given.get("task_parameters")
    if isinstance(params, Mapping):
        return None, str(params.get("taskName", ""))
    try:
        task_id = int(given.get("task_id", ""))
    except (TypeError, ValueError):
        return None, None
    c = t.task.c
    return task_id, connection.execute(select(c.task_name).where(c.jedi_task_id == task_id)).scalar_one_or_none()


def arguments_of(request: Request, body: bytes) -> dict[str, Any]:
    """Arguments of a call as far as they can be read; nothing is refused here."""
    given: dict[str, Any] = dict(request.query_params)
    if body:
        try:
            found = json.loads(body)
        except ValueError:
            found = None
        given |= found if isinstance(found, dict) else {}
    return given


async def answer_with_faults(request: Request, path: str, body: bytes, work: Work) -> Response:
    """Answer a call, or let happen what the scenario wants; `work` does what was asked."""
    faults: Faults = request.app.state.faults
    if not faults.possible:
        return await work()
    deed = await run_in_threadpool(faults.find, path, request.method, arguments_of(request, body))
    if deed is None:
        return await work()
    if deed.how == "error":
        return apache_page(deed.status)
    if deed.how == "html":
        return login_page()
    if deed.how == "restart":
        asyncio.get_running_loop().call_later(0.05, restart, deed.for_s)
    if deed.how == "hang":
        await asyncio.sleep(deed.for_s)
    if deed.how in ("cut", "restart") or (deed.how == "hang" and deed.then == "cut"):
        return NoAnswer(request)
    response = await work()
    if deed.how == "slow":
        await asyncio.sleep(deed.for_s)
    if deed.how == "lose_reply":
        return NoAnswer(request)
    return HalfAnswer(request, response) if deed.how == "half" else response


def restart(away_s: float) -> None:
    """Put a new process in the place of this one; it listens again after `away_s`.

    Every connection and all memory are gone, as after a restart; the process number stays, so that no supervisor starts
    a second one.
    """
    log.warning("restart by scenario: away for %s s", away_s)
    os.environ[AWAY_UNTIL] = str(time.time() + away_s)
    os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - itself again, with its own arguments


def stay_away() -> None:
    """Wait until the time of a restart is over; nothing listens meanwhile."""
    until = float(os.environ.pop(AWAY_UNTIL, "0"))
    time.sleep(max(0.0, until - time.time()))
