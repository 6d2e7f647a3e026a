"""The locked packages fit together where no other test uses them."""

import re
from pathlib import Path

LOCK = Path(__file__).resolve().parents[3] / "requirements.txt"


def test_the_locked_celery_is_one_that_airflows_executor_can_import():
    """Celery 5.7 took `celery.backends.database.retry` away, which the Celery provider 3.26.0 imports."""
    locked = dict(re.findall(r"(?m)^([a-z0-9-]+)(?:\[[a-z,]+\])?==([0-9.]+)", LOCK.read_text()))
    if locked["apache-airflow-providers-celery"] == "3.26.0":
        assert tuple(map(int, locked["celery"].split(".")[:2])) < (5, 7), (
            "put celery<5.7 into requirements.in and lock again"
        )
