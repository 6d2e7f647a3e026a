"""What stands outside the ledger and a plan depends on: scripts and images, room on storages, names in use.

Looked at before a transaction is opened: no lock is held over a call. A service that is not configured here is said to
be so in a warning; one that does not answer is an error that may be tried again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import TypeVar, cast

from sqlalchemy.orm import Session

from prodsys.actions.core.context import Context
from prodsys.actions.planning.external_rights import check_scope, check_storages
from prodsys.ddm.facts import SharedQuota, Space
from prodsys.errors import FilesUnavailable, InsufficientSpace, NamesTaken, SettingMissing, SpecInvalid
from prodsys.ledger.plans import own_names, promised_bytes
from prodsys.model.estimate import Estimate
from prodsys.model.names import TaskName
from prodsys.model.plan import Plan

T = TypeVar("T")
CVMFS = "/cvmfs/"
SETTINGS = frozenset({"PRODSYS_PANDA_URL", "PRODSYS_RUCIO_URL", "PRODSYS_RUCIO_ACCOUNT"})
NAMES_AT_MOST = 40  # task names that are searched, one call each; a plan of many bunches has more


@dataclass(frozen=True)
class Own:
    """What the ledger knows beforehand: names of tasks and DIDs that the request made itself, and others' promises."""

    tasks: frozenset[str] = frozenset()
    dids: frozenset[str] = frozenset()
    promised: Mapping[str, int] = field(default_factory=dict)  # storage -> bytes approved requests will still write


def what_is_known(session: Session, request_id: str) -> Own:
    """What the ledger knows of a request before others are asked."""
    return Own(*own_names(session, request_id), promised_bytes(session, request_id))


def look_outside(ctx: Context, plan: Plan, estimate: Estimate, own: Own) -> tuple[str, ...]:
    """What could not be looked at, in sentences; nothing when all is well.

    Raises
    ------
    SpecInvalid
        A script or an image is not on CVMFS; the scope or a storage is not in Rucio, or not ours to write to.
    NamesTaken
        A name the plan writes is in use, and not by this request.
    InsufficientSpace
        The data do not fit on the storages.
    PandaUnavailable, RucioUnavailable, FilesUnavailable
        Nobody answers: try again.
    """
    return (
        *find_files(ctx, plan),
        *_unless_unset("PanDA", lambda: _find_tasks(ctx, plan, own)),
        *_unless_unset("Rucio", lambda: _ask_rucio(ctx, plan, estimate, own)),
    )


def _ask_rucio(ctx: Context, plan: Plan, estimate: Estimate, own: Own) -> tuple[str, ...]:
    return (
        *check_scope(ctx, plan),
        *check_storages(ctx, plan),
        *_find_dids(ctx, plan, own),
        *_find_room(ctx, plan, estimate, own.promised),
    )


