"""Every recorded scenario, driven again: the recorded maps are sent to a server, its outcomes come back.

A driver gets a server whose tasks of this scenario fail as they did in the recording (`RULES`), and returns one
`Outcome` for each accepted submission, in the order of their ids.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from tests.contract.panda.outcome import Outcome
from tests.contract.panda.recordings import submissions
from tests.contract.panda.target import Server

EXIT_65 = {"pilotErrorCode": 1305, "transExitCode": 65, "diag": "fake payload failure"}
STAGE_OUT = {"pilotErrorCode": 1137, "transExitCode": 0, "diag": "Failed to stage-out file"}


def _fail(task: str, times: int | str, error: Mapping[str, Any], *seeds: int) -> dict[str, Any]:
    match: dict[str, Any] = {"task": task}
    if seeds:
        match["seed"] = list(seeds)
    return {"match": match, "fail": {"times": times, "error": dict(error)}}


RULES: list[dict[str, Any]] = [
    _fail(r"\.A1\.list$", 1, EXIT_65, 40007),
    _fail(r"\.A1\.list$", "always", EXIT_65, 40020),
    _fail(r"\.A1\.pool$", 1, EXIT_65, 1002, 1006),
    _fail(r"\.A1\.pool$", "always", EXIT_65, 1004),
    _fail(r"\.A2\.pool2$", "always", EXIT_65, 1002),
    _fail(r"\.A2\.pool2$", 1, EXIT_65, 1006),
    {"match": {"task": r"\.A2\.pool2$", "seed": 1006}, "slow": {"wall_s": 25}},
    _fail(r"attempt_suffix$", 1, EXIT_65, 1001),
    _fail(r"attempt_suffix$", 1, STAGE_OUT, 1002),
    _fail(r"partial_finished$", 2, EXIT_65, 1001),
    _fail(r"partial_finished$", 2, STAGE_OUT, 1002),
    _fail(r"\.1\.failed$", 1, EXIT_65),
    _fail(r"scouts_broken", "always", EXIT_65),
    {"match": {"task": r"finish_cmd\.soft$", "seed": [1003, 1004, 1005]}, "slow": {"wall_s": 6}},
    {"match": {"task": r"finish_cmd(\.none_done)?$", "seed": list(range(1003, 1011))}, "slow": {"wall_s": 30}},
    {"match": {"task": r"\.slow\."}, "slow": {"wall_s": 3}},
    {"match": {"task": r"\.beside\.", "seed": [71, 72, 73]}, "slow": {"wall_s": 12}},
    {"match": {"task": r"SIM\.A3\.lostp$", "file": r"\.P\.000002\."}, "lose_file": {"times": 1}},
]
"""What goes wrong in the recordings, in the words of the sandbox's scenarios."""


STAMP = f"T{int(time.time())}"
"""Names are spent for ever, so every run has its own."""


def _maps(server: Server, scenario: str) -> list[dict[str, Any]]:
    """Recorded maps of a scenario under names of this run, for the server's queue."""
    text = json.dumps(submissions(scenario)).replace("PROD2025-016", STAMP)
    maps: list[dict[str, Any]] = json.loads(text.replace("SPD_LOCAL", server.site))
    return maps


def run_one_after_another(server: Server, scenario: str) -> list[Outcome]:
    """Send each map when the one before has ended."""
    return [server.run(body) for body in _maps(server, scenario)]


def run_together(server: Server, scenario: str) -> list[Outcome]:
    """Send all maps, then follow them."""
    ids = [server.submit(body) for body in _maps(server, scenario)]
    return [server.look(one, server.follow(one)) for one in ids]


def run_chain(server: Server, scenario: str) -> list[Outcome]:
    """SIM, then RECO as its child."""
    sim_map, reco_map = _maps(server, scenario)
    sim = server.run(sim_map)
    reco_map["parent_tid"] = sim.task_id
    return [sim, server.run(reco_map)]


def retry_when_ended(server: Server, scenario: str) -> list[Outcome]:
    """Run to the end with what failed, retry, run to the end again."""
    task_id = server.submit(_maps(server, scenario)[0])
    seen = server.follow(task_id, {"finished", "failed"})
    reply = server.post("task/retry", task_id=task_id)
    assert reply["data"] == 0, reply
    server.follow(task_id, {"ready", "running", "toretry"}, seen)
    return [server.look(task_id, server.follow(task_id, None, seen))]


def kill(server: Server, scenario: str) -> list[Outcome]:
    """Kill a running task; a second one at once, before JEDI knows it: that kill is lost."""
    first, second = _maps(server, scenario)[:2]
    one, other = server.submit(first), server.submit(second)
    lost = server.post("task/kill", task_id=other)
    assert (lost["success"], lost["data"]) == (False, 2), lost
    seen = server.follow(one, {"running"})
    assert server.post("task/kill", task_id=one)["data"] == 0
    return [server.look(one, server.follow(one, None, seen)), server.look(other, server.follow(other))]


def finish(server: Server, scenario: str) -> list[Outcome]:
    """Finish hard with something done, softly, and with nothing done."""
    maps = _maps(server, scenario)[:3]
    for body in maps if server.narrow else []:
        body["task_parameters"]["site"] = server.narrow
    hard, soft, nothing = [server.submit(body) for body in maps]
    seen = {one: server.follow(one, {"running"}) for one in (hard, soft, nothing)}
    assert server.post("task/finish", task_id=nothing)["data"] == 0
    for one, options in ((hard, {}), (soft, {"soft": True})):
        server.wait_for_jobs(one, "finished")
        assert server.post("task/finish", task_id=one, **options)["data"] == 0
    return [server.look(one, server.follow(one, None, seen[one])) for one in (hard, soft, nothing)]


def pause(server: Server, scenario: str) -> list[Outcome]:
    """Pause a running task and let it go on."""
    task_id = server.submit(_maps(server, scenario)[0])
    seen = server.follow(task_id, {"running"})
    assert server.post("task/pause", task_id=task_id)["data"] == 0
    server.follow(task_id, {"paused"}, seen)
    refused = server.post("task/pause", task_id=task_id)
    assert "is not accepted if the task is in paused status " in refused["message"], refused
    assert server.post("task/resume", task_id=task_id)["data"] == 0
    return [server.look(task_id, server.follow(task_id, None, seen))]


def leave_pending(server: Server, scenario: str) -> list[Outcome]:
    """A task for an unknown queue waits until it is killed."""
    task_id = server.submit(_maps(server, scenario)[0])
    seen = server.follow(task_id, {"pending"})
    outcome = server.look(task_id, seen)
    assert server.post("task/kill", task_id=task_id)["data"] == 0
    server.follow(task_id, None, seen)
    return [outcome]


DRIVERS: dict[str, Callable[[Server, str], list[Outcome]]] = {
    "seed_list": run_together,
    "random_seed_pool": run_together,
    "random_seed_pool_shift": run_together,
    "attempt_suffix": run_together,
    "chain_done": run_chain,
    "pairing_shift": run_one_after_another,
    "partial_finished": retry_when_ended,
    "failed": retry_when_ended,
    "broken": run_together,
    "scouting": run_together,
    "scouts_broken": run_together,
    "killed": kill,
    "finish_cmd": finish,
    "pause_resume": pause,
    "pending": leave_pending,
}
NEEDS_FAILURES = frozenset(
    {
        "random_seed_pool",
        "random_seed_pool_shift",
        "seed_list",
        "attempt_suffix",
        "pairing_shift",
        "partial_finished",
        "failed",
        "scouts_broken",
    }
)
