"""The files of a certificate: written beside their places first, renamed when the ledger has the certificate.

Nothing is written while a transaction holds the request. The ledger's row is the truth: a process that ended between
the two is made up for by the next try, which writes again what the row says and takes away what was left behind.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prodsys.actions.core.context import Context
from prodsys.errors import FilesUnavailable
from prodsys.model.request import digest_of
from prodsys.whole_files import UNFINISHED, stage

FOLDER = "certificates"
MODE = 0o644


@dataclass(frozen=True)
class StagedFiles:
    """Whole files under temporary names: place -> file that waits for it, in the order they are to appear."""

    waiting: Mapping[Path, Path]

    def publish(self) -> None:
        """Put every file into its place, and take away what earlier tries left there.

        Raises
        ------
        FilesUnavailable
            The file system does not take them now.
        """
        with _named("put into its place"):
            for place, temporary in self.waiting.items():
                temporary.replace(place)
            for place in self.waiting:
                for left in place.parent.glob(f".{place.name}.*{UNFINISHED}"):
                    left.unlink(missing_ok=True)


def certificate_path(ctx: Context, request_id: str, revision: int) -> Path:
    """Where a revision of the certificate lies."""
    return ctx.home / FOLDER / request_id / f"r{revision}.json"


def files_of(path: Path, body: Mapping[str, Any], lists: Mapping[str, list[str]]) -> dict[Path, str]:
    """Place -> text of the hand-over lists and, last, of the certificate: when it is there, all are."""
    texts = {path.parent / name: "".join(f"{line}\n" for line in lines) for name, lines in lists.items()}
    return texts | {path: json.dumps(body, indent=2, ensure_ascii=False) + "\n"}


def is_written(path: Path, digest: str) -> bool:
    """Whether the file is there and is the certificate with this digest."""
    try:
        return digest_of(json.loads(path.read_text(encoding="utf-8"))) == digest
    except (OSError, ValueError):
        return False


@contextmanager
def staged(texts: Mapping[Path, str]) -> Iterator[StagedFiles]:
    """Yield the files, written and synchronised; what was not published is removed at the end.

    Raises
    ------
    FilesUnavailable
        The file system does not take them now: it is full, or away.
    """
    waiting: dict[Path, Path] = {}
    try:
        for place, text in texts.items():
            with _named(f"{place} cannot be written"):
                waiting[place] = stage(place, text, mode=MODE)
        yield StagedFiles(waiting)
    finally:
        for temporary in waiting.values():
            temporary.unlink(missing_ok=True)


@contextmanager
def _named(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        words = error.strerror or str(error)
        raise FilesUnavailable("the folder of the certificates", f"{what}: {words}") from error
