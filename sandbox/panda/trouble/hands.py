"""What the scenario does to tasks: somebody acts behind our back, maps break, tasks are held back, JEDI rests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, RowMapping, insert, select, update

from sandbox.panda import tables as t
from sandbox.panda.rhythms import utc_now
from sandbox.panda.store import FINAL, UNFINISHED_JOB, find_task, set_status
from sandbox.panda.tasks.throttle import THROTTLED_FROM, exhaust_task, throttle_task
from sandbox.panda.trouble.deeds import Act
from sandbox.panda.trouble.in_force import ScenarioInForce
from sandbox.panda.trouble.scenario import Rule
from sandbox.panda.trouble.strikes import (
    Moment,
    Strike,
    blocked_sites,
    broken_map,
    count_struck,
    resting,
    rules_with,
    within,
    write_strikes,
)

_BEFORE_JOBS = ("defined", "ready", "pending")
_GIVEN_UP_FROM = ("ready", "scouting", "running")

Deed = Callable[[Connection, RowMapping], None]


def act_for_others(engine: Engine, scenario: ScenarioInForce) -> None:
    """Let somebody retry, kill, finish, pause or re-prioritise tasks; once for each rule and task."""
    moment = scenario.moment()
    for rule in rules_with(scenario.current, moment, "act"):
        act = rule.act
        if act is None:
            continue

        def do(connection: Connection, task: RowMapping, act: Act = act) -> None:
            _command(connection, task["jedi_task_id"], act)

        what = f"{act.command.replace('_', ' ')} by {act.user}" + (
            f" to {act.priority}" if act.priority is not None else ""
        )
        _strike_tasks(engine, rule, moment, (act.when,), what, do, after_s=act.after_s)


def _command(connection: Connection, jedi_task_id: int, act: Act) -> None:
    """Do as if the user had called the API."""
    if act.command == "change_priority":
        j = t.job.c
        mine = (j.jedi_task_id == jedi_task_id) & j.status.in_(UNFINISHED_JOB)
        connection.execute(update(t.job).where(mine).values(priority=act.priority))
        task = update(t.task).where(t.task.c.jedi_task_id == jedi_task_id)
        connection.execute(task.values(current_priority=act.priority))
        return
    soft = act.command == "soft_finish"
    name = "finish" if soft else act.command
    values = {
        "jedi_task_id": jedi_task_id,
        "name": name,
        "comment": f"{'soft ' if soft else ''}{name} by {act.user}",
        "options": {"soft": True} if soft else {},
        "registered": utc_now(),
    }
    connection.execute(insert(t.command).values(**values))


def break_maps(engine: Engine, scenario: ScenarioInForce) -> None:
    """Let maps be unusable: tobroken, with the rule's text."""
    moment = scenario.moment()
    for rule in rules_with(scenario.current, moment, "break_map"):

        def do(connection: Connection, task: RowMapping) -> None:
            found = broken_map(scenario.current, task["task_name"] or "", moment)
            if found is not None and found.break_map is not None:
                set_status(connection, task["jedi_task_id"], "tobroken", found.break_map.text)

        _strike_tasks(engine, rule, moment, _BEFORE_JOBS, "map broken", do)


def hold_back(engine: Engine, scenario: ScenarioInForce) -> None:
    """Let tasks be throttled for a while, or exhausted until a person decides."""
    moment = scenario.moment()
    for rule in rules_with(scenario.current, moment, "throttle"):
        throttle = rule.throttle
        if throttle is not None:
            until = moment.now + timedelta(seconds=throttle.for_s)

            def hold(connection: Connection, task: RowMapping, until: datetime = until) -> None:
                throttle_task(connection, task, f"throttled until {until} by scenario", until)

            what = f"throttled for {throttle.for_s} s"
            _strike_tasks(engine, rule, moment, THROTTLED_FROM, what, hold, times=throttle.times)
    for rule in rules_with(scenario.current, moment, "exhaust"):
        exhaust = rule.exhaust
        if exhaust is not None:

            def give_up(connection: Connection, task: RowMapping, text: str = exhaust.text) -> None:
                exhaust_task(connection, task, text)

            _strike_tasks(engine, rule, moment, _GIVEN_UP_FROM, "exhausted", give_up)


