"""JSON metadata of a dataset: which keys may be used, and whether Rucio holds what was meant. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from prodsys.errors import SpecInvalid
from prodsys.model.names import Did

# Columns of Rucio's table of DIDs and its own filter words: a key of this name never reaches the JSON metadata.
# Source: Rucio 41.5.1, core/did_meta_plugins/did_column_meta.py.
_COLUMNS = """
access_cnt accessed_at account adler32 availability bytes campaign closed_at complete constituent created_after
created_at created_before datatype deleted_at did_type eol_at events expired_at guid hidden is_archive is_new is_open
length lifetime lumiblocknr md5 monotonic name obsolete panda_id phys_group prod_step project provenance run_number
purge_replicas scope stream_name suppressed task_id transient type updated_at version
"""
RUCIO_COLUMNS = frozenset(_COLUMNS.split())


def check_keys(did: Did, mapping: Mapping[str, Any]) -> None:
    """Refuse keys and values that Rucio would take for something else.

    Raises
    ------
    SpecInvalid
        A key is a column of Rucio's own or holds a dot (its operator in queries), or a value is no JSON.
    """
    for key, value in mapping.items():
        place = f"metadata of {did}, key {key}"
        if key in RUCIO_COLUMNS:
            raise SpecInvalid(place, "is a column of Rucio's own", f"call it prod_{key}, say")
        if "." in key or not key:
            raise SpecInvalid(place, "holds a dot or nothing", "use underscores")
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise SpecInvalid(place, f"its value is no JSON: {error}", "text, number, list or mapping") from error


def unlike(held: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """What is not as wanted, as sentences; keys that nobody asked for do not matter."""
    said = []
    for key in sorted(wanted):
        meant = json.loads(json.dumps(wanted[key]))  # tuples come back as lists, keys as text
        if key not in held:
            said.append(f"{key} is not there")
        elif held[key] != meant:
            said.append(f"{key} is {held[key]!r}, not {meant!r}")
    return said
