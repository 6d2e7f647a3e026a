"""Every recorded scenario, played again call by call: what differs from the recording is shown as a diff."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contract.panda.playing import SCENARIOS
from tests.contract.panda.replayer import Replayed
from tests.contract.panda.report import REPORT
from tests.contract.panda.skips import TOO_QUICK, TOO_SLOW, skip

Replays = Callable[[str], list[Replayed]]
SHOWN = 12
"""So many differences are shown; their number is always told."""


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_scenario_goes_as_recorded(replayed: Replays, target_name: str, scenario: str) -> None:
    results = replayed(scenario)
    for one in results:
        REPORT.leave_out(scenario, target_name, one.left_out)
    found = [said for one in results for said in one.differing]
    shown = "\n\n".join(found[:SHOWN])
    assert not found, f"{scenario} at {target_name}: {len(found)} differences\n\n{shown}"
    if any(one.trouble for one in results):
        print("\n".join(one.trouble for one in results if one.trouble))
        skip(TOO_SLOW)
    if target_name == "live" and not sum(one.compared for one in results):
        skip(TOO_QUICK)
