"""What the scenario does to files: some never reach the catalogue, some are spoilt after they did."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, RowMapping, select

from sandbox.panda import tables as t
from sandbox.panda.jobs.storage import file_path
from sandbox.panda.settings import Site, folder_of
from sandbox.panda.store import find_task
from sandbox.panda.tasks.refine import scope_of
from sandbox.panda.trouble.in_force import ScenarioInForce
from sandbox.panda.trouble.scenario import Rule
from sandbox.panda.trouble.see_jobs import see_job
from sandbox.panda.trouble.strikes import Strike, TaskRules, count_strikes, may_strike, means, rules_for, write_strikes

DEFAULT_FILE = r"\.P\."
"""Files a rule means that names none: of SIM, the parameters."""


def decide_lost(connection: Connection, scenario: ScenarioInForce, jobs: Sequence[RowMapping]) -> dict[int, list[str]]:
    """Outputs of ended jobs that never reach the catalogue, by job.

    The decision is in the journal before anything is registered and is found there again: a catalogue that does not
    answer changes nothing, however often it is asked.
    """
    lost: dict[int, list[str]] = {}
    for job, rules in _concerned(connection, scenario, jobs, "lose_file"):
        known = _struck_files(connection, rules, job["panda_id"])
        strikes = _strike(connection, rules, job, known, "file lost")
        write_strikes(connection, strikes)
        lost[job["panda_id"]] = sorted({*known, *(one.what.removeprefix("file lost: ") for one in strikes)})
    return lost


def spoil_files(
    connection: Connection, scenario: ScenarioInForce, sites: Mapping[str, Site], jobs: Sequence[RowMapping]
) -> None:
    """Spoil registered files of finished jobs where they lie; part of the transaction that finishes the jobs.

    What is done to a file depends on what its job reported, not on what lies there: twice is the same as once.
    """
    for job, rules in _concerned(connection, scenario, jobs, "spoil_file"):
        strikes = _strike(connection, rules, job, {}, "file spoilt")
        site = sites.get(job["site"])
        datasets = _datasets(connection, job["panda_id"])
        for one in strikes:
            rule = next(rule for rule in rules.rules if rule.key == one.rule)
            lfn = one.what.removeprefix("file spoilt: ")
            if site is not None and rule.spoil_file is not None and lfn in datasets:
                path = file_path(folder_of(site), scope_of(datasets[lfn])[0], lfn)
                spoil(path, rule.spoil_file.how, job["report"]["files"][lfn]["size"])
        write_strikes(connection, strikes)


def spoil(path: Path, how: str, size: int) -> None:
    """Cut a file of `size` bytes in the middle, give it other bytes, or take it away; a missing file stays missing."""
    if how == "remove":
        path.unlink(missing_ok=True)
    elif not path.exists():
        return
    elif how == "truncate":
        with path.open("r+b") as file:
            file.truncate(size // 2)
    else:
        path.write_bytes((b"spoilt by scenario\n" * (size // 19 + 1))[:size])


def _concerned(
    connection: Connection, scenario: ScenarioInForce, jobs: Sequence[RowMapping], deed: str
) -> list[tuple[RowMapping, TaskRules]]:
    if not any(getattr(rule, deed) is not None for rule in scenario.current.rules):
        return []
    moment, rules = scenario.moment(), {}
    for jedi_task_id in {job["jedi_task_id"] for job in jobs}:
        task = find_task(connection, jedi_task_id)
        rules[jedi_task_id] = rules_for(scenario.current, (task["task_name"] if task else "") or "", moment, (deed,))
    return [(job, rules[job["jedi_task_id"]]) for job in jobs if rules[job["jedi_task_id"]]]


def _strike(
    connection: Connection, rules: TaskRules, job: RowMapping, known: Mapping[str, Any], word: str
) -> list[Strike]:
    """New strikes at the files of a job."""
    seen = see_job(connection, job)
    struck = count_strikes(connection, rules, job["jedi_task_id"])
    target = f"task {job['jedi_task_id']}"
    strikes = []
    for rule in rules.rules:
        for lfn in sorted(job["report"]["files"]):
            if lfn in known or not _names(rule, lfn) or not means(rule, seen) or not may_strike(rule, target, struck):
                continue
            struck[rule.key, target] += 1
            strikes.append(Strike(rule.key, target, f"{word}: {lfn}", job["jedi_task_id"], job["panda_id"]))
    return strikes


def _names(rule: Rule, lfn: str) -> bool:
    return bool(re.search(rule.match.file or DEFAULT_FILE, lfn))


def _struck_files(connection: Connection, rules: TaskRules, panda_id: int) -> dict[str, None]:
    j = t.scenario_journal.c
    query = select(j.what).where(j.rule.in_(rules.keys), j.panda_id == panda_id)
    return dict.fromkeys(what.removeprefix("file lost: ") for what in connection.execute(query).scalars())


def _datasets(connection: Connection, panda_id: int) -> dict[str, str]:
    f = t.job_file.c
    query = select(f.lfn, f.dataset).where(f.panda_id == panda_id, f.type.in_(("output", "log")))
    return dict(connection.execute(query).all())
