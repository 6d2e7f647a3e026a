"""The registry of acts: what may be done through the API, one entry each. All of it is done by `actions`."""

from __future__ import annotations

from prodsys.panel.acts_before import BEFORE
from prodsys.panel.acts_running import RUNNING
from prodsys.panel.entry import Entry

ACTS: tuple[Entry, ...] = (*BEFORE, *RUNNING)
