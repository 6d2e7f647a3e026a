"""The registry of acts: what may be done through the API, one entry each. All of it is done by `actions`."""

from __future__ import annotations

from prodsys.web.api.command import Entry
from prodsys.web.api.commands_before_run import BEFORE
from prodsys.web.api.commands_of_run import RUNNING

ACTS: tuple[Entry, ...] = (*BEFORE, *RUNNING)
