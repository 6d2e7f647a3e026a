"""What JEDI tells of its cycles."""

from __future__ import annotations

import time

from sandbox.panda.store import write_switch
from sandbox.panda.tasks.cycles import SWITCH, Cycle, read_report, write_report
from tests.contract.jedi.conftest import World


def _fail() -> None:
    raise OSError("the disk is full")


def _tell(world: World, *cycles: Cycle) -> dict[str, object]:
    write_report(world.engine, cycles)
    with world.engine.connect() as connection:
        return read_report(connection)


def test_a_jedi_that_never_worked_is_not_alive(world: World) -> None:
    with world.engine.connect() as connection:
        said = read_report(connection)
    assert (said["alive"], said["silent_s"]) == (False, None)


def test_trouble_of_a_cycle_is_told_until_it_works_again(world: World) -> None:
    cycle = Cycle("feed", 5.0, _fail)
    cycle.run()
    said = _tell(world, cycle)
    assert (said["alive"], said["trouble"], said["lagging"]) == (True, {"feed": "the disk is full"}, [])
    cycle.act = lambda: None
    cycle.run()
    assert _tell(world, cycle)["trouble"] == {}


def test_a_cycle_that_is_late_lags_unless_jedi_is_paused(world: World) -> None:
    late, quick = Cycle("generate", 5.0, lambda: None), Cycle("feed", 5.0, lambda: None)
    late.run()
    quick.run()
    late.next_at = time.monotonic() - 60
    assert _tell(world, late, quick)["lagging"] == ["generate"]
    with world.engine.begin() as connection:
        write_switch(connection, "jedi_paused", True)
    assert _tell(world, late, quick)["lagging"] == []


def test_a_jedi_that_says_nothing_any_more_is_not_alive(world: World) -> None:
    with world.engine.begin() as connection:
        write_switch(connection, SWITCH, {"written": "2026-01-01T00:00:00", "cycles": []})
        said = read_report(connection)
    assert not said["alive"]
