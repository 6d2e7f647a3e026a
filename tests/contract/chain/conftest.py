"""Two sites, one whose PanDA registers in Rucio and one whose PanDA registers nowhere, and their productions.

All productions start side by side when the first is asked for; a test asks for the one it looks at. To work on one
test, name its productions: ``CHAIN_ONLY="lost kept" pytest tests/contract/chain -k rucio_keeps``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from prodsys.actions.requests.importing import import_intake
from prodsys.intake.files import read_files
from prodsys.ledger.migrate import migrate
from prodsys.ledger.session import make_engine, make_session_factory
from prodsys.settings import REPOSITORY
from sandbox.stack.postgres import PostgresHandle
from tests.contract.chain.productions import ALWAYS, PRODUCTIONS, Production, prepare, rules_of
from tests.contract.chain.site import Site, read_catalogue, running
from tests.rucio_fixture import RucioServer

Produce = Callable[[str], Production]
AT_ONCE = 6
EVERYBODY = 1000  # requests that may run at once: many tests leave theirs running


@pytest.fixture(scope="session")
def sites(
    postgres: PostgresHandle, rucio_server: RucioServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Site]]:
    """Yield the sites by their adder; they share the Rucio server."""
    with ExitStack() as stack:
        yield {
            adder: stack.enter_context(
                make_site(adder, postgres, rucio_server, tmp_path_factory.mktemp(f"site_{adder}"))
            )
            for adder in ("rucio", "none")
        }


@contextmanager
def make_site(
    adder: str, postgres: PostgresHandle, rucio: RucioServer, folder: Path, name: str = "", **settings: str
) -> Iterator[Site]:
    """A site of its own; settings are those of its PanDA."""
    name = name or adder
    url = postgres.create_database(f"chain_ledger_{name}")
    migrate(url)
    home = folder / "home"
    home.mkdir()
    with running(folder, postgres.create_database(f"chain_panda_{name}"), rucio, adder, **settings) as sandbox:
        site = Site(sandbox, rucio, make_session_factory(url), home, read_catalogue(), url)
        sheet = REPOSITORY / "include" / "demo" / "requests_sheet.csv"
        import_intake(site.context(), read_files([sheet], site.catalogue))
        yield site.with_policy(running_limit=EVERYBODY)
    make_engine(url).dispose()


@pytest.fixture(scope="session")
def started(sites: dict[str, Site]) -> Iterator[dict[str, Future[Production]]]:
    """Yield every production, on its way."""
    only = os.environ.get("CHAIN_ONLY", "").split()
    orders = {name: order for name, order in PRODUCTIONS.items() if not only or name in only}
    prepared = [prepare(sites[order.adder], name, order) for name, order in orders.items()]
    for adder, site in sites.items():
        site.sandbox.play(*ALWAYS, *(rule for one in prepared if one.order.adder == adder for rule in rules_of(one)))
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        yield {one.name: pool.submit(one.run) for one in prepared}
        pool.shutdown(cancel_futures=True)


@pytest.fixture
def produced(started: dict[str, Future[Production]]) -> Produce:
    """Return a function from a production's name to what became of it."""
    return lambda name: started[name].result(timeout=280)
