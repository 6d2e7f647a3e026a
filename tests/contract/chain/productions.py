"""The productions of this folder: what goes wrong in each, and what is left of it in ledger, Rucio and files."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy import select

from prodsys.actions.closing.collection import CertifyAnswer
from prodsys.actions.settlement.settling import settle_step
from prodsys.ddm.facts import FileFact
from prodsys.errors import ProductionError
from prodsys.ledger.requests import approved_plan, get_request, list_steps
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import CertificateRow, DatasetRow, FileRow, RuleRow, SeedOutcomeRow, StepRow, TaskRow
from prodsys.ledger.tasks import list_files, list_outcomes, newest_task
from prodsys.model.names import Did
from prodsys.model.outcome import JobRecord
from prodsys.model.plan import Plan
from prodsys.model.policy import Answer
from prodsys.model.statuses import JobStatus, TaskStatus
from tests.contract.chain.damage import shorten, truncate
from tests.contract.chain.driving import Course, patiently, wait_for_task
from tests.contract.chain.site import Site

SEGV = {"pilotErrorCode": 1305, "transExitCode": 65, "diag": "segmentation violation in TGeant4"}


@dataclass(frozen=True)
class Order:
    """One production: where, and what goes wrong. Seeds are meant by their place in the request."""

    number: int
    adder: str = "rucio"
    seeds: int = 3
    fail_once: tuple[int, ...] = ()
    fail_thrice: tuple[int, ...] = ()  # all attempts that PanDA makes by itself
    fail_always: tuple[int, ...] = ()
    partition: str | None = None
    lose_p: bool = False
    unregistered: tuple[int, ...] = ()  # none of whose files reaches the catalogue, though they are stored
    twice: bool = False
    mortal: bool = False
    settled_late: bool = False
    raced: bool = False
    strict: bool = False
    sample_files: int = 3
    accept_percent: float = 66
    rounds: int = 0
    ask_percent: float = 100  # share of unreadable files at a site above which a person is asked
    lose_in_reco: tuple[int, ...] = ()  # slots of RECO jobs that fail in all attempts of the first task
    answers: tuple[tuple[Answer, str], ...] = ()
    between: Callable[[Production, str], None] | None = None
    queue: str | None = None  # None: PanDA chooses

    @property
    def request_id(self) -> str:
        return f"DEMO2025-{self.number}"


@dataclass
class Production:
    """What became of a production; ``error`` is what stopped it."""

    name: str
    order: Order
    site: Site
    seeds: tuple[int, ...]
    course: Course
    answer: CertifyAnswer | None = None
    error: ProductionError | None = None
    damaged: list[int] = field(default_factory=list)
    said: str = ""

    @property
    def request_id(self) -> str:
        return self.order.request_id

    def run(self) -> Production:
        between = self.order.between
        try:
            self.answer = self.course.run(lambda kind: between(self, kind) if between else None)
        except ProductionError as error:
            self.error = error
        return self

    def finished(self) -> CertifyAnswer:
        """How it ended; fails the test with the reason when it did not."""
        assert self.answer is not None, f"{self.request_id} stopped: {self.error}"
        return self.answer

    # --- the ledger ---------------------------------------------------------------------------------------------------
    @property
    def plan(self) -> Plan:
        with transaction(self.site.sessions) as session:
            return approved_plan(session, self.request_id)

    @property
    def state(self) -> str:
        with transaction(self.site.sessions) as session:
            return get_request(session, self.request_id).state

    def step(self, kind: str) -> StepRow:
        with transaction(self.site.sessions) as session:
            return next(one for one in list_steps(session, self.request_id) if one.kind == kind)

    def outcomes(self, kind: str) -> dict[int, SeedOutcomeRow]:
        with transaction(self.site.sessions) as session:
            return {one.seed: one for one in list_outcomes(session, self.step(kind).step_id)}

    def files(self, kind: str, data_type: str | None = None) -> list[FileRow]:
        with transaction(self.site.sessions) as session:
            return list_files(session, self.step(kind).step_id, data_type)

    def task(self, kind: str) -> TaskRow:
        with transaction(self.site.sessions) as session:
            found = newest_task(session, self.request_id, kind)
        assert found is not None, f"{self.request_id} has no task of {kind}"
        return found

    def rows(self, table: type[Any]) -> list[Any]:
        with transaction(self.site.sessions) as session:
            return list(session.scalars(select(table).where(table.request_id == self.request_id)))

    # --- PanDA, Rucio, files ------------------------------------------------------------------------------------------
    def jobs(self, kind: str) -> tuple[JobRecord, ...]:
        jedi_task_id = self.task(kind).jedi_task_id
        assert jedi_task_id is not None
        return self.site.panda_client().get_jobs(jedi_task_id)

    def did(self, kind: str, data_type: str) -> Did:
        return Did(self.plan.partition, self.plan.sample.dataset(kind, data_type))

    def in_rucio(self) -> dict[str, Any]:
        """Everything Rucio holds of the request, in a form that does not name it."""
        client = self.site.rucio_client()
        dids = sorted({one.did for one in self.rows(DatasetRow)})
        return {self.nameless(did): self._one(client, Did.parse(did)) for did in dids}

    def _one(self, client: Any, did: Did) -> dict[str, Any]:
        info = client.dataset_info(did)
        own = {"request", "seeds", "plan"}
        return {
            "type": info.type,
            "open": info.open,
            "length": info.length,
            "files": sorted(self.nameless(lfn) for lfn in client.list_files(did)),
            "replicas": {rse: len(lfns) for rse, lfns in client.list_replicas_by_rse(did).items()},
            "rules": sorted(client._rules_of(did).values()),
            "metadata": {key: value for key, value in client.metadata(did).items() if key not in own},
        }

    def nameless(self, text: str) -> str:
        return text.replace(self.request_id, "REQUEST")

    def certificate(self) -> dict[str, Any]:
        return json.loads(Path(self.finished().path).read_text(encoding="utf-8"))

    def handover(self, word: str) -> list[str]:
        path = Path(self.finished().path).with_name(f"{self.request_id}_{word}.txt")
        return path.read_text(encoding="utf-8").splitlines()

    def left_nothing(self) -> None:
        """No container, no rule, no metadata, no certificate, no hand-over list."""
        client, plan = self.site.rucio_client(), self.plan
        assert self.rows(RuleRow) == self.rows(CertificateRow) == []
        assert not (self.site.home / "certificates" / self.request_id).exists()
        assert client.dataset_info(Did.parse(plan.request_container)) is None
        for step in plan.steps:
            for one in step.datasets:
                assert client.dataset_info(Did.parse(one.container)) is None
                if client.dataset_info(Did.parse(one.did)) is not None:
                    assert client._rules_of(Did.parse(one.did)) == client.metadata(Did.parse(one.did)) == {}


def _truncate(production: Production, kind: str) -> None:
    if kind == "SIM":
        production.damaged = [truncate(production)]


def _truncate_and_shorten(production: Production, kind: str) -> None:
    if kind == "SIM":
        production.damaged = [truncate(production), shorten(production)]


def _retry_by_hand(production: Production, kind: str) -> None:
    """Somebody retries the finished task in the monitor before we have settled it."""
    if kind != "SIM":
        return
    site, jedi_task_id = production.site, production.task("SIM").jedi_task_id
    assert jedi_task_id is not None
    panda = site.panda_client()
    assert panda.get_status(jedi_task_id) is TaskStatus.FINISHED
    panda.retry(jedi_task_id)
    patiently(lambda: panda.get_status(jedi_task_id) is not TaskStatus.FINISHED or None, "the retry")
    production.said = settle_step(site.context(), production.request_id, "SIM").message
    wait_for_task(site.context(), production.request_id, "SIM")


def _register_failed_attempt(production: Production, kind: str) -> None:
    """PanDA's adder registered a file of an attempt that failed afterwards."""
    if kind == "SIM":
        failed = next(job for job in production.jobs("SIM") if job.status is JobStatus.FAILED)
        did, client = production.did("SIM", "S"), production.site.rucio_client()
        [production.said] = [file.lfn for file in failed.outputs if file.dataset == did.name]
        client.ensure_dataset(did)
        client.ensure_files(did, {production.said: FileFact(10, "a")}, {production.said: "JINR_EOS"})


