"""A process that has uproot loaded and forks one child per job, so that a job costs milliseconds of start.

It reads one folder a line from its standard input and ends with it. Its children outlive it: they report on disk, so a
JEDI that was killed finds them, or their reports, again.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from pathlib import Path


def main() -> None:
    """Fork a job for every line until the input ends."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    import numpy  # noqa: F401 - loaded once, here, for all children
    import uproot  # noqa: F401

    from sandbox.panda.jobs.payload import run_job

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in iter(sys.stdin.readline, ""):
        folder = Path(line.strip())
        if os.fork() == 0:
            _be_job(folder, run_job)


def _be_job(folder: Path, run_job: object) -> None:
    code = 1
    try:
        os.setsid()
        log = os.open(folder / "stdout", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        code = run_job(folder)  # type: ignore[operator]
    except BaseException:  # noqa: BLE001 - the child must never return into the parent's loop
        traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
