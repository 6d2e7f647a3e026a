"""Files on the storage that are not what their jobs reported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import uproot

from prodsys.ddm.client import RucioClient
from prodsys.ddm.content import sample
from prodsys.ddm.placement import hash_path
from prodsys.model.names import Did
from sandbox.rucio.configuration import ROOT_LOGIN
from tests.contract.chain.site import TIMEOUT_S
from tests.rucio_fixture import ROOT_PASSWORD

if TYPE_CHECKING:
    from tests.contract.chain.productions import Production


def _sampled(production: Production) -> set[int]:
    """Seeds that are opened whatever happens."""
    number = production.order.sample_files
    return {int(seed) for seed in sample([str(seed) for seed in production.seeds], number, production.request_id)}


def _place(production: Production, seed: int, data_type: str) -> Path:
    job = next(one for one in production.jobs("SIM") if one.seed == seed)
    [lfn] = [file.lfn for file in job.outputs if f".{data_type}." in file.lfn]
    rse = production.site.rse_of(job.site)
    return production.site.rucio.rse_root / rse / hash_path(Did(production.plan.partition, lfn))


def truncate(production: Production) -> int:
    """Cut off the S of the one seed that is sampled; the seed."""
    [seed] = _sampled(production)
    path = _place(production, seed, "S")
    path.write_bytes(path.read_bytes()[:-200])
    return seed


def spoil(production: Production, lfn: str, rse: str) -> None:
    """Have Rucio's administrator declare one copy of a file bad."""
    login = {"X-Rucio-Account": "root", "X-Rucio-Username": ROOT_LOGIN, "X-Rucio-Password": ROOT_PASSWORD}
    url = production.site.rucio.url
    token = httpx.get(f"{url}/auth/userpass", headers=login, timeout=TIMEOUT_S).headers["X-Rucio-Auth-Token"]
    root = RucioClient(url, "root", lambda: token, TIMEOUT_S)
    pfn = root.pfns(Did(production.plan.partition, lfn), rse)[lfn]
    root._rucio.call("declare bad", lfn, lambda rucio: rucio.declare_bad_file_replicas([pfn], "a disk died"))


def shorten(production: Production) -> int:
    """Write the P of a seed that is not sampled again, with fewer events; the seed."""
    seed = min(set(production.seeds) - _sampled(production))
    with uproot.recreate(_place(production, seed, "P")) as file:
        file["events"] = {"event": [1, 2]}
    return seed
