"""What a step brought, and what follows from it."""

from __future__ import annotations

from collections.abc import Sequence

from prodsys.errors.base import ProductionError


class StepFailed(ProductionError):
    """The verdict about a step is not good enough to go on."""

    def __init__(self, request_id: str, step: str, verdict: str, reason: str) -> None:
        self.request_id, self.step, self.verdict, self.reason = request_id, step, verdict, reason
        super().__init__(f"{request_id} {step}: {verdict}: {reason}")


class StepReopened(ProductionError):
    """A task of a settled step works again: somebody acted on it in PanDA's monitor."""

    def __init__(self, request_id: str, step: str, tasks: Sequence[str]) -> None:
        self.request_id, self.step, self.tasks = request_id, step, tuple(tasks)
        super().__init__(
            f"{request_id} {step}: {', '.join(tasks)} works again and has to be settled first: retry the request"
        )


class AttemptOpen(ProductionError):
    """Seeds cannot be run again while a task may still bring them."""

    def __init__(self, request_id: str, tasks: Sequence[str]) -> None:
        self.request_id, self.tasks = request_id, tuple(tasks)
        super().__init__(f"{request_id}: {', '.join(tasks)} has not ended: wait for it, or finish or kill it")


class SeedsFinished(ProductionError):
    """Seeds of which a job finished are run again only when a person names them."""

    def __init__(self, request_id: str, step: str, seeds: str) -> None:
        self.request_id, self.step, self.seeds = request_id, step, seeds
        super().__init__(
            f"{request_id} {step}: jobs of seeds {seeds} finished, nothing was sent: to run them again, a person has "
            f"to say so: prodsys request recover {request_id}"
        )


class NothingMissing(ProductionError):
    """There is nothing that could be run again or waived."""

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        super().__init__(
            f"{request_id}: no seed is missing that a settled step lost itself: see prodsys request show "
            "(files that were lost since it was settled: prodsys request settle-again)"
        )


class AnswerRefused(ProductionError):
    """A question about a step does not take this answer."""

    def __init__(self, question_id: int, reason: str) -> None:
        self.question_id, self.reason = question_id, reason
        super().__init__(f"question {question_id}: {reason}")


class SeedsLost(StepFailed):
    """Files that jobs reported are not to be had, and without their seeds the step is not good enough."""
