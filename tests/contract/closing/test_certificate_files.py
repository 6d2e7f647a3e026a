"""Certificate and hand-over lists on disk: whole or not at all, no lock while they are written, no remains, no silence.

The disks here are really full: a tmpfs where this process may mount one, else the limit that the system sets on files.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select

from prodsys.actions.closing.certifying import build_certificate, build_handover
from prodsys.actions.closing.collection import certify
from prodsys.actions.queries.showing import show_request
from prodsys.errors import FilesUnavailable, RucioUnavailable
from prodsys.ledger.requests import newest_certificate
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import CertificateRow, RequestRow
from prodsys.model.request import digest_of
from prodsys.model.statuses import RequestState
from tests.contract.closing.settled import Settled

PLACE = {"tempfile.mkstemp": 0, "os.rename": 1}  # event -> which of its arguments is the file
LIMIT_BYTES = 700  # more than a hand-over list, less than a certificate


@contextmanager
def small_files_only(_: Path) -> Iterator[None]:
    """Let the system refuse every byte of a file beyond the limit, as a quota does; needs no right."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def full_tmpfs(folder: Path) -> Iterator[None]:
    """Put a disk of 64 kB over the folder and fill it."""
    folder.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], check=False, capture_output=True, timeout=20
    )
    if mounted.returncode:
        pytest.skip("this process may not mount a tmpfs")
    try:
        (folder / "fill").write_bytes(b"\0" * 65536)
        yield
        assert [path.name for path in folder.rglob("*") if path.is_file()] == ["fill"]
    finally:
        subprocess.run(["umount", str(folder)], check=True, timeout=20)


_WATCHERS: list[Callable[[str, tuple[object, ...]], None]] = []  # an audit hook can never be taken away again


def _tell_watchers(event: str, arguments: tuple[object, ...]) -> None:
    for watcher in _WATCHERS:
        watcher(event, arguments)


sys.addaudithook(_tell_watchers)


@contextmanager
def watching(settled: Settled, look: Callable[[str, str], None]) -> Iterator[None]:
    """Look whenever a file of the request's certificate is about to be made or put into its place."""

    def watcher(event: str, arguments: tuple[object, ...]) -> None:
        place = str(arguments[PLACE[event]]) if event in PLACE else ""
        if place.startswith(str(folder(settled))):
            look(event, place)

    _WATCHERS.append(watcher)
    try:
        yield
    finally:
        _WATCHERS.remove(watcher)


def killed_at(settled: Settled, event: str, number: int) -> None:
    """Certify in a process of its own, which is killed when the event comes for the n-th time."""
    left = [number]

    def die(found: str, _: str) -> None:
        left[0] -= found == event
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if not child:
        settled.ctx.sessions.kw["bind"].dispose(close=False)  # the connections are the parent's
        with watching(settled, die):
            certify(settled.ctx, settled.request_id, *settled.run)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "it was killed"


def folder(settled: Settled) -> Path:
    return settled.ctx.home / "certificates" / settled.request_id


def names(settled: Settled) -> list[str]:
    return sorted(path.name for path in folder(settled).iterdir())


def whole(settled: Settled) -> list[str]:
    words = ("paramfiles", "recofiles", "simfiles")
    return sorted([*(f"{settled.request_id}_{word}.txt" for word in words), "r1.json"])


def status(settled: Settled) -> tuple[str, str]:
    found = show_request(settled.ctx, settled.request_id)
    return str(found["state"]), str(found["reason"])


def issued(settled: Settled) -> CertificateRow | None:
    with transaction(settled.ctx.sessions) as session:
        return newest_certificate(session, settled.request_id)


@pytest.mark.parametrize("full", [small_files_only, full_tmpfs])
def test_a_full_disk_delays_the_end_is_told_and_leaves_nothing_behind(closing: Settled, full) -> None:
    with full(closing.ctx.home / "certificates"):
        for _ in range(3):
            with pytest.raises(FilesUnavailable, match=r"certificates.* cannot be written: "):
                certify(closing.ctx, closing.request_id, *closing.run)
            assert not folder(closing).exists() or names(closing) == []
        assert status(closing)[0] == RequestState.CLOSING
        assert issued(closing) is None
    answer = certify(closing.ctx, closing.request_id, *closing.run)
    assert status(closing) == (RequestState.COMPLETE, "")
    assert names(closing) == whole(closing)
    assert json.loads(Path(answer.path).read_text()) == issued(closing).body


def test_the_request_is_locked_by_nobody_while_files_are_written(closing: Settled) -> None:
    seen = []

    def look(event: str, place: str) -> None:
        with closing.ctx.sessions.begin() as session:
            wanted = select(RequestRow.state).where(RequestRow.request_id == closing.request_id)
            seen.append((event, Path(place).name, session.scalar(wanted.with_for_update(nowait=True))))

    with watching(closing, look):
        certify(closing.ctx, closing.request_id, *closing.run)
    made, placed = (
        [(name, state) for found, name, state in seen if found == event] for event in ("tempfile.mkstemp", "os.rename")
    )
    assert len(made) == len(placed) == len(whole(closing))
    assert {state for _, state in made} == {"closing"}, "the files are whole before the ledger has the certificate"
    assert {state for _, state in placed} == {"complete"}
    assert placed[-1][0] == "r1.json", "when the certificate is there, everything is"


@pytest.mark.parametrize("event", ["tempfile.mkstemp", "os.rename"])
def test_a_process_that_is_killed_at_any_file_is_made_up_for_by_the_next_try(closing: Settled, event: str) -> None:
    for number in (1, 4):
        killed_at(closing, event, number)
        assert names(closing) != whole(closing)
    certify(closing.ctx, closing.request_id, *closing.run)
    row = issued(closing)
    assert names(closing) == whole(closing)
    assert digest_of(json.loads(Path(row.path).read_text())) == row.digest
    with transaction(closing.ctx.sessions) as session:
        assert len(session.scalars(select(CertificateRow)).all()) == 1


def test_a_file_that_the_ledger_does_not_know_is_replaced(closing: Settled) -> None:
    folder(closing).mkdir(parents=True)
    (folder(closing) / "r1.json").write_text('{"of": "a try whose transaction was never committed"}')
    (folder(closing) / ".r1.json.k1ll3d.part").write_text("half")
    certify(closing.ctx, closing.request_id, *closing.run)
    assert names(closing) == whole(closing)
    assert digest_of(json.loads((folder(closing) / "r1.json").read_text())) == issued(closing).digest


def test_a_replica_that_went_in_between_is_named(closing: Settled) -> None:
    certificate = build_certificate(closing.ctx, closing.request_id, *closing.run)
    dataset = next(one for one in certificate.datasets if one.data_type == "R")
    gone = dataset.files[1].model_copy(update={"lfn": "gone.root"})
    files = (dataset.files[0], gone, *dataset.files[2:])
    others = tuple(one for one in certificate.datasets if one is not dataset)
    changed = certificate.model_copy(update={"datasets": (*others, dataset.model_copy(update={"files": files}))})
    with pytest.raises(RucioUnavailable, match=r"gone\.root has no available replica"):
        build_handover(closing.ctx, changed)
