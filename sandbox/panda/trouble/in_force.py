"""Since when a scenario is in force: kept in the database, so that both processes and every restart agree."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, Engine, or_, select
from sqlalchemy.dialects.postgresql import insert as upsert

from sandbox.panda import tables as t
from sandbox.panda.rhythms import utc_now
from sandbox.panda.trouble.scenario import Scenario, ScenarioFile
from sandbox.panda.trouble.strikes import Moment

SWITCH = "scenario_in_force"


class ScenarioInForce:
    """The scenario of a file with the moment it was put in force; one object a process."""

    def __init__(self, engine: Engine, file: ScenarioFile) -> None:
        self._engine, self.file = engine, file
        self._known: tuple[str, datetime] | None = None

    @property
    def current(self) -> Scenario:
        """Return the rules in force."""
        return self.file.current

    def moment(self) -> Moment:
        """Now, and since when the scenario is in force; asks the database once for each new scenario."""
        now, identity = utc_now(), self.file.identity
        if not self.file.current.rules:
            return Moment(now, now)
        if self._known is None or self._known[0] != identity:
            with self._engine.begin() as connection:
                self._known = (identity, note_in_force(connection, identity))
        return Moment(now, self._known[1])


def note_in_force(connection: Connection, identity: str) -> datetime:
    """Moment since which a scenario is in force; the first one who asks after a change decides."""
    c = t.control.c
    value = {"identity": identity, "since": utc_now().isoformat()}
    statement = upsert(t.control).values(key=SWITCH, value=value)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["key"],
            set_={"value": value},
            where=or_(c.value["identity"].astext.is_(None), c.value["identity"].astext != identity),
        )
    )
    stored = connection.execute(select(c.value).where(c.key == SWITCH)).scalar_one()
    return datetime.fromisoformat(stored["since"])
