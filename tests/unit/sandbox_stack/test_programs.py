"""What the programs are told: settings, order, configuration of supervisor."""

from __future__ import annotations

import configparser
import json
import os
from pathlib import Path

import pytest
from supervisor.datatypes import dict_of_key_value_pairs

from sandbox.panda.jobs.run_jobs import job_environment
from sandbox.stack import programs
from sandbox.stack.airflow_environment import airflow_environment
from sandbox.stack.errors import StackError
from sandbox.stack.home import Home
from sandbox.stack.plan import PORT_NAMES, Plan
from sandbox.stack.programs import Program, make_programs
from sandbox.stack.supervision import Supervisor


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    for name in [name for name in os.environ if name.startswith(("PRODSYS_", "SANDBOX_"))]:
        monkeypatch.delenv(name)
    environment = tmp_path / "rucio-environment"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").touch()
    monkeypatch.setattr(programs, "RUCIO_ENVIRONMENT", environment)
    home = Home(tmp_path / "a home")
    home.create()
    return Plan(home, {name: 20000 + number for number, name in enumerate(PORT_NAMES)})


def test_every_program_waits_only_for_what_there_is(plan: Plan) -> None:
    known = {program.name for program in make_programs(plan)} | {"databases"}
    assert {name for program in make_programs(plan) for name in program.after} <= known


def test_the_scheduler_waits_for_the_api_server(plan: Plan) -> None:
    scheduler = next(program for program in make_programs(plan) if program.name == "scheduler")
    assert scheduler.after == ("api-server",)


def test_without_the_rucio_environment_it_says_what_to_do(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "RUCIO_ENVIRONMENT", plan.home.root / "none")
    with pytest.raises(StackError, match="run make setup"):
        make_programs(plan)


def test_nothing_listens_beyond_this_machine(plan: Plan) -> None:
    environment = airflow_environment(plan)
    assert environment["AIRFLOW__API__HOST"] == "127.0.0.1"
    commands = {program.name: program.command for program in make_programs(plan)}
    assert "listen_addresses=127.0.0.1" in commands["postgres"]
    assert f"127.0.0.1:{plan.ports['rucio']}" in commands["rucio-server"]
    assert all("--skip-serve-logs" in commands[name] for name in ("scheduler", "triggerer"))


def test_no_command_line_shows_a_secret(plan: Plan) -> None:
    words = [word for program in make_programs(plan) for word in program.command]
    secrets = [path.read_text().strip() for path in plan.home.secrets.iterdir()]
    assert secrets
    assert not [word for word in words for secret in secrets if secret in word]


def test_connections_follow_from_the_settings(plan: Plan) -> None:
    environment = airflow_environment(plan)
    ledger = json.loads(environment["AIRFLOW_CONN_PRODSYS_LEDGER"])
    assert (
        f"{ledger['login']}:{ledger['password']}@{ledger['host']}:{ledger['port']}/{ledger['schema']}"
        in (environment["PRODSYS_DATABASE_URL"])
    )
    panda = json.loads(environment["AIRFLOW_CONN_PANDA_DEFAULT"])
    assert (panda["conn_type"], panda["host"]) == ("panda", environment["PRODSYS_PANDA_URL"])


def test_bundles_carry_no_address_of_a_database(plan: Plan) -> None:
    bundles = airflow_environment(plan)["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"]
    assert [bundle["name"] for bundle in json.loads(bundles)] == ["dags-folder", "requests"]
    assert "postgres" not in bundles


def test_another_database_may_be_named(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_RUCIO_DATABASE_URL", "postgresql+psycopg://elsewhere/rucio")
    assert plan.database_url("rucio") == "postgresql+psycopg://elsewhere/rucio"
    assert plan.database_url("panda").endswith(f":{plan.ports['postgres']}/panda")


def test_supervisor_reads_back_what_the_programs_were_given(plan: Plan) -> None:
    supervisor = Supervisor(plan)
    awkward = Program("odd", ("/bin/x", "a b", "50%"), {"A": 'x=1,{"b": "c"}', "B": "it's 5%"}, lambda: None)
    supervisor.write([awkward])
    parser = configparser.RawConfigParser()
    parser.read(supervisor.file)
    section = parser["program:odd"]
    assert dict_of_key_value_pairs(section["environment"].replace("%%", "%")) == dict(awkward.environment)
    assert section["command"] == "/bin/x 'a b' 50%%"
    assert oct(supervisor.file.stat().st_mode & 0o777) == "0o600"


def test_a_value_that_supervisor_cannot_carry_is_refused(plan: Plan) -> None:
    with pytest.raises(StackError, match="cannot hand on"):
        Supervisor(plan).write([Program("odd", ("x",), {"A": "'\""}, lambda: None)])


def test_a_stack_that_never_started_is_not_up(plan: Plan) -> None:
    assert not Supervisor(plan).answers()


def test_only_those_who_use_the_ledger_are_told_its_password(plan: Plan) -> None:
    secret = plan.role_password("prodsys")
    told = {one.name for one in make_programs(plan) if any(secret in value for value in one.environment.values())}
    assert told == {"api-server", "scheduler", "dag-processor", "triggerer"}


@pytest.mark.parametrize("name", ["iam", "tokens", "panda-server", "panda-jedi"])
def test_a_program_of_the_sandbox_is_told_no_password_of_others(plan: Plan, name: str) -> None:
    program = next(one for one in make_programs(plan) if one.name == name)
    own = {"panda": plan.role_password("panda")} if name.startswith("panda") else {}
    secrets = {path.name: path.read_text().strip() for path in plan.home.secrets.iterdir()}
    shown = {file for file, secret in secrets.items() if any(secret in value for value in program.environment.values())}
    assert shown == {f"postgres-{role}.password" for role in own}


def test_a_job_gets_nothing_of_its_pilot_but_where_things_are(plan: Plan) -> None:
    pilot = next(one for one in make_programs(plan) if one.name == "panda-jedi")
    left = job_environment(pilot.environment)
    assert {"PATH", "PYTHONPATH"} <= left.keys()
    secrets = [path.read_text().strip() for path in plan.home.secrets.iterdir()]
    assert not [name for name, value in left.items() for secret in secrets if secret in value]
    assert not [name for name in left if "URL" in name or "SECRET" in name]
