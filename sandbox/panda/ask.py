"""Ask a web service for JSON; one on this machine is never asked through a proxy."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

from prodsys.transport import is_this_machine


def ask_json(url: str, timeout_s: float, form: bytes | None = None) -> Any:
    """The answer of a service; ValueError for what is no address, OSError when nobody answers."""
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url} is no address")
    handlers = [urllib.request.ProxyHandler({})] if is_this_machine(url) else []
    with urllib.request.build_opener(*handlers).open(url, data=form, timeout=timeout_s) as answer:
        return json.loads(answer.read())
