"""The unmodified panda-client in a process of its own (its addresses are fixed when it is imported).

Reads one JSON list ``[function, args, kwargs]`` a line, writes one value a line; the client's own prints are dropped.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys


def main() -> None:
    """Answer until the input ends."""
    from pandaclient import Client

    for line in sys.stdin:
        name, args, kwargs = json.loads(line)
        with contextlib.redirect_stdout(io.StringIO()):
            answer = getattr(Client, name)(*args, **kwargs)
        print(json.dumps(answer, default=str), flush=True)


if __name__ == "__main__":
    main()
