"""The specs of the repository, and files written for one test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from prodsys.intake.catalogue import load_catalogue
from prodsys.intake.files import read_files
from prodsys.intake.result import Intake
from prodsys.model.specs import Catalogue
from tests.unit.intake.corpus import SPECS, csv_text


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return load_catalogue(SPECS, "sandbox")


@pytest.fixture
def read(tmp_path: Path, catalogue: Catalogue) -> Callable[..., Intake]:
    """Intake of one file that holds these bytes, this text, or these rows as CSV."""

    def reader(content: object, name: str = "sheet.csv") -> Intake:
        path = tmp_path / name
        if isinstance(content, list):
            content = csv_text(content)
        path.write_bytes(content.encode() if isinstance(content, str) else bytes(content))  # type: ignore[call-overload]
        return read_files([path], catalogue)

    return reader
