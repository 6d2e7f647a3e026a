"""Tables of the sandbox: submissions, tasks, datasets, files, jobs; the schema is made at start, again and again."""

from __future__ import annotations

import logging
import time

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Engine,
    Float,
    Index,
    Integer,
    MetaData,
    Sequence,
    Table,
    Text,
    create_engine,
    inspect,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import OperationalError
from sqlalchemy.schema import CreateColumn

log = logging.getLogger("sandbox.panda.tables")
metadata = MetaData()

task_number = Sequence("jedi_task_id", metadata=metadata)
job_number = Sequence("panda_id", metadata=metadata)

submission = Table(
    "submission",
    metadata,
    Column("jedi_task_id", BigInteger, primary_key=True, autoincrement=False),
    Column("user_name", Text, nullable=False),
    Column("params", JSONB, nullable=False),
    Column("parent_tid", BigInteger),
    Column("created", DateTime, nullable=False),
    Column("state", Text, nullable=False, server_default="waiting"),
    Index("submission_waiting", "jedi_task_id", postgresql_where=text("state = 'waiting'")),
)

task = Table(
    "task",
    metadata,
    Column("jedi_task_id", BigInteger, primary_key=True, autoincrement=False),
    Column("task_name", Text),
    Column("status", Text, nullable=False),
    Column("old_status", Text),
    Column("user_name", Text),
    Column("vo", Text),
    Column("prod_source_label", Text),
    Column("task_type", Text),
    Column("site", Text),
    Column("task_priority", BigInteger),
    Column("current_priority", BigInteger),
    Column("parent_tid", BigInteger),
    Column("error_dialog", Text),
    Column("attempt_nr", Integer),
    Column("creation_date", DateTime, nullable=False),
    Column("modification_time", DateTime, nullable=False),
    Column("state_change_time", DateTime, nullable=False),
    Column("start_time", DateTime),
    Column("end_time", DateTime),
    Column("frozen_time", DateTime),
    Column("activated_time", DateTime),
    Column("queued_time", DateTime),
    Column("assessment_time", DateTime),
    Column("look_again", DateTime),
    Column("locked_time", DateTime),
    Column("throttled_time", DateTime),
    Column("scouting", Text),
    Column("params", JSONB, nullable=False),
    Column("raw_params", JSONB),
    Column("attributes", JSONB, nullable=False, server_default="{}"),
    Index("task_by_name", "task_name"),
    Index("task_by_status", "status"),
    Index("task_by_modification", "modification_time"),
)

task_log = Table(
    "task_log",
    metadata,
    Column("log_id", BigInteger, primary_key=True),
    Column("jedi_task_id", BigInteger, nullable=False, index=True),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("happened", DateTime, nullable=False),
)

