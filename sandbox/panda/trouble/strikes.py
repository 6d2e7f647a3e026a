"""What the scenario says about a job, a task or a file now, and the journal of what was done to whom.

All decisions are pure functions of rules, target, and the strikes counted so far; they never touch a table. Who carries
a decision out writes its strikes with `write_strikes` in the same transaction, so that a kill -9 can neither lose nor
repeat one. Used like this, for one job or for a hundred thousand:

>>> rules = rules_for(scenario, "PROD2025-016.SIM", moment)   # once a task and cycle; falsy when nothing concerns it
>>> struck = count_strikes(connection, rules, jedi_task_id)     # one query a task
>>> fate = rules.fate(job, struck)                              # pure; counts its own strikes in `struck`
>>> write_strikes(connection, fate.strikes)                     # in the transaction of the effect
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache

from sqlalchemy import Connection, func, insert, select

from sandbox.panda import tables as t
from sandbox.panda.rhythms import utc_now
from sandbox.panda.trouble.deeds import JobError
from sandbox.panda.trouble.match import Match
from sandbox.panda.trouble.scenario import Rule, Scenario, within

Struck = Counter[tuple[str, str]]
"""How often which rule (its key) has struck which target (its text)."""

JOB_DEEDS = ("fail", "no_reply", "slow", "fewer_events")


@dataclass(frozen=True)
class Moment:
    """Now, and since when the scenario is in force; both UTC without a zone."""

    now: datetime
    since: datetime


@dataclass(frozen=True, slots=True)
class JobSeen:
    """A job as rules see it.

    `slot` is the place of its (first) input slot among the task's, from 0 (the number in ``000001:40007``, the order of
    ``file_id``, divided by ``nFilesPerJob``); `jobs` says how many such places the task has; `node` is the worker node
    slot of the site, from 1, where there is one; `file_id` names the input slot for ever.
    """

    jedi_task_id: int
    panda_id: int
    file_id: int
    slot: int
    jobs: int
    seed: int | None
    site: str
    node: int | None = None
    scout: bool = False

    @property
    def target(self) -> str:
        """What the journal calls the input slot: attempts at it are counted together."""
        return f"task {self.jedi_task_id} slot {self.file_id}"


@dataclass(frozen=True, slots=True)
class Strike:
    """One line of the journal: which rule did what to whom."""

    rule: str
    target: str
    what: str
    jedi_task_id: int | None = None
    panda_id: int | None = None


@dataclass(frozen=True, slots=True)
class JobFate:
    """What the scenario wants of one attempt at a job; the default is: nothing.

    `error`: how it shall fail. `silent`: ``sent`` or ``running`` when its pilot shall fall silent there, else empty.
    `missing`: events its outputs shall lack. `strikes`: to be written with the effect.
    """

    error: JobError | None = None
    silent: str = ""
    missing: int = 0
    slow_s: float | None = None
    slow_factor: float = 1.0
    strikes: tuple[Strike, ...] = ()

    def wall_s(self, usual_s: float) -> float:
        """Wall time [s] of a job that usually takes `usual_s`."""
        return self.slow_s if self.slow_s is not None else usual_s * self.slow_factor


NO_FATE = JobFate()


@dataclass(frozen=True)
class TaskRules:
    """The rules on jobs that concern one task now; falsy when there are none."""

    task_name: str
    rules: Sequence[Rule] = field(default=())

    def __bool__(self) -> bool:
        return bool(self.rules)

    @property
    def keys(self) -> list[str]:
        """Keys of the rules, as the journal has them."""
        return [rule.key for rule in self.rules]

    def fate(self, job: JobSeen, struck: Struck) -> JobFate:
        """What shall become of this attempt; its strikes are added to `struck`.

        Of each kind of deed the first rule counts that means the job and may still strike its slot. A job whose pilot
        falls silent has no other error.
        """
        if not self.rules:
            return NO_FATE
        first: dict[str, Rule] = {}
        for rule in self.rules:
            kind = _kind(rule)
            if kind not in first and means(rule, job) and may_strike(rule, job.target, struck):
                first[kind] = rule
        return _fate_of(first, job, struck) if first else NO_FATE


def rules_for(scenario: Scenario, task_name: str, moment: Moment, deeds: Sequence[str] = JOB_DEEDS) -> TaskRules:
    """Rules on jobs that concern a task at a moment, in the order of the file; costs a regular expression a rule."""
    found = rules_with(scenario, moment, *deeds)
    return TaskRules(task_name, [rule for rule in found if rule.match.hits_task(task_name)])


def rules_with(scenario: Scenario, moment: Moment, *deeds: str) -> list[Rule]:
    """Rules that do one of these deeds and are in force at a moment."""
    return [
        rule
        for rule in scenario.rules
        if any(getattr(rule, deed) is not None for deed in deeds) and rule.during.holds(moment.now, moment.since)
    ]


def offline_sites(scenario: Scenario, moment: Moment) -> frozenset[str]:
    """Sites that take no jobs now."""
    return frozenset(rule.match.site for rule in rules_with(scenario, moment, "offline") if rule.match.site)


def missing_site(scenario: Scenario, task_name: str, moment: Moment) -> str | None:
    """Why brokerage finds no site for a task now: the rule's text (may be empty), or None when it may find one."""
    for rule in rules_with(scenario, moment, "no_site"):
        if rule.no_site is not None and rule.match.hits_task(task_name):
            return rule.no_site.text
    return None


