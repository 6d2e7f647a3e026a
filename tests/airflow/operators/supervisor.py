"""What a task process tells Airflow about questions to people."""

from __future__ import annotations

from typing import Any

from airflow.sdk.execution_time.comms import CreateHITLDetailPayload


class Supervisor:
    """Takes what a task process tells Airflow, and keeps the questions."""

    def __init__(self) -> None:
        self.asked: list[CreateHITLDetailPayload] = []

    def send(self, msg: Any) -> None:
        """Take one message."""
        if isinstance(msg, CreateHITLDetailPayload):
            self.asked.append(msg)
