"""Where a request runs and writes when a person asks for a certain place; else PanDA's brokerage decides. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from prodsys.errors import SpecInvalid
from prodsys.model.request import RequestSpec
from prodsys.model.specs import SiteTable

FREE = "or leave it out: PanDA then chooses a queue for every job"


@dataclass(frozen=True)
class Placement:
    """Queue and storage that a request is pinned to; None: PanDA chooses."""

    queue: str | None = None
    rse: str | None = None


def placement_of(spec: RequestSpec, sites: SiteTable) -> Placement:
    """Where a request is pinned to; the storage of a pinned queue is that of the queue unless the request names one.

    Raises
    ------
    SpecInvalid
        There is no such queue or storage, or the queue is out of service.
    """
    if spec.rse is not None and spec.rse not in sites.rses:
        known = f"known: {', '.join(sites.rses)}; {FREE}"
        raise SpecInvalid(f"{spec.request_id}.rse", f"{spec.rse} is not among the storages of sites.yaml", known)
    if spec.queue is None:
        return Placement(rse=spec.rse)
    queue = next((one for one in sites.queues if one.name == spec.queue), None)
    usable = f"in service: {', '.join(one.name for one in sites.in_service) or 'none'}; {FREE}"
    if queue is None:
        raise SpecInvalid(f"{spec.request_id}.queue", f"{spec.queue} is not among the queues of sites.yaml", usable)
    if not queue.enabled:
        raise SpecInvalid(f"{spec.request_id}.queue", f"{spec.queue} is out of service (sites.yaml)", usable)
    return Placement(queue.name, spec.rse or queue.rse)