def blocked_sites(scenario: Scenario, task_name: str, moment: Moment, sites: Iterable[str]) -> dict[str, str]:
    """Sites that brokerage may not give to a task now, each with the reason in words."""
    text = missing_site(scenario, task_name, moment)
    if text is not None:
        return dict.fromkeys(sites, text or "skipped by scenario")
    return dict.fromkeys(offline_sites(scenario, moment), "offline")


def broken_map(scenario: Scenario, task_name: str, moment: Moment) -> Rule | None:
    """Rule that makes a map unusable for the refiner, or None."""
    return next((rule for rule in rules_with(scenario, moment, "break_map") if rule.match.hits_task(task_name)), None)


def resting(scenario: Scenario, moment: Moment) -> list[Rule]:
    """Rules that let JEDI rest now: each for its time from the begin of its window."""
    found = []
    for rule in rules_with(scenario, moment, "rest_jedi"):
        begin = moment.since + timedelta(seconds=rule.during.from_s)
        begin = max(begin, rule.during.from_time) if rule.during.from_time else begin
        if rule.rest_jedi is not None and (moment.now - begin).total_seconds() < rule.rest_jedi.for_s:
            found.append(rule)
    return found


def _kind(rule: Rule) -> str:
    return next(name for name in JOB_DEEDS if getattr(rule, name) is not None)


def means(rule: Rule, job: JobSeen) -> bool:
    """Whether a rule means this job of a task it concerns."""
    match = rule.match
    return (
        match.hits_work(job.seed, job.site)
        and match.hits_place(job.slot, job.node, job.scout)
        and _is_drawn(rule.key, match, job.slot, job.jobs)
    )


def _is_drawn(key: str, match: Match, slot: int, jobs: int) -> bool:
    """Whether the lot falls on a slot: always the same ones for the same rule, in every task and every run."""
    if match.share is not None:
        return lot(key, match.draw, slot) < match.share
    return match.count is None or slot in drawn_slots(key, match.draw, match.count, jobs)


def lot(key: str, draw: int, slot: int) -> float:
    """A number in [0, 1) that looks random and is always the same."""
    digest = hashlib.blake2b(f"{key}|{draw}|{slot}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


@lru_cache(maxsize=64)
def drawn_slots(key: str, draw: int, count: int, jobs: int) -> frozenset[int]:
    """`count` of the slots 0 to `jobs`-1: those with the lowest lots; computed once, 0.1 s for 100 000 slots."""
    return frozenset(sorted(range(jobs), key=lambda slot: lot(key, draw, slot))[:count])


def may_strike(rule: Rule, target: str, struck: Struck) -> bool:
    """Whether a rule may strike a target once more."""
    times = getattr(rule.deed, "times", None)
    return times is None or within(times, struck[rule.key, target])


def _fate_of(first: dict[str, Rule], job: JobSeen, struck: Struck) -> JobFate:
    strikes: list[Strike] = []

    def strike(rule: Rule, what: str) -> None:
        strikes.append(Strike(rule.key, job.target, what, job.jedi_task_id, job.panda_id))
        struck[rule.key, job.target] += 1

    error, silent, missing = None, "", 0
    slow = first["slow"].slow if "slow" in first else None
    if slow is not None and not struck[first["slow"].key, job.target]:
        strike(first["slow"], f"job is slow: {slow.wall_s or slow.factor} {'s' if slow.wall_s else 'times'}")
    if "no_reply" in first and first["no_reply"].no_reply is not None:
        silent = first["no_reply"].no_reply.at
        strike(first["no_reply"], f"pilot falls silent: {silent}")
    elif "fail" in first and first["fail"].fail is not None:
        error = first["fail"].fail.error
        strike(first["fail"], f"job fails: {error.text}")
    elif "fewer_events" in first and first["fewer_events"].fewer_events is not None:
        missing = first["fewer_events"].fewer_events.missing
        strike(first["fewer_events"], f"outputs lack {missing} events")
    return JobFate(
        error=error,
        silent=silent,
        missing=missing,
        slow_s=slow.wall_s if slow else None,
        slow_factor=(slow.factor or 1.0) if slow else 1.0,
        strikes=tuple(strikes),
    )


def count_strikes(connection: Connection, rules: TaskRules, jedi_task_id: int) -> Struck:
    """How often these rules have struck the slots of a task; one query, none when no rule concerns the task."""
    if not rules:
        return Counter()
    return count_struck(connection, rules.keys, jedi_task_id=jedi_task_id)


def count_struck(
    connection: Connection, keys: Sequence[str], *, jedi_task_id: int | None = None, since: datetime | None = None
) -> Struck:
    """How often rules have struck: of one task or all, at any time or since a moment."""
    j = t.scenario_journal.c
    query = select(j.rule, j.target, func.count()).where(j.rule.in_(keys)).group_by(j.rule, j.target)
    if jedi_task_id is not None:
        query = query.where(j.jedi_task_id == jedi_task_id)
    if since is not None:
        query = query.where(j.happened >= since)
    return Counter({(rule, target): count for rule, target, count in connection.execute(query)})


def write_strikes(connection: Connection, strikes: Iterable[Strike]) -> None:
    """Write strikes into the journal, in the transaction of what they did."""
    now = utc_now()
    rows = [
        {
            "rule": one.rule,
            "target": one.target,
            "what": one.what,
            "jedi_task_id": one.jedi_task_id,
            "panda_id": one.panda_id,
            "happened": now,
        }
        for one in strikes
    ]
    if rows:
        connection.execute(insert(t.scenario_journal), rows)