def note_windows(engine: Engine, scenario: ScenarioInForce) -> None:
    """Write into the journal, once a scenario, that a site is offline or that JEDI rests."""
    moment = scenario.moment()
    said = [(rule, f"site {rule.match.site}", "offline") for rule in rules_with(scenario.current, moment, "offline")]
    said += [(rule, "JEDI", "rests") for rule in resting(scenario.current, moment)]
    if not said:
        return
    with engine.begin() as connection:
        struck = count_struck(connection, [rule.key for rule, _, _ in said], since=moment.since)
        new = [Strike(rule.key, target, what) for rule, target, what in said if not struck[rule.key, target]]
        write_strikes(connection, new)


class SiteBlocks:
    """From a task's name to the queues that the scenario switches off for it now, with the reason."""

    def __init__(self, engine: Engine, scenario: ScenarioInForce, sites: Iterable[str]) -> None:
        self._engine, self._scenario, self._sites = engine, scenario, list(sites)
        self._noted: set[tuple[str, str]] = set()

    def __call__(self, task_name: str) -> Mapping[str, str]:
        """Queues brokerage may not choose."""
        moment = self._scenario.moment()
        for rule in rules_with(self._scenario.current, moment, "no_site"):
            if rule.match.hits_task(task_name) and (rule.key, task_name) not in self._noted:
                self._note(rule, task_name)
        return blocked_sites(self._scenario.current, task_name, moment, self._sites)

    def _note(self, rule: Rule, task_name: str) -> None:
        """Write into the journal, once for each task, that brokerage finds nothing."""
        c = t.task.c
        with self._engine.begin() as connection:
            query = select(c.jedi_task_id).where(c.task_name == task_name).order_by(c.jedi_task_id.desc())
            jedi_task_id = connection.execute(query).scalars().first()
            target = f"task {jedi_task_id}"
            if not count_struck(connection, [rule.key], jedi_task_id=jedi_task_id)[rule.key, target]:
                write_strikes(connection, [Strike(rule.key, target, "brokerage finds no site", jedi_task_id)])
        self._noted.add((rule.key, task_name))


def _strike_tasks(
    engine: Engine,
    rule: Rule,
    moment: Moment,
    statuses: Sequence[str],
    what: str,
    do: Deed,
    *,
    after_s: float = 0.0,
    times: int = 1,
) -> None:
    """Do something to the tasks a rule means, each in a transaction of its own with its line of the journal."""
    for jedi_task_id in _candidates(engine, rule, moment, statuses, after_s, times):
        with engine.begin() as connection:
            task = find_task(connection, jedi_task_id, lock=True)
            target = f"task {jedi_task_id}"
            struck = count_struck(connection, [rule.key], jedi_task_id=jedi_task_id)[rule.key, target]
            if task is None or task["status"] not in statuses or not within(times, struck):
                continue
            do(connection, task)
            write_strikes(connection, [Strike(rule.key, target, what, jedi_task_id)])


def _candidates(
    engine: Engine, rule: Rule, moment: Moment, statuses: Sequence[str], after_s: float, times: int
) -> list[int]:
    """Tasks a rule may strike now; of those in a final status only what got there under this scenario."""
    c = t.task.c
    query = select(c.jedi_task_id, c.task_name).where(
        c.status.in_(statuses), c.state_change_time <= moment.now - timedelta(seconds=after_s)
    )
    if set(statuses) & FINAL:
        query = query.where(c.state_change_time >= moment.since)
    with engine.connect() as connection:
        rows = connection.execute(query.order_by(c.jedi_task_id)).all()
        meant = [jedi_task_id for jedi_task_id, name in rows if rule.match.hits_task(name or "")]
        struck = count_struck(connection, [rule.key]) if meant else {}
    return [one for one in meant if within(times, struck.get((rule.key, f"task {one}"), 0))]
