"""A ledger with a long history, and services that answer at the wire as if nothing had happened since, counting.

Used by `test_bounded_work`; ``python -m tests.contract.actions.long_history URL`` prints what a pass costs.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from sqlalchemy import event, text

from prodsys.actions.core.context import Clients, Context
from prodsys.actions.reconciliation.reconciling import reconcile
from prodsys.ddm.client import RucioClient
from prodsys.intake.catalogue import load_catalogue
from prodsys.ledger.migrate import migrate
from prodsys.ledger.session import make_session_factory, transaction
from prodsys.orchestrator.client import AirflowClient
from prodsys.panda.client import PandaClient
from prodsys.settings import REPOSITORY
from tests.http_server import QuietHandler, serving

FIRST_TASK = 1000
REQUESTS = 100  # delivered, each with a hundredth of the tasks; as many were aborted
_REQUESTS = """
insert into prodsys.request (request_id, state, recorded_status, campaign, priority, revision, requester, reason)
select 'PROD2026-' || to_char(n, 'FM0000'), case when n <= :requests then 'complete' else 'aborted' end,
    'draft', 'SPD MC 2026', 900, 1, 'bulk', '' from generate_series(1, 2 * :requests) as n
"""
_STEPS = """
insert into prodsys.step (request_id, revision, kind, ordinal, counted_files, notes)
select request_id, 1, 'SIM', 1, 0, '[]' from prodsys.request
"""
_TASKS = """
insert into prodsys.task (step_id, attempt, task_name, seeds, task_map, intent, sent_count, jedi_task_id, twins, status,
    status_reason, status_at, final)
select s.step_id, n, s.request_id || '.SIM.' || n, int8multirange(int8range(n, n + 1)), '{}', 'confirmed', 1,
    :first + (row_number() over (order by s.step_id, n)), '[]',
    case r.state when 'complete' then 'done' else 'aborted' end, '',
    now() - case when n % 2 = 0 then interval '3 days' else interval '60 days' end, r.state = 'complete'
from prodsys.step as s join prodsys.request as r using (request_id), generate_series(1, :each) as n
"""
_DATASETS = """
insert into prodsys.dataset (did, request_id, step, kind, files, bytes, events, closed, read_back_at)
select 'test:d' || n, 'PROD2026-' || to_char(1 + n % :requests, 'FM0000'), 'SIM', 'dataset', 3, 300, 60, true,
    now() - interval '40 days' from generate_series(1, :rules) as n
"""
_RULES = """
insert into prodsys.rule (rule_id, did, request_id, rse_expression, copies, lifetime_days, length, state, locks_ok,
    error, checked_at)
