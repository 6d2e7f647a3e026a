from __future__ import annotations

from airflow.sdk import Asset
from airflow.sdk.execution_time.context import OutletEventAccessors

from prodsys.actions.settlement.registration import DataAnswer
from prodsys.operators.step_data import announce

S, LOG = (Asset(name=f"MC2025_S2:x.SIM.1.{kind}", uri=f"x-rucio://MC2025_S2/x.SIM.1.{kind}") for kind in ("S", "log"))


def test_each_asset_event_carries_its_did_and_events() -> None:
    events = OutletEventAccessors()
    answers = [DataAnswer(S.name, "S", 3, 60), DataAnswer(LOG.name, "log", 3, 0)]
    announce([S, LOG], answers, events)
    assert events[S].extra == {"did": S.name, "files": 3, "events": 60}
    assert events[LOG].extra == {"did": LOG.name, "files": 3, "events": 0}


def test_a_dataset_that_stayed_empty_says_so() -> None:
    events = OutletEventAccessors()
    announce([S], [], events)
    assert events[S].extra == {"did": S.name, "files": 0, "events": 0}
