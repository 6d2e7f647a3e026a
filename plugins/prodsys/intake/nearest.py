"""Did you mean? The rule lives in `model.nearest`."""

from __future__ import annotations

from prodsys.model.nearest import nearest, suggest

__all__ = ["nearest", "suggest"]
