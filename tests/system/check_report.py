"""Recompute every number of the demonstration's report from PanDA, Rucio and the files; imports nothing of prodsys.

usage: check_report.py report.json     exit code 0: all numbers hold; 1: some do not, each is named
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import zlib
from pathlib import Path

import requests
import uproot

TIMEOUT_S = 60


class Check:
    """One report and what is wrong with it."""

    def __init__(self, report: dict) -> None:
        self.report, self.wrong, self.compared = report, [], 0
        panda, rucio = report["panda"], report["rucio"]
        self.panda_headers = {
            "Authorization": "Bearer " + Path(panda["token_file"]).read_text().strip(),
            "Origin": panda["vo"],
            "Accept": "application/json",
        }
        self.rucio_headers = {"X-Rucio-Auth-Token": Path(rucio["token_file"]).read_text().strip()}

    def same(self, what: str, said: object, found: object) -> None:
        self.compared += 1
        if said != found:
            self.wrong.append(f"{what}: the report says {said!r}, found {found!r}")

    def panda(self, path: str, **query: object) -> object:
        url = f"{self.report['panda']['url'].rstrip('/')}/api/v1/{path}"
        reply = requests.get(url, params=query, headers=self.panda_headers, timeout=TIMEOUT_S)
        reply.raise_for_status()
        body = reply.json()
        if not body["success"]:
            raise SystemExit(f"PanDA refused {path} {query}: {body['message']}")
        return body["data"]

    def rucio(self, path: str) -> list:
        url = f"{self.report['rucio']['url'].rstrip('/')}/{path}"
        reply = requests.get(url, headers=self.rucio_headers, timeout=TIMEOUT_S)
        reply.raise_for_status()
        return [json.loads(line) for line in reply.text.splitlines() if line.strip()]

    def replicas(self, scope: str, name: str) -> list:
        url = f"{self.report['rucio']['url'].rstrip('/')}/replicas/list"
        body = {"dids": [{"scope": scope, "name": name}], "sort": "random"}
        headers = self.rucio_headers | {"Accept": "application/x-json-stream"}
        reply = requests.post(url, json=body, headers=headers, timeout=TIMEOUT_S)
        reply.raise_for_status()
        return [json.loads(line) for line in reply.text.splitlines() if line.strip()]


def file_path(folder: str, scope: str, name: str) -> Path:
    digits = hashlib.md5(f"{scope}:{name}".encode(), usedforsecurity=False).hexdigest()
    return Path(folder, *scope.split("."), digits[:2], digits[2:4], name)


def events_in(path: Path) -> int:
    with uproot.open(path) as file:
        return int(file["events"].num_entries)


def check_task(check: Check, request: dict, task: dict) -> set[int]:
    """Compare a task; the seeds whose jobs finished (SIM), else an empty set."""
    where = f"{request['request']} {task['step']}"
    info = check.panda("task/get_detailed_info", task_id=task["jedi_task_id"])
    check.same(f"{where} task name", task["task_name"], info["taskName"])
    check.same(f"{where} status", task["status"], info["status"])
    jobs = check.panda("task/get_job_descriptions", task_id=task["jedi_task_id"], unsuccessful_only=False)
    check.same(f"{where} jobs", task["jobs"], len(jobs))
    done = [job for job in jobs if job["jobStatus"] == "finished"]
    check.same(f"{where} events", task["events"], sum(job["nEvents"] or 0 for job in done))
    seeds = {int(found[1]) for job in done if (found := re.search(r"--seed=(\d+)", job["jobParameters"]))}
    lacking = len(request["seeds"]) - len(done)
    verdict = "full" if lacking == 0 else "accepted partial"
    check.same(f"{where} verdict", task["verdict"], verdict)
    return seeds


def check_dataset(check: Check, request: dict, data: dict) -> None:
    scope, name = data["did"].split(":", 1)
    files = check.rucio(f"dids/{scope}/{name}/files")
    check.same(f"{data['did']} files", data["files"], len(files))
    check.same(f"{data['did']} bytes", data["bytes"], sum(file["bytes"] for file in files))
    found: dict[str, int] = {}
    counted: dict[str, set[int]] = {}
    for replica in check.replicas(scope, name):
        for rse in replica["rses"]:
            path = file_path(check.report["rses"][rse], scope, replica["name"])
            content = path.read_bytes()
            found[rse] = found.get(rse, 0) + 1
            check.same(f"{replica['name']} bytes at {rse}", replica["bytes"], len(content))
            check.same(f"{replica['name']} adler32 at {rse}", replica["adler32"], f"{zlib.adler32(content):08x}")
            if data["type"] != "log":
                counted.setdefault(replica["name"], set()).add(events_in(path))
    check.same(f"{data['did']} replicas", data["replicas"], found)
    events = 0
    for name, numbers in counted.items():
        check.same(f"{name} events per replica", {request["events_per_seed"]}, numbers)
        events += max(numbers)
    check.same(f"{data['did']} events", data["events"], events)


def check_certificate(check: Check, request: dict) -> None:
    path = Path(request["certificate"])
    certificate = json.loads(path.read_text())
    check.same(f"{path} request", request["request"], certificate["request_id"])
    check.same(f"{path} missing", request["missing_seeds"], sorted(one["seed"] for one in certificate["seeds_missing"]))
    delivered = len(request["seeds"]) - len(request["missing_seeds"])
    check.same(f"{path} events", delivered * request["events_per_seed"], certificate["events_delivered"])
    lists = {word: (path.parent / f"{request['request']}_{word}.txt").read_text().splitlines() for word in
             ("recofiles", "simfiles", "paramfiles")}  # fmt: skip
    for word, lines in lists.items():
        check.same(f"{request['request']}_{word}.txt lines", delivered, len(lines))


def check_request(check: Check, request: dict) -> None:
    seeds: set[int] = set()
    for task in request["tasks"]:
        seeds |= check_task(check, request, task)
    check.same(f"{request['request']} missing", request["missing_seeds"], sorted(set(request["seeds"]) - seeds))
    for data in request["datasets"]:
        check_dataset(check, request, data)
    for did in request["containers"]:
        scope, name = did.split(":", 1)
        kind = check.rucio(f"dids/{scope}/{name}")[0]["type"]
        check.same(f"{did} type", "CONTAINER", kind)
    for rule in request["rules"]:
        state = check.rucio(f"rules/{rule['rule_id']}")[0]["state"]
        check.same(f"rule {rule['rule_id']}", rule["state"], state)
    check.same(f"{request['request']} rules", len(request["datasets"]), len(request["rules"]))
    check_certificate(check, request)


def main(path: str) -> int:
    check = Check(json.loads(Path(path).read_text()))
    taken: dict[tuple[str, int], str] = {}
    for request in check.report["requests"]:
        check_request(check, request)
        for seed in request["seeds"]:
            other = taken.setdefault((request["configuration"], seed), request["request"])
            check.same(f"owner of seed {seed}", request["request"], other)
    for line in check.wrong:
        print(f"WRONG {line}")
    print(f"{check.compared} numbers of {path} compared with PanDA, Rucio and the files, {len(check.wrong)} wrong")
    return 1 if check.wrong else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    raise SystemExit(main(sys.argv[1]))
