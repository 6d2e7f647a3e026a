"""Where a file lies in the folder of an RSE: Rucio's deterministic ``hash`` layout."""

from __future__ import annotations

import hashlib
from pathlib import Path


def file_path(folder: Path, scope: str, name: str) -> Path:
    """Path of a file: ``<folder>/<scope>/<md5[0:2]>/<md5[2:4]>/<name>``, md5 of ``scope:name``.

    Notes
    -----
    Source: Rucio 41.5, ``RSEDeterministicTranslation.hash``: dots become folders only in scopes of users and groups.
    """
    digest = hashlib.md5(f"{scope}:{name}".encode(), usedforsecurity=False).hexdigest()
    parts = scope.split(".") if scope.startswith(("user", "group")) else [scope]
    return folder.joinpath(*parts, digest[0:2], digest[2:4], name)
