"""Identity and Airflow."""

from __future__ import annotations

from prodsys.errors.base import ProductionError, ServiceUnavailable


class IdentityUnavailable(ServiceUnavailable):
    """The identity provider gave no token."""

    def __init__(self, reason: str) -> None:
        super().__init__("IAM", reason)


class AirflowUnavailable(ServiceUnavailable):
    """Airflow's REST API did not answer."""

    def __init__(self, reason: str) -> None:
        super().__init__("Airflow", reason)


class AirflowRefused(ProductionError):
    """Airflow's REST API said no, in its own words."""

    def __init__(self, call: str, status: int, words: str) -> None:
        self.call, self.status, self.words = call, status, words
        super().__init__(f"Airflow refused {call} ({status}): {words}")


class AirflowAnswerInvalid(AirflowRefused):
    """What came back from Airflow could not be read: its answer has another shape, or our reading of it is wrong."""

    def __init__(self, kind: str, words: str) -> None:
        super().__init__("reading", 200, f"{kind}: {words}")
        self.args = (f"an answer of Airflow has an unknown shape: {kind}: {words} (another try will not help)",)
