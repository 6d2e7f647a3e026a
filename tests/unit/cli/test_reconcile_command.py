"""`prodsys reconcile` says how it is used without any service."""

from typer.testing import CliRunner

from prodsys.cli.main import app


def test_it_names_the_option_that_mends() -> None:
    shown = CliRunner().invoke(app, ["reconcile", "--help"], terminal_width=200)
    assert shown.exit_code == 0
    assert "--repair" in shown.output
