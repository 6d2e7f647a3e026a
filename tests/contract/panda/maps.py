"""Small maps under names never used, made from recorded ones."""

from __future__ import annotations

import itertools
from typing import Any

from tests.contract.panda import recordings
from tests.contract.panda.target import Server
from tests.contract.panda.translation import RECORDED_SITE, STAMP, renamed

_number = itertools.count(1)


def sim_map(server: Server, name: str, seeds: int = 2, **changes: Any) -> dict[str, Any]:
    """Return a SIM of some seeds; `changes` replace keys of the map."""
    body = _for(server, recordings.submissions("pairing_shift")[0], f"{name}.{STAMP}x{next(_number)}")
    listed = [str(seed) for seed in range(500, 500 + seeds)]
    body["task_parameters"] |= {"pfnList": listed, "nFiles": seeds, **changes}
    return body


def reco_map(server: Server, sim: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return the RECO that reads the outputs of a SIM."""
    name = str(sim["task_parameters"]["taskName"]).split(".SIM.", 1)[1]
    body = _for(server, recordings.submissions("pairing_shift")[1], name)
    body["task_parameters"] |= changes
    return body


def without_list(body: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return a SIM cut by numbers of events instead of a list of seeds."""
    params = {key: value for key, value in body["task_parameters"].items() if key not in ("pfnList", "nFiles")}
    params["jobParameters"] = [dict(item) for item in params["jobParameters"]]
    params["jobParameters"][0]["value"] = "simu.C --first=${FIRSTEVENT} --n=${MAXEVENTS}"
    return {**body, "task_parameters": {**params, **changes}}


def _for(server: Server, body: dict[str, Any], name: str) -> dict[str, Any]:
    made: dict[str, Any] = renamed(renamed(body, "A3.lostp", name), RECORDED_SITE, server.site)
    made["task_parameters"]["vo"] = server.vo
    return made
