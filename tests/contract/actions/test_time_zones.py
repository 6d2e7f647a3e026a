"""Times are those of UTC, whatever the zone of the PostgreSQL server; that of the tests runs in Moscow's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from prodsys.actions.core.context import Context
from prodsys.actions.core.request_snapshot import show_snapshot
from prodsys.actions.queries.showing import show_audit, show_request
from prodsys.actions.runs.launching import launch
from prodsys.actions.runs.run_ownership import enter
from prodsys.actions.settlement.step_questions import answer, ask, expire
from prodsys.errors import AnswerRefused
from prodsys.ledger.requests import approved_plan, get_step
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import QuestionRow
from prodsys.model.names import dag_id_of
from prodsys.model.outcome import SeedOutcome, SeedState, StepOutcome
from prodsys.model.policy import Answer
from prodsys.model.statuses import Verdict
from tests.postgres_fixture import ZONE

REQUEST = "DEMO2025-016"


@pytest.fixture
def question_id(approved: Context) -> int:
    """Number of a question that falls due at 12:00 UTC of the first of March 2031."""
    launch(approved, REQUEST)
    assert enter(approved, REQUEST, 1, dag_id_of(REQUEST), f"{REQUEST}-r1").drive
    lost = SeedOutcome(2, SeedState.MISSING, reason="x")
    outcome = StepOutcome((SeedOutcome(1, SeedState.DELIVERED), lost), Verdict.FAILED, 2)
    with transaction(approved.sessions) as session:
        planned, step = approved_plan(session, REQUEST), get_step(session, REQUEST, "SIM")
    question = ask(approved, planned, step, outcome, [("x", (2,))])
    with transaction(approved.sessions) as session:
        row = session.get_one(QuestionRow, question.question_id)
        row.due_at = datetime(2031, 3, 1, 12, 0, tzinfo=UTC)
    return question.question_id


def test_the_server_of_the_tests_is_not_in_utc_and_our_sessions_are(ledger_url: str, ctx: Context) -> None:
    with psycopg.connect(ledger_url.replace("+psycopg", "")) as bare:
        assert bare.execute("show timezone").fetchone() == (ZONE,)
    with transaction(ctx.sessions) as session:
        assert session.scalar(text("show timezone")) == "UTC"
        assert session.scalar(text("select now()")).utcoffset() == timedelta(0)


def test_the_default_of_a_question_is_told_with_the_time_of_utc(approved: Context, question_id: int) -> None:
    assert expire(approved, question_id).said.endswith("no answer until 2031-03-01 12:00 UTC")


def test_who_answers_second_reads_when_the_first_did_in_utc(approved: Context, question_id: int) -> None:
    answer(approved, question_id, Answer.RECOVER, "")
    with transaction(approved.sessions) as session:
        session.get_one(QuestionRow, question_id).answered_at = datetime(2031, 3, 1, 21, 30, tzinfo=UTC)
    with pytest.raises(AnswerRefused, match="at 2031-03-01 21:30 UTC"):
        answer(approved, question_id, Answer.FAIL, "no")


def test_the_command_line_prints_the_due_time_in_utc(
    approved: Context, question_id: int, ledger_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    from prodsys.cli.main import app

    monkeypatch.setenv("PRODSYS_DATABASE_URL", ledger_url)
    monkeypatch.setenv("PRODSYS_HOME", str(tmp_path))
    found = CliRunner().invoke(app, ["request", "questions", REQUEST])
    assert found.exit_code == 0, found.output
    assert "from 2031-03-01 12:00 UTC)" in found.output
    assert question_id


def test_what_programs_read_carries_the_offset_of_utc(approved: Context) -> None:
    look, shown = show_snapshot(approved, REQUEST).body, show_request(approved, REQUEST)
    moments = [look["created_at"], look["changed_at"], look["plan"]["approved_at"], look["plan"]["planned_at"]]
    moments += [line["at"] for line in show_audit(approved, REQUEST)]
    assert shown
    assert all(moment.endswith("+00:00") for moment in moments)
