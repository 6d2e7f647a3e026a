"""What contradicts itself in lists of processings."""

from __future__ import annotations

import pytest

from prodsys.intake.request_lint import Severity, has_findings, lint_requests
from tests.unit.intake.corpus import csv_text, request, sheet

HEADINGS = ["Request", "type", "script", "dsn_pattern", "input_datasets", "output_datasets"]
SCRIPT = "/cvmfs/spd.jinr.ru/production/MC/minbias-P8-spdroot4172-dev.27GeV.V02/simu.C"
NAME = "minbias-P8-spdroot4172-dev.27GeV-UU.PROD2031-001.SIM"
GOOD = {
    "Request": "PROD2031-001",
    "type": "simu",
    "script": SCRIPT,
    "dsn_pattern": f"MC2031_S2:{NAME}*",
    "output_datasets": ", ".join(f"MC2031_S2:MC2031_S2.{NAME}.1.{kind}" for kind in ("S", "P", "log")),
}


@pytest.fixture
def lint(tmp_path, catalogue):
    def run(*, with_request: bool = True, **changes: str):
        (tmp_path / "b.csv").write_text(csv_text([HEADINGS, [(GOOD | changes).get(one, "") for one in HEADINGS]]))
        if with_request:
            (tmp_path / "a.csv").write_text(csv_text(sheet(request(1))))
        found = lint_requests(sorted(tmp_path.glob("*.csv")), catalogue)
        return [(one.column, one.message) for one in found if one.severity is Severity.WARNING]

    return run


def test_a_row_that_agrees_with_its_request_has_no_findings(lint):
    assert lint() == []


@pytest.mark.parametrize(
    ("change", "column", "words"),
    [
        ({"dsn_pattern": f"MC2031_S1:{NAME}*"}, "dsn_pattern", "stage S2 says MC2031_S2, the pattern says MC2031_S1"),
        ({"dsn_pattern": f"MC2031_S2:{NAME}*".replace("-001", "-002")}, "dsn_pattern", "not about SIM of PROD2031-001"),
        ({"type": "reco"}, "dsn_pattern", "is not about RECO"),
        (
            {"output_datasets": GOOD["output_datasets"].replace("-001", "-002")},
            "output_datasets",
            "request PROD2031-002",
        ),
        (
            {"output_datasets": GOOD["output_datasets"].replace("27GeV", "10GeV")},
            "output_datasets",
            "energy 10, not 27",
        ),
        ({"output_datasets": GOOD["output_datasets"].replace("P8", "FTF")}, "output_datasets", "of tag minbias-FTF"),
        (
            {"output_datasets": GOOD["output_datasets"].replace("SIM", "RECO")},
            "output_datasets",
            "of step RECO, not SIM",
        ),
        ({"output_datasets": "MC2031_S2:MC2031_S2.x.S"}, "output_datasets", "cannot be checked"),
        ({"output_datasets": "x.S"}, "output_datasets", "not of the form scope:name"),
        ({"output_datasets": GOOD["output_datasets"].split(",")[0]}, "output_datasets", "no dataset of type P, log"),
        (
            {"output_datasets": GOOD["output_datasets"].replace(":MC2031_S2", ":test")},
            "output_datasets",
            "begins with test",
        ),
        ({"input_datasets": "MC2031_S1:MC2031_S1.a.S"}, "input_datasets", "stands in scope MC2031_S1"),
    ],
)
def test_every_contradiction_is_named_at_its_column(lint, change, column, words):
    found = lint(**change)
    assert any(place == column and words in message for place, message in found), found


def test_a_request_that_is_missing_is_said_and_the_pattern_alone_counts(lint):
    wrong = GOOD["output_datasets"].replace("MC2031_S2", "MC2031_S1")
    found = lint(with_request=False, output_datasets=wrong)
    assert len(found) == 3
    assert all("the pattern says MC2031_S2; PROD2031-001 is not among the requests read" in words for _, words in found)
    assert lint(with_request=False, output_datasets=wrong, dsn_pattern="") == []


def test_what_cannot_be_imported_is_an_error(tmp_path, catalogue):
    (tmp_path / "a.csv").write_text(csv_text(sheet(request(1, energy="x"))))
    [found] = lint_requests([tmp_path / "a.csv"], catalogue)
    assert (found.severity, found.row, found.column) == (Severity.ERROR, 3, "Energy")
    assert has_findings([found])
    assert not has_findings([])
