"""What goes wrong in the recordings, in the words of the sandbox's scenarios; a live server is not made to fail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

EXIT_65 = {"pilotErrorCode": 1305, "transExitCode": 65, "diag": "fake payload failure"}
STAGE_OUT = {"pilotErrorCode": 1137, "transExitCode": 0, "diag": "Failed to stage-out file"}


def _fail(task: str, times: int | str, error: Mapping[str, Any], *seeds: int) -> dict[str, Any]:
    match: dict[str, Any] = {"task": task}
    if seeds:
        match["seed"] = list(seeds)
    return {"match": match, "fail": {"times": times, "error": dict(error)}}


def _slow(task: str, wall_s: float, *seeds: int) -> dict[str, Any]:
    match: dict[str, Any] = {"task": task}
    if seeds:
        match["seed"] = list(seeds)
    return {"match": match, "slow": {"wall_s": wall_s}}


RULES: list[dict[str, Any]] = [
    _fail(r"\.A1\.list$", 1, EXIT_65, 40007),
    _fail(r"\.A1\.list$", "always", EXIT_65, 40020),
    _fail(r"\.A1\.pool$", 1, EXIT_65, 1002, 1006),
    _fail(r"\.A1\.pool$", "always", EXIT_65, 1004),
    _fail(r"\.A2\.pool2$", "always", EXIT_65, 1002),
    _fail(r"\.A2\.pool2$", 1, EXIT_65, 1006),
    _slow(r"\.A2\.pool2$", 25, 1006),
    _fail(r"attempt_suffix$", 1, EXIT_65, 1001),
    _fail(r"attempt_suffix$", 1, STAGE_OUT, 1002),
    _fail(r"partial_finished$", 2, EXIT_65, 1001),
    _fail(r"partial_finished$", 2, STAGE_OUT, 1002),
    _fail(r"\.1\.failed$", 1, EXIT_65, 1001),
    _fail(r"\.1\.failed$", 1, STAGE_OUT, *range(1002, 1006)),
    _fail(r"scouts_broken", "always", EXIT_65, 1001),
    _fail(r"scouts_broken", "always", STAGE_OUT, *range(1002, 1021)),
    _slow(r"finish_cmd\.soft$", 80, 1003, 1004, 1005),
    _slow(r"finish_cmd$", 120, *range(1003, 1011)),
    _slow(r"finish_cmd\.none_done$", 120),
    _slow(r"\.1\.(killed|auth|auth\.user|duplicates\.notunique)$", 120),
    _slow(r"\.1\.attributes$", 12),
    _slow(r"wrong_state_commands\.live$", 120),
    _slow(r"pause_resume$", 15),
    _slow(r"\.slow\.", 3),
    _slow(r"\.beside\.", 12, 71, 72, 73),
    _slow(r"SIM\.1\.chain_pipelined$", 4),
    _slow(r"SIM\.1\.chain_pipelined\.n25$", 15, 1023, 1024, 1025),
    _slow(r"206\.SIM(\.2)?$", 600),
    _fail(r"205\.SIM$", 2, {**EXIT_65, "diag": "node without CVMFS"}, 50052),
    {"match": {"task": r"SIM\.A3\.lostp$", "file": r"\.P\.000002\."}, "lose_file": {"times": 1}},
]
"""Rules of the sandbox's scenario: the recorded failures, and the recorded slowness where a command needs it."""

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
        "retry_after_done",
    }
)
"""Scenarios that make no sense where nothing fails."""