select md5(did), did, request_id, 'JINR_EOS', 1, 30, 3, 'OK', 3, '', read_back_at from prodsys.dataset
"""


def write_history(ctx: Context, tasks: int, rules: int) -> None:
    """Ended tasks and rules whose lifetime has passed."""
    given = {"requests": REQUESTS, "first": FIRST_TASK, "each": tasks // (2 * REQUESTS), "rules": rules}
    with transaction(ctx.sessions) as session:
        for statement in (_REQUESTS, _STEPS, _TASKS, _DATASETS, _RULES):
            session.execute(text(statement), given)


@dataclass
class Wire:
    """PanDA, Airflow and Rucio at one address; what they were asked, and how much they answered."""

    url: str = ""
    calls: Counter[str] = field(default_factory=Counter)
    sent_bytes: int = 0
    tasks: int = 0  # of a history, as PanDA keeps them
    changed: dict[int, str] = field(default_factory=dict)  # task -> status that it has since a moment ago
    killed: set[int] = field(default_factory=set)
    away: frozenset[str] = frozenset()  # services that answer with an error

    def answer(self, path: str, query: dict[str, list[str]]) -> tuple[int, dict[str, str], object]:
        """Status, headers and body of a call."""
        if path == "/auth/token":
            return 201, {}, {"access_token": "t"}
        if path.startswith("/api/v1/"):
            self.calls["panda " + path.removeprefix("/api/v1/")] += 1
            if "panda" in self.away:
                return 503, {}, {"detail": "busy"}
            return 200, {}, {"success": True, "message": "", "data": self._panda(path, query)}
        if path.startswith("/api/v2/"):
            self.calls["airflow"] += 1
            return 200, {}, {"dags": [], "dag_runs": [], "event_logs": [], "total_entries": 0}
        self.calls["rucio " + path.split("/")[1]] += 1
        if path.rstrip("/") == "/rules":
            return 200, {"Content-Type": "application/x-json-stream"}, None
        kind = "RuleNotFound" if path.startswith("/rules") else "DataIdentifierNotFound"
        said = {"ExceptionClass": kind, "ExceptionMessage": "gone"}
        return 404, said, said

    def _panda(self, path: str, query: dict[str, list[str]]) -> object:
        if path.endswith("get_status"):
            task = int(query["task_id"][0])
            return self.changed.get(task) or ("done" if task <= FIRST_TASK + self.tasks // 2 else "aborted")
        if path.endswith(("kill", "pause")):
            return 0
        if not path.endswith("get_tasks_modified_since"):
            return []
        since = datetime.strptime(query["since"][0], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
        age = datetime.now(UTC) - since
        numbers = (n for n in range(1, self.tasks + 1) if timedelta(days=60 if n % 2 else 3) < age)
        rows = {FIRST_TASK + n: "done" if n <= self.tasks // 2 else "aborted" for n in numbers} | self.changed
        return {str(task): {"jediTaskID": task, "status": status} for task, status in rows.items()}


@contextmanager
def serve(wire: Wire) -> Iterator[Wire]:
    """Yield the services, served."""

    class Handler(QuietHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            given = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = urlsplit(self.path)
            if parts.path.endswith("/task/kill"):
                wire.killed.add(json.loads(given)["task_id"])
            status, headers, body = wire.answer(parts.path, parse_qs(parts.query))
            data = b"" if body is None else json.dumps(body).encode()
            wire.sent_bytes += len(data)
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = _serve

    with serving(Handler) as wire.url:
        yield wire


def with_services(ctx: Context, wire: Wire) -> Context:
    """The same context with clients of these services."""
    clients = Clients(
        panda=lambda: PandaClient(wire.url, "spd.production", lambda: "t", 20),
        rucio=lambda: RucioClient(wire.url, "robot", lambda: "t", 20),
        airflow=lambda: AirflowClient(wire.url, "prodsys", "p", 20),
    )
    return replace(ctx, clients=clients)


@dataclass
class Figures:
    """What one pass cost."""

    calls: Counter[str]
    statements: int
    sent_bytes: int


@contextmanager
def measured(ctx: Context, wire: Wire) -> Iterator[Figures]:
    """Yield figures that are filled when the block ends."""
    figures, statements = Figures(Counter(), 0, 0), list[str]()
    before, sent = wire.calls.copy(), wire.sent_bytes

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    engine = ctx.sessions.kw["bind"]
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield figures
    finally:
        event.remove(engine, "before_cursor_execute", note)
        figures.calls, figures.statements = wire.calls - before, len(statements)
        figures.sent_bytes = wire.sent_bytes - sent


def main(url: str, tasks: int = 10_000, rules: int = 500) -> None:
    """Print what three passes over such a ledger cost."""
    migrate(url)
    catalogue = load_catalogue(REPOSITORY / "include" / "specs", "sandbox")
    sessions = make_session_factory(url)
    clients = Clients(*3 * (lambda: None,))  # type: ignore[arg-type]
    ctx = Context("robot", frozenset({"service"}), catalogue, sessions, clients, Path(), "")
    write_history(ctx, tasks, rules)
    with serve(Wire(tasks=tasks)) as wire:
        ctx = with_services(ctx, wire)
        for number in (1, 2, 3):
            with measured(ctx, wire) as figures:
                found = reconcile(ctx, repair=True)
            calls = ", ".join(f"{name} {count}" for name, count in sorted(figures.calls.items()))
            sys.stdout.write(
                f"pass {number}: {figures.calls.total()} calls ({calls}), {figures.statements} statements, "
                f"{figures.sent_bytes} bytes received, {len(found)} findings\n"
            )


if __name__ == "__main__":
    main(sys.argv[1])
