"""Airflow's REST API with the service account: start runs, look at them, stop them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote

import httpx

from prodsys.errors import AirflowAnswerInvalid, AirflowRefused, AirflowUnavailable
from prodsys.model.plain_text import plain_text
from prodsys.orchestrator.entries import (
    AirflowTaskInfo,
    ImportFault,
    LogEntry,
    RunInfo,
    airflow_task_info,
    import_fault,
    log_entry,
    run_info,
)
from prodsys.transport import MAX_BYTES, exchange

T = TypeVar("T")
API = "/api/v2"
USERS = "/auth/fab/v1/users"  # of the auth manager FAB
PAGE = 100  # rows a page, the server's maximum
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
SHOWN_LENGTH = 300
NOTE_LENGTH = 1000  # of a run's note; Airflow refuses more


class AirflowClient:
    """One Airflow deployment; safe to share between threads.

    Every method raises AirflowUnavailable when another try may help and AirflowRefused, with Airflow's own words, when
    it will not.
    """

    def __init__(
        self,
        url: str,
        user: str,
        password: str,
        timeout_s: float,
        *,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._url, self._user, self._password, self._timeout_s = url.rstrip("/"), user, password, timeout_s
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._token = ""

    @property
    def user(self) -> str:
        """Service account of this client, as Airflow's event log names it."""
        return self._user

    def list_roles(self, user: str) -> frozenset[str]:
        """Names of a user's roles at Airflow; empty for one that it does not know."""
        found = self._find(f"/{_part(user)}", under=USERS) or {}
        return frozenset(_shaped(lambda one: str(one["name"]), role) for role in found.get("roles") or ())

    # --- DAGs -------------------------------------------------------------------------------------------------------
    def dag_ready(self, dag_id: str, digest: str | None = None) -> bool:
        """Whether a run of this DAG would be the wanted one.

        True when Airflow has read the DAG, still sees it, could import it, and (with a digest) one of its tags is that
        digest.
        """
        dag = self._find(f"/dags/{_part(dag_id)}")
        if dag is None or dag.get("is_stale") or dag.get("has_import_errors") or not dag.get("last_parsed_time"):
            return False
        return digest is None or digest in {tag.get("name") for tag in dag.get("tags") or ()}

    def pause_dag(self, dag_id: str) -> None:
        """Let no new airflow task of this DAG start."""
        self._patch(f"/dags/{_part(dag_id)}", {"is_paused": True})

    def unpause_dag(self, dag_id: str) -> None:
        """Let it go on."""
        self._patch(f"/dags/{_part(dag_id)}", {"is_paused": False})

    def list_paused_dags(self) -> frozenset[str]:
        """Ids of the DAGs of which no new airflow task starts."""
        return frozenset(self._rows("/dags", "dags", lambda dag: str(dag["dag_id"]), paused=True))

    def import_errors(self) -> tuple[ImportFault, ...]:
        """DAG files that Airflow cannot read."""
        return tuple(self._rows("/importErrors", "import_errors", import_fault))

    # --- runs -------------------------------------------------------------------------------------------------------
    def start_run(
        self, dag_id: str, dag_run_id: str, conf: Mapping[str, object] | None = None, note: str = ""
    ) -> RunInfo:
        """The run of this id, started now or long ago: the id makes the call repeatable."""
        body = {"dag_run_id": dag_run_id, "logical_date": None, "conf": dict(conf or {})}
        body["note"] = note[:NOTE_LENGTH] or None
        try:
            return _shaped(run_info, self._call("POST", f"/dags/{_part(dag_id)}/dagRuns", json=body))
        except AirflowRefused as refusal:
            if refusal.status != httpx.codes.CONFLICT:
                raise
            run = self.get_run(dag_id, dag_run_id)
            if run is None:
                raise
            return run

    def get_run(self, dag_id: str, dag_run_id: str) -> RunInfo | None:
        """The run, or None when there is none."""
        row = self._find(_run(dag_id, dag_run_id))
        return None if row is None else _shaped(run_info, row)

    def list_runs(self, dag_id: str, airflow_states: Sequence[str] = ()) -> tuple[RunInfo, ...]:
        """Runs of a DAG, newest first, of all states or those named; ``~`` means all DAGs."""
        asked = {"state": list(airflow_states)} if airflow_states else {}
        rows = self._rows(f"/dags/{_part(dag_id)}/dagRuns", "dag_runs", run_info, order_by="-run_after", **asked)
        return tuple(rows)

    def set_run_state(self, dag_id: str, dag_run_id: str, airflow_state: str) -> RunInfo:
        """The run after its state was set to queued, success or failed; its airflow tasks follow."""
        return _shaped(run_info, self._patch(_run(dag_id, dag_run_id), {"state": airflow_state}))

    def clear_run(self, dag_id: str, dag_run_id: str) -> None:
        """Let all airflow tasks of a run that is over run again."""
        self._call("POST", f"{_run(dag_id, dag_run_id)}/clear", json={"dry_run": False, "only_failed": False})

    def set_run_note(self, dag_id: str, dag_run_id: str, note: str) -> RunInfo:
        """The run with its new note, cut to what Airflow keeps."""
        return _shaped(run_info, self._patch(_run(dag_id, dag_run_id), {"note": note[:NOTE_LENGTH]}))

    def list_task_instances(
        self, dag_id: str, dag_run_id: str, airflow_states: Sequence[str] = ()
    ) -> tuple[AirflowTaskInfo, ...]:
        """Airflow tasks of a run in their latest try, of all states or those named."""
        asked = {"state": list(airflow_states)} if airflow_states else {}
        path = f"{_run(dag_id, dag_run_id)}/taskInstances"
        return tuple(self._rows(path, "task_instances", airflow_task_info, **asked))

    def answer_hitl(self, dag_id: str, dag_run_id: str, subject: str, option: str, reason: str) -> bool:
        """Whether a parked airflow task of the run took the answer to the question whose subject begins like this."""
        begins, asked = subject.partition(":")[0], {"response_received": False}
        for row in self._rows(f"{_run(dag_id, dag_run_id)}/hitlDetails", "hitl_details", dict, **asked):
            if str(row.get("subject", "")).partition(":")[0] == begins:
                instance = _shaped(lambda one: one["task_instance"], row)
                return self._answer(_instance(dag_id, dag_run_id, instance), option, reason)
        return False

    def find_answer(
        self, dag_id: str, dag_run_id: str, task_id: str, map_index: int, try_number: int
    ) -> dict[str, Any] | None:
        """The question of one try of an airflow task with the answer a person gave; None when nobody did."""
        path = _instance(dag_id, dag_run_id, {"task_id": task_id, "map_index": map_index})
        row = self._find(f"{path}/hitlDetails/tries/{try_number}")
        return row if row is not None and row.get("responded_by_user") else None

    def _answer(self, path: str, option: str, reason: str) -> bool:
        body = {"chosen_options": [option], "params_input": {"reason": reason}}
        try:
            self._call("PATCH", f"{path}/hitlDetails", json=body)
        except AirflowRefused as refusal:
            if refusal.status not in {httpx.codes.CONFLICT, httpx.codes.NOT_FOUND}:
                raise
            return False  # somebody was faster, or it does not wait any more: the ledger has the answer
        return True

    def event_log(
        self,
        dag_id: str | None = None,
        since: datetime | None = None,
        *,
        dag_run_id: str | None = None,
        task_id: str | None = None,
        event: str | None = None,
        events: Sequence[str] = (),
        try_number: int | None = None,
    ) -> tuple[LogEntry, ...]:
        """Lines of the event log that match, oldest first; ``since`` itself is not included.

        ``dag_id`` ``~`` finds the calls that were made about several DAGs at once.
        """
        asked = {
            "dag_id": dag_id,
            "after": since.isoformat() if since else None,
            "run_id": dag_run_id,
            "task_id": task_id,
            "event": event,
            "included_events": list(events) or None,
            "try_number": try_number,
        }
        given = {key: value for key, value in asked.items() if value is not None}
        return tuple(self._rows("/eventLogs", "event_logs", log_entry, order_by="event_log_id", **given))

    # --- inside -----------------------------------------------------------------------------------------------------
    def _rows(self, path: str, key: str, read: Callable[[Mapping[str, Any]], T], **query: Any) -> Iterator[T]:
        """Rows of all pages."""
        offset = 0
        while True:
            page = self._call("GET", path, params={"limit": PAGE, "offset": offset, **query})
            rows, total = page.get(key), page.get("total_entries")
            if not isinstance(rows, list) or type(total) is not int:
                raise AirflowUnavailable(
                    f"{path} was answered without {key} or their number: Airflow could not read them"
                )
            yield from (_shaped(read, row) for row in rows)
            offset += len(rows)
            if offset >= total:
                return
            if not rows:
                raise AirflowUnavailable(f"{path} was answered with {offset} of {total} {key}: the list ended early")

    def _find(self, path: str, under: str = API) -> dict[str, Any] | None:
        try:
            return self._call("GET", path, under=under)
        except AirflowRefused as refusal:
            if refusal.status == httpx.codes.NOT_FOUND:
                return None
            raise

    def _patch(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        return self._call("PATCH", path, params={"update_mask": list(body)}, json=dict(body))

    def _call(self, method: str, path: str, under: str = API, **details: Any) -> dict[str, Any]:
        """Body of one answer; a token that is no longer taken is renewed once."""
        token, place = self._token or self._log_in(), f"{under}{path}"
        reply = self._send(method, place, token, details)
        if reply.status_code == httpx.codes.UNAUTHORIZED:
            reply = self._send(method, place, self._log_in(), details)
        return _body(f"{method} {place}", reply)

    def _send(self, method: str, path: str, token: str, details: Mapping[str, Any]) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        return self._request(method, path, headers=headers, **details)

    def _log_in(self) -> str:
        with self._lock:
            reply = self._request("POST", "/auth/token", json={"username": self._user, "password": self._password})
            token = _body("POST /auth/token", reply).get("access_token")
            if not isinstance(token, str):
                raise AirflowUnavailable(f"{self._url}/auth/token answered without a token")
            self._token = token
            return token

    def _request(self, method: str, path: str, **details: Any) -> httpx.Response:
        try:
            limits: dict[str, Any] = {"timeout_s": self._timeout_s, "max_bytes": self._max_bytes}
            return exchange(method, f"{self._url}{path}", **limits, **details)
        except httpx.HTTPError as error:
            raise AirflowUnavailable(f"{method} {self._url}{path}: {type(error).__name__} {error}".rstrip()) from error


def _body(call: str, reply: httpx.Response) -> dict[str, Any]:
    words = plain_text(reply.text, SHOWN_LENGTH)
    if reply.status_code in PASSING:
        raise AirflowUnavailable(f"{call} was answered with HTTP {reply.status_code}: {words}")
    if reply.status_code == httpx.codes.NOT_FOUND and not _is_own_refusal(reply):
        raise AirflowUnavailable(f"{call}: not found, and not in Airflow's own words: {words}")
    if not reply.is_success:
        raise AirflowRefused(call, reply.status_code, _detail(reply))
    try:
        body = reply.json()
    except ValueError as error:
        raise AirflowUnavailable(f"{call} was not answered in JSON: {words}") from error
    if not isinstance(body, dict):
        raise AirflowUnavailable(f"{call} was answered in an unknown shape: {words}")
    return body


def _is_own_refusal(reply: httpx.Response) -> bool:
    """Whether Airflow itself refuses, and not something that stands in its place."""
    try:
        return "detail" in reply.json()
    except (ValueError, TypeError):
        return False


def _detail(reply: httpx.Response) -> str:
    """Airflow's own words: the ``detail`` of its answer, or the answer."""
    try:
        detail = reply.json()["detail"]
    except (ValueError, KeyError, TypeError):
        detail = reply.text
    return plain_text(str(detail), SHOWN_LENGTH)


def _shaped(read: Callable[[Mapping[str, Any]], T], row: Mapping[str, Any]) -> T:
    if not row:
        raise AirflowUnavailable("an answer has nothing in it")
    try:
        return read(row)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise AirflowAnswerInvalid(type(error).__name__, str(error)) from error


def _run(dag_id: str, dag_run_id: str) -> str:
    return f"/dags/{_part(dag_id)}/dagRuns/{_part(dag_run_id)}"


def _instance(dag_id: str, dag_run_id: str, row: Mapping[str, Any]) -> str:
    return f"{_run(dag_id, dag_run_id)}/taskInstances/{_part(str(row['task_id']))}/{int(row.get('map_index', -1))}"


def _part(text: str) -> str:
    return quote(text, safe="~")