LOST_REPLIES = ("DEMO2025-951", "DEMO2025-952")
"""Requests whose first submission of SIM is not answered."""
SLOW_ONES = (
    "DEMO2025-930",
    "DEMO2025-931",
    "DEMO2025-932",
    "DEMO2025-933",
    "DEMO2025-934",
    "DEMO2025-946",
    "DEMO2025-1971",
    "DEMO2025-1972",
)  # their jobs leave time for a command
FAILING_BUNCH = "DEMO2025-990"  # all attempts of its first bunch that PanDA makes by itself fail
ALWAYS: list[dict[str, Any]] = [
    {"match": {"task": rf"^{FAILING_BUNCH}\.SIM\.b001$"}, "fail": {"times": 3, "error": SEGV}},
    *({"match": {"task": rf"^{one}\.SIM"}, "lose_reply": {"times": 1}} for one in LOST_REPLIES),
    *({"match": {"task": rf"^{one}\.SIM"}, "slow": {"wall_s": 20}} for one in SLOW_ONES),
    {"match": {"task": r"^by\.hand\.second"}, "slow": {"wall_s": 20}},
]
PRODUCTIONS = {
    "mortal": Order(901, "none", mortal=True),
    "mortal lost": Order(902, lose_p=True, mortal=True),
    "registered": Order(903, queue="SPD_JINR"),
    "unregistered": Order(904, "none", twice=True),
    "lost": Order(905, lose_p=True, twice=True),
    "kept": Order(913, lose_p=True, strict=True, twice=True),
    "late": Order(914, lose_p=True, settled_late=True),
    "raced": Order(916, "none", raced=True),
    "mispaired": Order(906, "none", seeds=6, lose_p=True),
    "brief": Order(919, seeds=2, partition="test", queue="SPD_PNPI"),
    "retried": Order(915, "none", fail_thrice=(0,), between=_retry_by_hand),
    "stray": Order(917, "none", fail_once=(1,), between=_register_failed_attempt),
    "healed": Order(907, fail_once=(0,)),
    "partial": Order(908, fail_always=(1,)),
    "below": Order(909, fail_always=(0, 2)),
    "dead": Order(910, "none", seeds=2, fail_always=(0, 1)),
    "truncated": Order(911, sample_files=1, between=_truncate),
    "retried-by-us": Order(920, "none", fail_thrice=(0,), accept_percent=100, rounds=1),
    "recovered": Order(921, fail_thrice=(0, 2), accept_percent=100, rounds=1),
    "found-again": Order(922, lose_p=True, accept_percent=100, rounds=1, answers=((Answer.RECOVER, ""),)),
    "recovered-in-reco": Order(923, lose_in_reco=(1,), accept_percent=100, rounds=2),
    "asked": Order(
        924,
        fail_always=(1,),
        accept_percent=100,
        rounds=1,
        answers=((Answer.RECOVER, ""), (Answer.ACCEPT, "good enough for the talk")),
    ),
    "unreadable": Order(961, queue="SPD_JINR", sample_files=1, between=_truncate, rounds=2, ask_percent=20),
    "remade": Order(
        962, sample_files=1, between=_truncate, rounds=1, accept_percent=100, answers=((Answer.RECOVER, ""),)
    ),
    "copies-bad": Order(963),
    "copies-bad-unseen": Order(967, sample_files=0),
    "reaped": Order(964, seeds=2, sample_files=0),
    "reaped-counted": Order(968, "none", seeds=2),
    "late-taken": Order(966, fail_thrice=(2,), unregistered=(2,)),
    "vanished": Order(965, queue="SPD_JINR"),
    "retried-late": Order(927, "none", fail_thrice=(2,)),
    "retried-unseen": Order(941, "none", fail_thrice=(2,)),
    "retried-closing": Order(942, "none", fail_thrice=(2,)),
    "waived": Order(928, fail_always=(0, 2)),
    "lifeless": Order(929, "none", seeds=2, fail_always=(0, 1)),
    "repaired": Order(925, fail_thrice=(1,)),
    "short": Order(912, "none", sample_files=1, between=_truncate_and_shorten),
}


