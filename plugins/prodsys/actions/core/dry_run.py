"""Dry runs: an action is done as it stands, in one transaction that is rolled back, and touches nothing outside.

What it would have told PanDA, Rucio or Airflow is written down instead. What an action reads there it really reads, so
a dry run refuses what the act itself would refuse.

No row is locked while a service is asked. The act commits what it wrote before it asks, a dry run cannot: it rolls
back, asks with no transaction open, and begins the act again, which gets the answers that are known already.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, text
from sqlalchemy.orm import Session, sessionmaker

from prodsys.actions.core.context import Clients, Context
from prodsys.errors import LedgerUnavailable, ProductionError
from prodsys.ledger.session import translated

T = TypeVar("T")


def _calls(names: str) -> frozenset[str]:
    return frozenset(names.split())


READS: Mapping[str, frozenset[str]] = {
    "panda": _calls(
        "get_status get_task get_task_map get_files get_jobs find_tasks list_tasks list_statuses ensure_role user_name "
        "is_alive status_or_unseen list_modified read_ended_task list_own_names"
    ),
    "rucio": _calls(
        "ping whoami list_files list_children dataset_info find_known find_collections find_space find_shared_quotas "
        "metadata list_replicas_by_rse pfns replicas rule_state rule_states list_own_rules "
        "availability copies_in copies_of expected_pfn find_rses find_scope taken_out"
    ),
    "airflow": _calls(
        "list_roles dag_ready list_paused_dags import_errors get_run list_runs list_task_instances find_answer "
        "event_log"
    ),
}
"""Service -> methods of its client that change nothing; a dry run makes these calls."""
CHANGES: Mapping[str, frozenset[str]] = {
    "panda": _calls("submit kill finish pause resume retry change_priority"),
    "rucio": _calls(
        "ensure_scope ensure_dataset ensure_files ensure_closed ensure_container ensure_attached ensure_metadata "
        "ensure_rule expire detach_files describe_files"
    ),
    "airflow": _calls("pause_dag unpause_dag start_run clear_run set_run_state set_run_note answer_hitl"),
}
"""Service -> methods of its client that change something; a dry run writes them down."""
LOCK_WAIT_S = 5  # for somebody who changes what is tried
ROUNDS = 10_000  # times an act is begun again, each with one more answer
_LOCKS_NOTHING = """
select pg_current_xact_id_if_assigned() is null
    and not exists (select from pg_locks where pid = pg_backend_pid() and locktype = 'advisory')
"""
Question = tuple[str, str, str]  # service, call, arguments


@dataclass
class DryRun(Generic[T]):
    """Answer of an act that was not done, and what it would have done outside the ledger."""

    answer: T
    effects: list[str] = field(default_factory=list)


class _MustAsk(BaseException):
    """A service has to be asked, and rows are locked; no handler of an act may take it for an error."""

    def __init__(self, question: Question, ask: Callable[[], Any]) -> None:
        self.question, self.ask = question, ask
        super().__init__(*question)


@dataclass
class _Answers:
    """What services said, in the order of equal questions: an act that is begun again gets the same answers."""

    known: dict[Question, list[Callable[[], Any]]] = field(default_factory=lambda: defaultdict(list))
    asked: Counter[Question] = field(default_factory=Counter)

    def find(self, question: Question) -> Callable[[], Any] | None:
        """The answer to the next of these questions, when it is known."""
        number, known = self.asked[question], self.known[question]
        if number >= len(known):
            return None
        self.asked[question] += 1
        return known[number]

    def add(self, question: Question, ask: Callable[[], Any]) -> None:
        """Ask; an error of ours is an answer, too."""
        self.known[question].append(_outcome(ask))


def _outcome(ask: Callable[[], Any]) -> Callable[[], Any]:
    try:
        answer = ask()
    except ProductionError as error:
        return partial(_raise, error)
    return lambda: answer


def _raise(error: ProductionError) -> None:
    raise error


class _RecordingClient:
    """A client whose calls that change something are written down instead of made."""

    def __init__(self, name: str, client: Any, stage: _Stage) -> None:
        self._name, self._client, self._stage = name, client, stage

    def __getattr__(self, call: str) -> Any:
        found = getattr(self._client, call)
        if not callable(found):
            return found
        if call in READS[self._name]:
            return lambda *given, **named: self._ask(call, found, given, named)
        return lambda *given, **named: self._note(call, given, named)

    def _ask(self, call: str, method: Callable[..., Any], given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        return self._stage.ask((self._name, call, f"{given!r} {named!r}"), lambda: method(*given, **named))

    def _note(self, call: str, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        shown = [str(one) for one in given] + [f"{name}={value}" for name, value in named.items()]
        self._stage.effects.append(f"{self._name} {call.replace('_', ' ')} {' '.join(shown)}".rstrip())


@dataclass
class _Stage:
    """One round of a dry run: its transaction and what it would have done."""

    connection: Connection
    answers: _Answers
    effects: list[str] = field(default_factory=list)

    def ask(self, question: Question, ask: Callable[[], Any]) -> Any:
        """The answer of a service; it is asked now when nobody can be kept waiting, else after this round."""
        answer = self.answers.find(question)
        if answer is None:
            if not self.connection.scalar(text(_LOCKS_NOTHING)):
                raise _MustAsk(question, ask)
            self.answers.add(question, ask)
            answer = self.answers.find(question) or ask
        return answer()


def run_dry(ctx: Context, act: Callable[[Context], T]) -> DryRun[T]:
    """What an act would answer and do; its changes of the ledger are seen by itself alone and undone at the end.

    Raises
    ------
    LedgerUnavailable
        Somebody changes the same rows for longer than a dry run waits.
    ProductionError
        Whatever the act raises.
    """
    answers = _Answers()
    for _ in range(ROUNDS):
        answers.asked.clear()
        try:
            return _play(ctx, act, answers)
        except _MustAsk as wanted:
            answers.add(wanted.question, wanted.ask)
    raise LedgerUnavailable(f"after {ROUNDS} answers of other services the dry run still asks for more")


def _play(ctx: Context, act: Callable[[Context], T], answers: _Answers) -> DryRun[T]:
    """One round: the act in a transaction that is rolled back."""
    with translated(), ctx.sessions.kw["bind"].connect() as connection, connection.begin() as outer:
        _bound(connection)
        sessions = sessionmaker(
            connection, class_=Session, expire_on_commit=False, join_transaction_mode="create_savepoint"
        )
        stage = _Stage(connection, answers)
        inside = replace(ctx, sessions=sessions, clients=_recording_clients(ctx, stage), dry_run=True)
        answer = act(inside)
        outer.rollback()
        return DryRun(answer, stage.effects)


def _bound(connection: Connection) -> None:
    """Wait for others for a few seconds only, and be ended by nobody while a service is asked and no row is locked."""
    for name, value in (("lock_timeout", f"{LOCK_WAIT_S}s"), ("idle_in_transaction_session_timeout", "0")):
        connection.execute(text("select set_config(:name, :value, true)"), {"name": name, "value": value})


def _recording_clients(ctx: Context, stage: _Stage) -> Clients:
    def watched(name: str) -> Any:
        return lambda: _RecordingClient(name, getattr(ctx, name), stage)

    return Clients(panda=watched("panda"), rucio=watched("rucio"), airflow=watched("airflow"))
