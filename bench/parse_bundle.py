"""How long Airflow takes to read published requests: 7 against 300, per file and in total, as ratios.

``python bench/parse_bundle.py [--json]``. Times are CPU seconds of one process and hold for this machine only; the
ratios are what is looked at: the time per file must not grow with the number of files.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "plugins")]

from tests import airflow_environment  # noqa: E402, F401 - before Airflow
from tests.publishing import read_catalogue, write_folder  # noqa: E402

FEW, MANY, ROUNDS = 7, 300, 3


def measure(number: int) -> dict[str, float]:
    """CPU seconds to write a version, to parse it, to serialise it, and to parse one file as a starting task does."""
    from airflow.dag_processing.dagbag import DagBag
    from airflow.serialization.serialized_objects import LazyDeserializedDAG

    with tempfile.TemporaryDirectory() as home:
        started = time.process_time()
        ids = [f"PROD2025-{index:03d}" for index in range(1, number + 1)]
        folder = write_folder(Path(home), ids, read_catalogue())
        written = time.process_time() - started
        parses, serialisations, alone = [], [], []
        for _ in range(ROUNDS):
            started = time.process_time()
            bag = DagBag(dag_folder=str(folder), bundle_path=folder, bundle_name="bench")
            parses.append(time.process_time() - started)
            assert len(bag.dags) == number, bag.import_errors
            started = time.process_time()
            for dag in bag.dags.values():
                LazyDeserializedDAG.from_dag(dag)
            serialisations.append(time.process_time() - started)
            started = time.process_time()
            DagBag(dag_folder=str(folder / f"prod__{ids[-1]}.py"), bundle_path=folder, bundle_name="bench")
            alone.append(time.process_time() - started)
    middle = {"parse": parses, "serialise": serialisations, "one_file_alone": alone}
    return {"write_version": written} | {name: statistics.median(values) for name, values in middle.items()}


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--json", action="store_true")
    as_json = arguments.parse_args().json
    measure(1)  # imports are paid for
    few, many = measure(FEW), measure(MANY)
    per_file = {name: (few[name] / FEW, many[name] / MANY) for name in ("write_version", "parse", "serialise")}
    result = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "versions": {name: version(name) for name in ("apache-airflow", "pydantic", "sqlalchemy")},
        "requests": [FEW, MANY],
        "total_cpu_s": {name: [round(few[name], 4), round(many[name], 4)] for name in few},
        "per_file_cpu_ms": {name: [round(1000 * value, 2) for value in pair] for name, pair in per_file.items()},
        "ratio_total": {name: round(many[name] / few[name], 1) for name in few},
        "ratio_per_file": {name: round(pair[1] / pair[0], 2) for name, pair in per_file.items()},
    }
    print(json.dumps(result, indent=None if as_json else 2))


if __name__ == "__main__":
    main()
