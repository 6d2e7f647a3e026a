"""The intake folder with the real ledger: what is imported, where files go, what one bad file costs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from sqlalchemy import select

from prodsys.actions.requests.drop_folder import import_dropped
from prodsys.errors import LedgerUnavailable, NotAllowed
from prodsys.ledger.session import make_session_factory
from prodsys.ledger.tables import RequestRow
from prodsys.settings import REPOSITORY

CASES = REPOSITORY / "tests" / "data" / "cases"
PILLS = sorted((CASES / "s01-yaml-poison-pill").glob("*.yaml"))


def put(folder: Path, name: str | bytes, content: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    path = Path(os.fsdecode(os.fsencode(folder) + b"/" + os.fsencode(name)))
    path.write_bytes(content)
    os.utime(path, (0, 0))
    return path


def requests(ctx) -> set[str]:
    with ctx.sessions() as session:
        return set(session.scalars(select(RequestRow.request_id)))


def good(number: int) -> bytes:
    text = PILLS[0].read_text().replace('priority: !!int ""', "priority: 900")
    return text.replace("PROD2027-001", f"PROD2027-{number:03d}").replace("1-2", f"{number}1-{number}2").encode()


def test_odd_files_go_to_faulty_with_a_report_and_the_others_are_imported(ctx, tmp_path):
    folder = tmp_path / "intake"
    for number, pill in enumerate(PILLS):
        put(folder, f"aa{number}.yaml", pill.read_bytes())
    put(folder, b"bb\xff\n.yaml", good(5))
    put(folder, "zz.yaml", good(6))
    assert import_dropped(ctx, folder, now=1000) == {}
    answers = import_dropped(ctx, folder, now=1060)
    assert requests(ctx) == {"PROD2027-005", "PROD2027-006"}
    assert len(answers) == len(PILLS) + 2
    assert {one.name for one in folder.iterdir() if not one.name.startswith(".")} == {"done", "faulty"}
    for number in range(len(PILLS)):
        report = folder / "faulty" / f"aa{number}.yaml.faults.json"
        [fault] = json.loads(report.read_text())["faults"]
        assert fault["row"]
        assert fault["remedy"] in (folder / "faulty" / f"aa{number}.yaml.faults.txt").read_text()
        assert not report.stat().st_mode & 0o007


def test_a_copy_under_way_is_imported_whole_or_not_at_all(ctx, tmp_path):
    lines = (CASES / "07-half-copied-file" / "half.csv").read_bytes().splitlines(keepends=True)
    path = put(tmp_path / "intake", "half.csv", b"".join(lines[:6]))
    os.utime(path, (1000, 1000))
    for now in (1010, 1070, 1099):
        assert import_dropped(ctx, path.parent, now=now) == {}
    with path.open("ab") as stream:
        stream.write(b"".join(lines[6:]))
    os.utime(path, (1100, 1100))
    for now in (1130, 1190):
        assert import_dropped(ctx, path.parent, now=now) == {}
    assert requests(ctx) == set()
    [answer] = import_dropped(ctx, path.parent, now=1250).values()
    assert requests(ctx) == {f"PROD2026-{number}" for number in range(200, 206)}
    assert (answer.faults, (path.parent / "done" / "half.csv").exists()) == ([], True)


def test_a_link_is_a_fault_and_what_it_points_to_is_not_read(ctx, tmp_path):
    secret = put(tmp_path / "elsewhere", "secret.yaml", good(7))
    folder = tmp_path / "intake"
    folder.mkdir()
    (folder / "a.yaml").symlink_to(secret)
    for now in (1000, 1200):
        [answer] = import_dropped(ctx, folder, now=now).values()
        assert ["is a link" in fault.message for fault in answer.faults] == [True]
    assert requests(ctx) == set()


def test_a_ledger_that_is_away_moves_no_file(ctx, tmp_path):
    from dataclasses import replace

    folder = put(tmp_path / "intake", "a.yaml", good(8)).parent
    import_dropped(ctx, folder, now=1000)
    away = replace(ctx, sessions=make_session_factory("postgresql+psycopg://nobody@127.0.0.1:1/none"))
    with pytest.raises(LedgerUnavailable):
        import_dropped(away, folder, now=1060)
    assert (folder / "a.yaml").exists()
    with pytest.raises(NotAllowed):
        import_dropped(replace(ctx, roles=frozenset({"viewer"})), folder, now=1060)
    assert (folder / "a.yaml").exists()
    import_dropped(ctx, folder, now=1120)
    assert requests(ctx) == {"PROD2027-008"}


def test_a_file_whose_place_cannot_be_written_is_imported_and_named(ctx, tmp_path):
    folder = put(tmp_path / "intake", "a.yaml", good(9)).parent
    (folder / "done").symlink_to(tmp_path)
    import_dropped(ctx, folder, now=1000)
    [answer] = import_dropped(ctx, folder, now=1060).values()
    assert answer.created == ["PROD2027-009"]
    assert "cannot be moved" in answer.faults[0].message