command = Table(
    "command",
    metadata,
    Column("command_id", BigInteger, primary_key=True),
    Column("jedi_task_id", BigInteger, nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("comment", Text),
    Column("options", JSONB, nullable=False, server_default="{}"),
    Column("registered", DateTime, nullable=False),
    Column("done", Boolean, nullable=False, server_default=text("false")),
    Index("command_to_do", "jedi_task_id", postgresql_where=text("not done")),
)

dataset = Table(
    "dataset",
    metadata,
    Column("dataset_id", BigInteger, primary_key=True),
    Column("jedi_task_id", BigInteger, nullable=False, index=True),
    Column("name", Text, nullable=False, index=True),
    Column("type", Text, nullable=False),
    Column("stream", Text),
    Column("master", Boolean, nullable=False, server_default=text("false")),
    Column("ratio", Integer, nullable=False, server_default="1"),
    Column("first_number", BigInteger, nullable=False, server_default="0"),
    Column("next_serial", Integer, nullable=False, server_default="1"),
    Column("pattern", Text),
    Column("token", Text),
    Column("destination", Text),
    Column("n_failed", Integer, nullable=False, server_default="0"),
    Column("registered", Boolean, nullable=False, server_default=text("false")),
    Column("closed", Boolean, nullable=False, server_default=text("false")),
    Column("template_id", BigInteger),
    Column("site", Text),
)

file = Table(
    "file",
    metadata,
    Column("file_id", BigInteger, primary_key=True),
    Column("dataset_id", BigInteger, nullable=False),
    Column("jedi_task_id", BigInteger, nullable=False, index=True),
    Column("lfn", Text, nullable=False),
    Column("scope", Text),
    Column("status", Text, nullable=False),
    Column("attempt_nr", Integer, nullable=False, server_default="0"),
    Column("max_attempt", Integer, nullable=False, server_default="0"),
    Column("failed_attempt", Integer, nullable=False, server_default="0"),
    Column("first_event", BigInteger),
    Column("n_events", BigInteger),
    Column("size", BigInteger),
    Column("adler32", Text),
    Column("guid", Text),
    Column("panda_id", BigInteger),
    Column("lost", Boolean, nullable=False, server_default=text("false")),
    Index("file_in_dataset", "dataset_id", "file_id"),
    Index("file_to_do", "dataset_id", "file_id", postgresql_where=text("status = 'ready'")),
)

IS_UNFINISHED = text("job.status not in ('finished', 'failed', 'cancelled', 'closed')")
"""Condition on a job; the words of the index `job_unfinished`, so that the index serves it."""

job = Table(
    "job",
    metadata,
    Column("panda_id", BigInteger, primary_key=True, autoincrement=False),
    Column("jedi_task_id", BigInteger, nullable=False, index=True),
    Column("status", Text, nullable=False, index=True),
    Column("job_name", Text, nullable=False),
    Column("attempt_nr", Integer, nullable=False),
    Column("max_attempt", Integer, nullable=False),
    Column("failed_attempt", Integer, nullable=False),
    Column("priority", BigInteger, nullable=False),
    Column("site", Text, nullable=False),
    Column("parameters", Text, nullable=False),
    Column("n_events", BigInteger, nullable=False, server_default="0"),
    Column("creation_time", DateTime, nullable=False),
    Column("modification_time", DateTime, nullable=False),
    Column("state_change_time", DateTime, nullable=False),
    Column("start_time", DateTime),
    Column("end_time", DateTime),
    Column("command_to_pilot", Text),
    Column("errors", JSONB, nullable=False, server_default="{}"),
    Column("report", JSONB),
    Column("cpu_s", Float),
    Column("attributes", JSONB, nullable=False, server_default="{}"),
    Index("job_unfinished", "jedi_task_id", postgresql_where=IS_UNFINISHED),
    Index("job_in_queue", "site", "status", text("priority desc"), "panda_id"),
)

job_file = Table(
    "job_file",
    metadata,
    Column("row_id", BigInteger, primary_key=True),
    Column("panda_id", BigInteger, nullable=False, index=True),
    Column("file_id", BigInteger, nullable=False, index=True),
    Column("dataset_id", BigInteger, nullable=False),
    Column("type", Text, nullable=False),
    Column("dataset", Text, nullable=False),
    Column("lfn", Text, nullable=False),
    Column("scope", Text),
    Column("status", Text, nullable=False),
    Column("attempt_nr", Integer, nullable=False, server_default="0"),
    Column("size", BigInteger, nullable=False, server_default="0"),
    Column("adler32", Text),
    Column("guid", Text),
    Column("token", Text),
    Column("destination", Text),
)

control = Table(
    "control",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", JSONB, nullable=False),
)

message = Table(
    "message",
    metadata,
    Column("message_id", BigInteger, primary_key=True),
    Column("msg_type", Text, nullable=False),
    Column("jedi_task_id", BigInteger, nullable=False),
    Column("panda_id", BigInteger),
    Column("status", Text),
    Column("happened", DateTime, nullable=False),
    Column("about", JSONB, nullable=False, server_default="{}"),
    Column("pushed", Boolean, nullable=False, server_default=text("false")),
    Index("message_waiting", "message_id", postgresql_where=text("not pushed")),
)

scenario_journal = Table(
    "scenario_journal",
    metadata,
    Column("entry_id", BigInteger, primary_key=True),
    Column("rule", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("jedi_task_id", BigInteger),
    Column("panda_id", BigInteger),
    Column("what", Text, nullable=False),
    Column("happened", DateTime, nullable=False),
    Index("journal_by_rule", "rule", "target"),
)

_SCHEMA_LOCK = 7_263_001
PATIENCE_S = 60.0  # a database that is being started again is waited for
AGAIN_S = 0.5
_REPLACED_INDEXES = ("ix_file_dataset_id", "ix_file_lfn", "job_by_site")


def connect(url: str, pool_size: int = 8) -> Engine:
    """Engine with timeouts on connecting and on every statement."""
    arguments = {"connect_timeout": 10, "options": "-c statement_timeout=60000 -c lock_timeout=30000 -c timezone=UTC"}
    return create_engine(url, pool_size=pool_size, max_overflow=8, pool_pre_ping=True, connect_args=arguments)


def open_database(url: str, patience_s: float = PATIENCE_S) -> Engine:
    """Engine over a database with all tables; one that is away for a moment is waited for [s].

    Raises
    ------
    DBAPIError
        It does not answer, or refuses us, for longer than that.
    """
    engine, until = connect(url), time.monotonic() + patience_s
    while True:
        try:
            create_schema(engine)
        except OperationalError as error:
            if time.monotonic() > until:
                raise
            log.warning("the database does not answer yet: %s", " ".join(str(error.orig).split())[:200])
            time.sleep(AGAIN_S)
        else:
            return engine


def create_schema(engine: Engine) -> None:
    """Make what is missing of the tables; two processes may do it at once."""
    with engine.begin() as connection:
        connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _SCHEMA_LOCK})
        metadata.create_all(connection, checkfirst=True)
        _add_missing_columns(connection)
        _add_missing_indexes(connection)


def _add_missing_columns(connection: Connection) -> None:
    """Give the tables of an older sandbox the columns that came later."""
    inspector = inspect(connection)
    for table in metadata.sorted_tables:
        known = {column["name"] for column in inspector.get_columns(table.name)}
        for column in table.columns:
            if column.name not in known:
                definition = CreateColumn(column).compile(dialect=connection.dialect)
                connection.execute(text(f'alter table "{table.name}" add column if not exists {definition}'))


def _add_missing_indexes(connection: Connection) -> None:
    """Give the tables of an older sandbox the indexes that came later, and take away those they replace."""
    known = set(
        connection.execute(text("select indexname from pg_indexes where schemaname = current_schema()")).scalars()
    )
    for name in known.intersection(_REPLACED_INDEXES):
        connection.execute(text(f'drop index "{name}"'))
    for table in metadata.sorted_tables:
        for index in table.indexes:
            if index.name not in known:
                index.create(connection)
