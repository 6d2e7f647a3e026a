"""The commands that need no services: what they print, and how they end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from prodsys.cli import main as cli
from prodsys.cli.moments import parse_moment
from prodsys.errors import SpecInvalid
from tests.unit.intake.corpus import DEMO, REPOSITORY, SPECS, csv_text, request, sheet

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Exit code, stdout and stderr of a command in a home of its own."""
    for name in [name for name in os.environ if name.startswith("PRODSYS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PRODSYS_HOME", str(tmp_path / "home"))

    def runner(*args: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            cli.main([str(arg) for arg in args])
        out, err = capsys.readouterr()
        code = caught.value.code
        return (code if isinstance(code, int) else 0), out, err

    return runner


def test_seeds_check_prints_the_five_pairs_and_nothing_else(run):
    code, out, err = run("seeds", "check", DEMO / "requests_db.csv", DEMO / "requests_sheet.csv", "--json")
    answer = json.loads(out)
    assert (code, err) == (1, "")
    assert list(answer) == ["pairs", "faults", "warnings"]
    assert answer["faults"] == answer["warnings"] == []
    assert [(pair["a"], pair["b"]) for pair in answer["pairs"]] == [
        ("PROD2025-001", "PROD2025-002"),
        ("PROD2025-001", "PROD2025-004"),
        ("PROD2025-002", "PROD2025-004"),
        ("PROD2025-003", "PROD2025-004"),
        ("PROD2025-011", "PROD2025-012"),
    ]
    assert answer["pairs"][3] == {"a": "PROD2025-003", "b": "PROD2025-004", "first": 5001, "last": 10000}


def test_seeds_check_of_one_clean_file_ends_with_zero(run):
    code, out, _ = run("seeds", "check", SPECS / "requests", "--json")
    assert (code, json.loads(out)) == (0, {"pairs": [], "faults": [], "warnings": []})


def test_seeds_check_warns_about_another_version_and_stays_clean(run, tmp_path):
    rows = sheet(request(1), request(2, seeds="1-10", software="spdroot-dev-4.1.7.1"))
    (tmp_path / "a.csv").write_text(csv_text(rows))
    code, out, _ = run("seeds", "check", tmp_path / "a.csv", "--json")
    assert code == 0
    assert json.loads(out)["warnings"] == [
        {"a": "PROD2031-001", "b": "PROD2031-002", "first": 1, "last": 10, "differs": ["version"]}
    ]
    assert "other detector" in run("seeds", "check", tmp_path / "a.csv")[1]


def test_a_dry_run_says_what_every_row_would_become(run):
    code, out, err = run("request", "import", DEMO / "requests_sheet.csv", "--dry-run", "--json")
    answer = json.loads(out)
    assert (code, err, list(answer)) == (0, "", ["accepted", "ledger", "faults", "notes"])
    assert answer["ledger"] == "the ledger was not asked: PRODSYS_DATABASE_URL is not set"
    states = {one["request_id"]: (one["status"], one["state"]) for one in answer["accepted"]}
    assert states["PROD2025-010"] == ("done", "recorded")
    assert states["PROD2025-014"] == ("running", "recorded")
    assert states["PROD2025-016"] == ("ready", "draft")
    last = answer["accepted"][-1]
    assert (last["seeds"], last["events"], last["chain"]) == ("40001-50000", 40_000_000, "SIM-RECO")
    assert last["configuration"].startswith("sha256:")
    assert set(answer["notes"][0]) == {"file", "row", "column", "value", "message"}


def test_a_dry_run_without_a_ledger_finds_seeds_that_two_rows_of_the_files_want(run, tmp_path):
    rows = sheet(request(1), request(2, seeds="1-10"), request(3, seeds="1-10"))
    (tmp_path / "a.csv").write_text(csv_text(rows))
    code, out, _ = run("request", "import", tmp_path / "a.csv", "--dry-run", "--json")
    faults = json.loads(out)["faults"]
    assert code == 1
    assert [(fault["row"], fault["column"]) for fault in faults] == [(5, "seeds"), (7, "seeds")]
    assert all("belong to PROD2031-001 of the same files" in fault["message"] for fault in faults)


def test_a_dry_run_of_a_broken_sheet_ends_with_one_and_names_each_fault(run, tmp_path):
    (tmp_path / "a.csv").write_text(csv_text(sheet(request(1), request(2, status="Dnoe", energy="x"))))
    code, out, _ = run("request", "import", tmp_path / "a.csv", "--dry-run", "--json")
    answer = json.loads(out)
    assert code == 1
    assert len(answer["accepted"]) == 1
    assert [(one["row"], one["column"], one["value"]) for one in answer["faults"]] == [
        (5, "Status", "Dnoe"),
        (5, "Energy", "x"),
    ]
    assert set(answer["faults"][0]) == {"file", "row", "column", "value", "message", "remedy"}


def test_tables_for_people_hold_texts_as_they_are(run, tmp_path):
    (tmp_path / "a.csv").write_text(csv_text(sheet(request(1, status="[bold red]\x1b[2J[/]"))))
    code, out, _ = run("request", "import", tmp_path / "a.csv", "--dry-run")
    assert code == 1
    assert "[bold red]" in out
    assert "\x1b" not in out


@pytest.mark.parametrize(
    "args",
    [
        ("seeds", "check", "none.csv"),
        ("request", "lint"),
        ("request", "import", "--dry-run"),
        ("request", "imprt", "x"),
        ("nonsense",),
        ("spec", "lint", "--nonsense"),
    ],
)
def test_wrong_usage_ends_with_two_and_nothing_on_stdout(run, args):
    code, out, err = run(*args)
    assert (code, out) == (2, "")
    assert err


def test_seeds_check_without_files_asks_the_ledger(run):
    code, out, err = run("seeds", "check")
    assert (code, out) == (1, "")
    assert "PRODSYS_DATABASE_URL" in err


def test_lint_finds_datasets_in_the_wrong_scope_without_any_service(run):
    book = REPOSITORY / "tests" / "data" / "book"
    code, out, err = run("request", "lint", book / "requests_sheet.csv", book / "processings.csv", "--json")
    answer = json.loads(out)
    assert (code, err, answer["counts"]) == (1, "", {"error": 0, "warning": 7, "note": 9})
    found = [one for one in answer["findings"] if one["severity"] == "warning"]
    assert set(found[0]) == {"place", "value", "message", "remedy", "severity"}
    assert {one["place"]["column"] for one in found} == {"output_datasets"}
    by_row = {(one["place"]["row"], one["message"]) for one in found}
    assert by_row == {
        (2, "stands in scope MC2025_S1, but stage S2 and the pattern say MC2025_S2"),
        (3, "stands in scope MC2025_S1, but stage S2 and the pattern say MC2025_S2"),
        (4, "stands in scope MC2025_S1, but the pattern says MC2025_S2; "
            "PROD2025-017 is not among the requests read here, its stage is not known"),
    }  # fmt: skip
    assert found[-1]["value"].endswith("PROD2025-017.RECO.1.R")
    assert "MC2025_S2" in run("request", "lint", book / "requests_sheet.csv", book / "processings.csv")[1]


def test_lint_of_good_files_ends_with_zero_though_there_are_notes(run):
    code, out, _ = run("request", "lint", DEMO / "requests_sheet.csv", DEMO / "requests_db.csv", "--json")
    assert (code, json.loads(out)["counts"]) == (0, {"error": 0, "warning": 0, "note": 9})


def test_a_file_without_requests_is_a_finding(run, tmp_path):
    (tmp_path / "a.csv").write_bytes("Статус,b,c\n".encode("cp1251"))
    for command in (("seeds", "check"), ("request", "import", "--dry-run")):
        code, out, _ = run(*command, tmp_path / "a.csv", "--json")
        assert code == 1
        assert "cp1251" in json.loads(out)["faults"][0]["remedy"]


def test_lint_and_schema_of_the_repository_are_clean(run):
    assert run("spec", "lint", "--json")[:2] == (0, '{\n  "faults": []\n}\n')
    assert run("spec", "schema", "--check")[0] == 0


def test_lint_of_a_faulty_file_ends_with_one(run, tmp_path):
    text = (SPECS / "sites.yaml").read_text().replace("cloud:", "clowd:")
    line = 1 + text[: text.index("clowd:")].count("\n")
    (tmp_path / "sites.yaml").write_text(text)
    code, out, _ = run("spec", "lint", tmp_path / "sites.yaml", "--json")
    assert code == 1
    [fault] = json.loads(out)["faults"]
    assert (fault["column"], fault["row"]) == ("clowd", line)
    assert "did you mean 'cloud'" in fault["remedy"]


def test_an_error_of_ours_is_one_message_on_stderr(run, monkeypatch, tmp_path):
    monkeypatch.setenv("PRODSYS_SPECS", str(tmp_path / "none"))
    args = ["request", "import", str(DEMO / "requests_sheet.csv"), "--dry-run", "--json"]
    code, out, err = run(*args)
    assert (code, out) == (1, "")
    assert err.startswith(f"prodsys: {tmp_path / 'none'}: there is no such folder of specs")
    assert len(err.splitlines()) == 1
    monkeypatch.setenv("PRODSYS_DEBUG", "1")
    with pytest.raises(SpecInvalid):
        cli.main(args)


def test_help_tells_groups_and_exit_codes(run):
    code, out, _ = run("--help")
    assert code == 0
    assert all(name in out for name in cli.GROUPS)
    assert "Exit code" in out


def test_commands_without_services_import_nothing_heavy(tmp_path):
    program = """
import sys
from prodsys.cli.main import main
sheet = "include/demo/requests_sheet.csv"
lines = ("--help", "seeds check --help", f"seeds check {sheet}", f"request import {sheet} --dry-run")
lines += (f"request lint {sheet}", "recurring lint")
for line in lines:
    try:
        main(line.split())
    except SystemExit as end:
        assert end.code in (0, 1, None), end.code
heavy = {"airflow", "sqlalchemy", "pandaclient", "rucio", "openpyxl", "numpy", "fastapi", "requests"}
found = heavy & {name.split(".")[0] for name in sys.modules}
sys.exit(f"imported {sorted(found)}" if found else 0)
"""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{REPOSITORY}/plugins:{REPOSITORY}"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        env=environment | {"PRODSYS_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-12-01", "2026-12-01T00:00:00+00:00"),
        ("2026-12-01T08:00:00", "2026-12-01T08:00:00+00:00"),
        ("2026-12-01 08:00", "2026-12-01T08:00:00+00:00"),
        ("2026-12-01T08:00:00Z", "2026-12-01T08:00:00+00:00"),
        ("2026-12-01T08:00:00+03:00", "2026-12-01T05:00:00+00:00"),
    ],
)
def test_a_moment_is_utc_unless_it_brings_an_offset(written, moment):
    assert parse_moment(written).isoformat() == moment


@pytest.mark.parametrize(
    ("command", "written", "says"),
    [
        ("launch", "5", "is no moment"),
        ("launch", "20261201", "is no moment"),
        ("launch", "2026-12-01T08", "is no moment"),
        ("launch", "2026-12-01T08:00:00+99:00", "is no moment"),
        ("launch", "2020-01-01T00:00:00Z", "has passed"),
        ("run", "20270104", "is no moment"),
        ("run", "2027-13-04", "is no moment"),
    ],
)
def test_what_is_no_moment_is_wrong_usage_with_place_value_and_remedy(run, command, written, says):
    group, option = ("request", "--at") if command == "launch" else ("recurring", "--interval")
    code, out, err = run(group, command, "PROD2025-016", option, written)
    assert (code, out) == (2, "")
    words = " ".join(err.replace("│", " ").split())
    assert f"'{option}': '{written}' {says}" in words
    assert "write it as 2026-12-01" in words or "take a later time" in words


def test_a_state_misspelt_is_wrong_usage(run):
    code, out, err = run("request", "list", "--state", "runnning")
    assert (code, out) == (2, "")
    assert "'running'" in err