def _unless_unset(service: str, look: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
    """What a look brings, or a warning when no such service is configured here."""
    try:
        return look()
    except SettingMissing as error:
        if error.name not in SETTINGS:
            raise
        return (f"{service} was not asked about names and room: {error.name} is not set here",)


# --- scripts and images ---------------------------------------------------------------------------------------------
def find_files(ctx: Context, plan: Plan) -> tuple[str, ...]:
    """A warning when CVMFS is not mounted here; nothing when all scripts and images are there.

    Raises
    ------
    SpecInvalid
        One is not.
    FilesUnavailable
        The file system does not answer.
    """
    paths = dict.fromkeys(path for step in plan.steps for path in (step.script, step.image, step.transform))
    wanted = [path for path in paths if path.startswith(CVMFS)]
    there = _in_time(lambda: _look(ctx.cvmfs, wanted), ctx.catalogue.profile.times.call_timeout_s)
    if unmounted := sorted({_repository(path) for path in wanted if there[path] is None}):
        where = ", ".join(str(ctx.cvmfs / name) for name in unmounted)
        return (f"scripts and images were not looked for: {where} is not mounted here",)
    if missing := [path for path in wanted if not there[path]]:
        remedy = "mend software.yaml, the tag, the variant or the version of the scripts, or have them put there"
        raise SpecInvalid(f"{plan.request_id}.software", f"not on CVMFS: {', '.join(missing)}", remedy)
    return ()


def _repository(path: str) -> str:
    return path.removeprefix(CVMFS).partition("/")[0]


def _look(root: Path, paths: Iterable[str]) -> dict[str, bool | None]:
    """Whether each path is there; None when its repository is not mounted."""
    return {
        path: (root / path.removeprefix(CVMFS)).exists() if (root / _repository(path)).is_dir() else None
        for path in paths
    }


def _in_time(look: Callable[[], T], timeout_s: float) -> T:
    """A network file system that hangs keeps nobody for longer; its thread is left behind."""
    answers: Queue[tuple[T | None, OSError | None]] = Queue()

    def work() -> None:
        try:
            answers.put((look(), None))
        except OSError as error:
            answers.put((None, error))

    Thread(target=work, name="cvmfs", daemon=True).start()
    try:
        found, error = answers.get(timeout=timeout_s)
    except Empty:
        raise FilesUnavailable("CVMFS", f"no answer within {timeout_s:g} s") from None
    if error is not None:
        raise FilesUnavailable("CVMFS", f"{error.filename}: {error.strerror}") from error
    return cast("T", found)


# --- names ----------------------------------------------------------------------------------------------------------
def _find_tasks(ctx: Context, plan: Plan, own: Own) -> tuple[str, ...]:
    names = [str(TaskName(plan.request_id, step.kind, bunch)) for step in plan.steps for bunch in plan.bunch_numbers]
    looked = [name for name in names if name not in own.tasks][:NAMES_AT_MOST]
    taken = [
        f"PanDA task {task.jedi_task_id} {name} of {task.user_name or 'somebody'} ({task.status})"
        for name in looked
        for task in ctx.panda.find_tasks(name)
    ]
    if taken:
        raise NamesTaken(plan.request_id, taken)
    if len(looked) < len(names):
        return (f"of {len(names)} names of tasks the first {len(looked)} were looked for in PanDA",)
    return ()


def _find_dids(ctx: Context, plan: Plan, own: Own) -> tuple[str, ...]:
    """Everything that stands under the request's own name in Rucio is taken, whatever its ending."""
    name = str(plan.sample)
    found = ctx.rucio.find_collections(plan.partition, name)
    taken = [str(did) for did in found if did.name == name or did.name.startswith(f"{name}.")]
    if alien := [did for did in taken if did not in own.dids]:
        raise NamesTaken(plan.request_id, alien)
    return ()


# --- room -----------------------------------------------------------------------------------------------------------
def _find_room(ctx: Context, plan: Plan, estimate: Estimate, promised: Mapping[str, int]) -> tuple[str, ...]:
    passing = {step.rse for step in plan.steps if step.rse and step.rse not in plan.rules.rses}
    spaces = {one.rse: one for one in ctx.rucio.find_space([*plan.rules.rses, *passing])}
    check_room(plan, estimate, spaces)
    check_shared(plan, estimate, ctx.rucio.find_shared_quotas())
    return (*_unknown(estimate, spaces, sorted(passing)), *_tight(plan, estimate, spaces, promised))


def check_room(plan: Plan, estimate: Estimate, spaces: Mapping[str, Space]) -> None:
    """InsufficientSpace when the copies cannot fit, or not what jobs write first to a storage that keeps no copy.

    A storage takes one copy at most, so what it can help with is its room, and never more than the volume.
    """
    volume = estimate.volume_bytes
    rooms = {rse: _room(spaces[rse]) for rse in plan.rules.rses}
    if sum(min(room, volume) for room, _ in rooms.values()) < volume * plan.rules.copies:
        rse = min(rooms, key=lambda one: rooms[one][0])
        raise InsufficientSpace(plan.request_id, rse, volume, int(rooms[rse][0]), rooms[rse][1])
    written = {step.kind: step.volume_bytes for step in estimate.steps}
    for rse, space in spaces.items():
        needed = sum(written[step.kind] for step in plan.steps if step.rse == rse)
        if space.free is not None and space.free < needed:
            raise InsufficientSpace(plan.request_id, rse, needed, space.free, "free are")


def check_shared(plan: Plan, estimate: Estimate, quotas: Iterable[SharedQuota]) -> None:
    """InsufficientSpace when a quota over several storages cannot take the copies that must lie on them."""
    for quota in quotas:
        inside = quota.rses & set(plan.rules.rses)
        outside = len(plan.rules.rses) - len(inside)
        needed = estimate.volume_bytes * max(0, plan.rules.copies - outside)
        if needed > quota.left:
            words = "the account's quota over them leaves"
            raise InsufficientSpace(plan.request_id, quota.rse_expression, needed, quota.left, words)


def _room(space: Space) -> tuple[float, str]:
    """Bytes that fit, and what limits them."""
    known = [
        (amount, words)
        for amount, words in ((space.free, "free are"), (space.quota_left, "the account's quota leaves"))
        if amount is not None
    ]
    return min(known, default=(math.inf, ""))


def _tight(plan: Plan, estimate: Estimate, spaces: Mapping[str, Space], promised: Mapping[str, int]) -> tuple[str, ...]:
    """Storages on which it fits alone, but not beside what approved requests will still write."""
    share = estimate.volume_bytes * plan.rules.copies // len(plan.rules.rses)
    return tuple(
        f"on {rse} approved requests will still write {promised[rse] / 1e9:,.3f} GB: beside them these "
        f"{share / 1e9:,.3f} GB do not fit"
        for rse in plan.rules.rses
        if promised.get(rse) and _room(spaces[rse])[0] < share + promised[rse]
    )


def _unknown(estimate: Estimate, spaces: Mapping[str, Space], passing: Sequence[str]) -> tuple[str, ...]:
    """What Rucio could not say about room."""
    unmeasured = [rse for rse, space in spaces.items() if space.free is None]
    unlimited = [
        rse for rse, space in spaces.items() if space.quota_left is None and not space.unlimited and rse not in passing
    ]
    size = f"{estimate.volume_bytes / 1e9:,.3f} GB"
    said = []
    if unmeasured:
        said.append(
            f"Rucio does not know the free space of {', '.join(unmeasured)}: whether {size} fit was not looked at"
        )
    if unlimited:
        said.append(
            f"Rucio knows no quota of ours on {', '.join(unlimited)}: it refuses replication rules of an account "
            "without one, unless it is an administrator's"
        )
    return tuple(said)
