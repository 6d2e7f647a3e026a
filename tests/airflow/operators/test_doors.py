"""The imports of the DAG `intake`: red for what is new, green while known faults stand."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from prodsys.actions.queries.showing import show_request
from prodsys.actions.requests.drafting import revise
from prodsys.hooks.context import build_context
from prodsys.ledger.requests import get_spec
from prodsys.ledger.session import transaction
from prodsys.model.request import RequestSpec
from prodsys.operators.standing import DropFolderOperator, SpecFolderOperator
from prodsys.settings import REPOSITORY
from tests.publishing import Ledger

MakeContext = Callable[..., dict[str, Any]]
REQUEST = "TEST2025-001"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the example of the repository, in a folder of its own."""
    specs = tmp_path / "specs"
    specs.mkdir()
    for part in (REPOSITORY / "include" / "specs").iterdir():
        if part.name != "requests":
            (specs / part.name).symlink_to(part)
    [example] = (REPOSITORY / "include" / "specs" / "requests").rglob(f"{REQUEST}.yaml")
    path = specs / "requests" / example.name
    path.parent.mkdir()
    path.write_text(example.read_text())
    monkeypatch.setenv("PRODSYS_SPECS", str(specs))
    return path


def change(path: Path, seeds: int) -> None:
    text = path.read_text()
    path.write_text(text.replace("events: 10 000", f"events: {1000 * seeds}").replace("1-10 ", f"1-{seeds} "))


def person_revises(seeds: int) -> None:
    ctx = build_context("anna")
    with transaction(ctx.sessions) as session:
        changed = get_spec(session, REQUEST).model_dump(mode="json")
    revise(ctx, REQUEST, RequestSpec.checked(changed | {"events": 1000 * seeds, "seeds": f"1-{seeds}"}))


def test_the_import_is_red_when_there_are_new_faults_and_shows_all_of_them_always(
    ledger: Ledger, file: Path, context: MakeContext, capsys: pytest.CaptureFixture[str]
) -> None:
    def look() -> str:
        SpecFolderOperator(task_id="specs").execute(context())
        return capsys.readouterr().out

    look()
    person_revises(4)
    assert "revision 2 by anna" in look(), "the difference is named, and nothing is red"
    change(file, 6)
    with pytest.raises(AirflowFailException, match=r"1 new faults of 1, .*was revised since"):
        look()
    for _ in range(2):
        assert "was revised since" in look()
    other = file.with_name("TEST2025-002.yaml")
    other.write_text("request_id: TEST2025-002\n")
    with pytest.raises(AirflowFailException, match=r"new faults of \d+, all in the log; the first: .*TEST2025-002"):
        look()
    look()
    other.unlink()
    look()
    other.write_text("request_id: TEST2025-002\n")
    with pytest.raises(AirflowFailException):
        look()
    found = show_request(build_context("test"), REQUEST)
    assert (found["revision"], found["events"]) == (2, 4000)


def test_a_faulty_file_is_one_red_run_and_goes(ledger: Ledger, file: Path, context: MakeContext) -> None:
    folder = Path(os.environ["PRODSYS_HOME"]) / "intake"
    folder.mkdir(parents=True)
    (folder / "aa.yaml").write_text("request_id: !!int 1\n")
    os.utime(folder / "aa.yaml", (0, 0))
    operator = DropFolderOperator(task_id="drop_folder")
    operator.execute(context())
    with pytest.raises(AirflowFailException, match=r"aa\.yaml"):
        operator.execute(context())
    operator.execute(context())
    assert (folder / "faulty" / "aa.yaml.faults.txt").exists()
    assert not (folder / "aa.yaml").exists()
