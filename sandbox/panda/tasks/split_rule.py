"""The task's split rule in words (``nFilesPerJob=1,nEventsPerJob=4000,...``): read, changed, and what follows from it.

The words and their two letters are those of PanDA's documentation of task parameters; recorded is ``TW``
(``t1Weight=5`` at the end of the rule, ``attributes``), the others go by the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WORDS = {
    "TW": "t1Weight", "EC": "nEsConsumers", "MF": "nMaxFilesPerJob", "NG": "nGBPerJob", "NI": "noInputPooling",
    "NF": "nFilesPerJob", "ES": "nEventsPerWorker", "NJ": "nJumboJobs", "AV": "allowVP", "IL": "allowInputLAN",
    "LI": "useLocalIO", "LC": "noLoopingCheck", "CC": "maxCoreCount", "OT": "onlyTagsForFC", "UZ": "useZipToPin",
    "IM": "ignoreMissingInDS",
}  # fmt: skip
"""Words of the two letters that ``change_split_rule`` takes; letters without a known word stay letters."""


def read_rule(rule: str | None, word: str) -> str | None:
    """Return the value of a word in a split rule, or None."""
    for part in (rule or "").split(","):
        name, _, value = part.partition("=")
        if name == word:
            return value
    return None


def change_rule(rule: str | None, letters: str, value: str) -> str:
    """Return the rule with the word of these two letters set: in its place, or at the end when it is new."""
    word = WORDS.get(letters, letters)
    parts = [part for part in (rule or "").split(",") if part]
    if read_rule(rule, word) is None:
        return ",".join([*parts, f"{word}={value}"])
    return ",".join(f"{word}={value}" if part.partition("=")[0] == word else part for part in parts)


def whole(value: Any) -> int | None:
    """Return a whole number above 0, or None for everything else."""
    if isinstance(value, str) and value.isdecimal():
        value = int(value[:18])
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def files_per_job(params: Mapping[str, Any], rule: str | None = None) -> int:
    """Return how many input slots one job takes.

    The rule's ``nFilesPerJob`` counts before the map's, since a person may have changed it; ``nMaxFilesPerJob`` is an
    upper limit. For input datasets with known events ``nEventsPerJob`` counts before ``nFilesPerJob``.
    """
    per_job, per_file = whole(params.get("nEventsPerJob")), whole(params.get("nEventsPerInputFile"))
    if per_job and per_file:
        return max(per_job // per_file, 1)
    wanted = whole(read_rule(rule, "nFilesPerJob")) or whole(params.get("nFilesPerJob")) or 1
    limit = whole(read_rule(rule, "nMaxFilesPerJob")) or wanted
    return min(wanted, limit)
