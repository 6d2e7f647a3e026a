"""Runs steps side by side, each as soon as those it waits for are done; one that fails holds up only what needs it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from sandbox.stack.errors import StackError


@dataclass(frozen=True)
class Step:
    """Something to do, and what must be done before."""

    name: str
    run: Callable[[], None] = field(repr=False)
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """How a step went: when it began and ended [s since the start], and what went wrong."""

    name: str
    began_s: float
    ended_s: float
    error: Exception | None = None


class NotTried(StackError):
    """A step was left out because what it needs failed."""

    def __init__(self, name: str, missing: Sequence[str]) -> None:
        self.name, self.missing = name, tuple(missing)
        super().__init__(f"{name} was not tried: it needs {', '.join(missing)}")


def run_steps(steps: Sequence[Step], report: Callable[[Result], None]) -> dict[str, Result]:
    """Run all steps; the result of each by name, in the order in which they ended."""
    begin = time.monotonic()
    waiting, running = list(steps), dict[Future[Result], str]()
    results: dict[str, Result] = {}

    def conclude(result: Result) -> None:
        results[result.name] = result
        report(result)

    with ThreadPoolExecutor(max_workers=max(len(steps), 1)) as pool:
        while waiting or running:
            for step in [one for one in waiting if all(name in results for name in one.after)]:
                waiting.remove(step)
                missing = [name for name in step.after if results[name].error]
                if missing:
                    now = time.monotonic() - begin
                    conclude(Result(step.name, now, now, NotTried(step.name, missing)))
                else:
                    running[pool.submit(_run, step, begin)] = step.name
            if not running and waiting and not _can_go_on(waiting, results):
                raise StackError(f"these steps wait for each other: {', '.join(step.name for step in waiting)}")
            for future in wait(running, return_when=FIRST_COMPLETED).done if running else ():
                del running[future]
                conclude(future.result())
    return results


def _can_go_on(waiting: Sequence[Step], results: dict[str, Result]) -> bool:
    return any(all(name in results for name in step.after) for step in waiting)


def _run(step: Step, begin: float) -> Result:
    began = time.monotonic() - begin
    error: Exception | None = None
    try:
        step.run()
    except Exception as failure:  # noqa: BLE001 - it is reported as the result of this step
        error = failure
    return Result(step.name, began, time.monotonic() - begin, error)