def prepare(site: Site, name: str, order: Order) -> Production:
    """The approved request of an order."""
    rule = site.catalogue.policy.settle[0].model_copy(
        update={"accept_percent": order.accept_percent, "rounds": order.rounds}
    )
    site = replace(
        site.with_policy(sample_files=order.sample_files, settle=(rule,), unreadable_ask_percent=order.ask_percent),
        strict=order.strict,
    )
    seeds = site.approved(order.request_id, order.seeds, order.partition, queue=order.queue)
    course = Course(site, order.request_id, order.twice, order.mortal, order.settled_late, order.raced)
    course.answers = list(order.answers)
    return Production(name, order, site, seeds, course)


def rules_of(production: Production) -> list[dict[str, Any]]:
    """What shall go wrong, in the words of the sandbox's scenarios."""
    order, task = production.order, rf"^{production.request_id}\.SIM"
    rules: list[dict[str, Any]] = []
    for times, places in ((1, order.fail_once), (3, order.fail_thrice), ("always", order.fail_always)):
        if places:
            seeds = [production.seeds[place] for place in places]
            whom = f"{task}$" if times == 3 else task  # so often in one task, and never in a further attempt
            rules.append({"match": {"task": whom, "seed": seeds}, "fail": {"times": times, "error": SEGV}})
    if order.lose_in_reco:
        match = {"task": rf"^{production.request_id}\.RECO$", "slot": list(order.lose_in_reco)}
        rules.append({"match": match, "fail": {"times": "always", "error": SEGV}})
    if order.unregistered:
        match = {
            "task": f"{task}$",
            "seed": [production.seeds[place] for place in order.unregistered],
            "file": "root|log",
        }
        rules.append({"match": match, "lose_file": {"times": "always"}})
    if order.lose_p:
        rules.append({"match": {"task": f"{task}$", "file": r"\.P\.000001\."}, "lose_file": {"times": 1}})
    return rules
