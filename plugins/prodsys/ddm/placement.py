"""Where a file lies on a storage whose names follow Rucio's default algorithm. Pure."""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath

from prodsys.model.names import Did


def hash_path(did: Did) -> PurePosixPath:
    """Path of a file below the prefix of a deterministic storage.

    Notes
    -----
    Source: Rucio 41.5, algorithm ``hash``: the parts of the scope, then four digits of the md5 of the DID, two by two.
    """
    digits = hashlib.md5(str(did).encode(), usedforsecurity=False).hexdigest()
    return PurePosixPath(*did.scope.split("."), digits[0:2], digits[2:4], did.name)
