"""The imports of the DAG `intake`: red for what is new, green while known faults stand."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from prodsys.operators.doors import DropFolderOperator, SpecFolderOperator
from prodsys.settings import REPOSITORY
from tests.publishing import Ledger

MakeContext = Callable[..., dict[str, Any]]


@pytest.fixture
def specs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import shutil

    folder = tmp_path / "specs"
    shutil.copytree(REPOSITORY / "include" / "specs", folder)
    shutil.rmtree(folder / "recurring")
    monkeypatch.setenv("PRODSYS_SPECS", str(folder))
    return folder


def test_a_known_fault_is_no_alarm_again(ledger: Ledger, specs: Path, context: MakeContext) -> None:
    operator = SpecFolderOperator(task_id="specs")
    operator.execute(context())
    bad = specs / "requests" / "bad.yaml"
    bad.write_text("request_id: 017\n")
    with pytest.raises(AirflowFailException, match="1 new faults of 1"):
        operator.execute(context())
    operator.execute(context())
    (specs / "requests" / "worse.yaml").write_text("request_id: !!int 1\n")
    with pytest.raises(AirflowFailException, match=r"1 new faults of 2.*worse\.yaml"):
        operator.execute(context())
    operator.execute(context())
    bad.unlink()
    operator.execute(context())


def test_a_faulty_file_is_one_red_run_and_goes(ledger: Ledger, specs: Path, context: MakeContext) -> None:
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
