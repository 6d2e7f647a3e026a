"""One process that submits a step as soon as it is told to, and says which task it got."""

from __future__ import annotations

import sys
import time

from prodsys.actions.core.context import make_context
from prodsys.actions.submission.submitting import ensure_submitted
from prodsys.errors import PandaUnavailable


def main(request_id: str, kind: str) -> None:
    """Say `ready`, wait for a line, submit until there is an id."""
    ctx = make_context("worker", frozenset({"service"}))
    ctx.panda.ensure_role()
    print("ready", flush=True)
    sys.stdin.readline()
    while True:
        try:
            print(*ensure_submitted(ctx, request_id, kind), flush=True)
        except PandaUnavailable:
            time.sleep(0.05)
        else:
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
