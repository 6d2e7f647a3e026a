"""``python -m tests.chaos``: kill submissions, count, say what came of it; the exit code tells whether all is well."""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
from pathlib import Path

from tests.chaos.harness import run
from tests.chaos.nursery import open_nursery
from tests.chaos.sabotage import SABOTAGES
from tests.chaos.stage import open_stage


def main() -> int:
    """Run with the arguments of the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="at least so many")
    parser.add_argument(
        "--seed", type=int, default=None, help="of the random moments; printed, so that it can be given"
    )
    parser.add_argument("--out", type=Path, default=None, help="folder for chaos-submit.txt and chaos-submit.json")
    parser.add_argument("--sabotage", choices=SABOTAGES, default="", help="break the submission on purpose")
    given = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if given.seed is None else given.seed
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="chaos-") as scratch:
        folder = Path(scratch)
        with open_stage(folder) as stage, open_nursery(folder / "nursery.log") as nursery:
            report = run(stage, nursery, given.kills, seed, given.sabotage)
    print(report.table())
    if given.out is not None:
        report.write(given.out)
        print(f"\nwritten: {given.out}/chaos-submit.txt, chaos-submit.json")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
