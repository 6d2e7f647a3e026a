"""A person behind an institute's proxy: commands ask the services of this machine directly, whatever is exported."""

from __future__ import annotations

import os
import subprocess

from prodsys.actions.requests.cloning import CloneOrder, clone
from prodsys.settings import REPOSITORY
from tests.contract.closing.settled import SOURCE, new_id
from tests.rucio_fixture import ACCOUNT

PROXY = "http://127.0.0.1:1"
VARIABLES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
COMMAND_MAX_S = 120


def test_a_plan_is_made_with_every_proxy_variable_set(hands, ledger_url, rucio_server, tmp_path) -> None:
    request_id, secret = new_id(), tmp_path / "secret"
    clone(hands, SOURCE, request_id, CloneOrder(seed_count=3, events_per_file=20))
    secret.write_text("unused\n")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and "PRODSYS" not in name
    }
    environment = kept | dict.fromkeys(VARIABLES, PROXY)
    environment |= {
        "PRODSYS_HOME": str(tmp_path / "home"),
        "PRODSYS_DATABASE_URL": ledger_url,
        "PRODSYS_IAM_ISSUER": rucio_server.signer.issuer,
        "PRODSYS_IAM_CLIENT_ID": ACCOUNT,
        "PRODSYS_IAM_CLIENT_SECRET_FILE": str(secret),
        "PRODSYS_RUCIO_URL": rucio_server.url,
        "PRODSYS_RUCIO_ACCOUNT": ACCOUNT,
    }
    command = [str(REPOSITORY / "bin" / "prodsys"), "request", "plan", request_id]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=COMMAND_MAX_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Rucio was not asked" not in done.stdout + done.stderr
    assert f"{request_id}" in done.stdout
