"""PanDA: away, refusing, or answering what nobody can read."""

from __future__ import annotations

from collections.abc import Sequence

from prodsys.errors.base import ProductionError, ServiceUnavailable


class PandaError(ProductionError):
    """PanDA refused something or a task went wrong."""


class PandaUnavailable(ServiceUnavailable):
    """PanDA did not answer, or answered with something that is not its API."""

    def __init__(self, reason: str) -> None:
        super().__init__("PanDA", reason)


class SubmissionInDoubt(ServiceUnavailable):
    """A submission was sent and no answer came back: PanDA itself must tell whether the task exists."""

    def __init__(self, task_name: str, reason: str) -> None:
        self.task_name = task_name
        super().__init__("PanDA", f"no answer to the submission of {task_name}: {reason}")


class PandaRefused(PandaError):
    """PanDA understood the call and said no, in its own words."""

    def __init__(self, call: str, words: str, code: int | None = None) -> None:
        self.call, self.words, self.code = call, words, code
        super().__init__(f"PanDA refused {call}: {words}" + (f" (code {code})" if code is not None else ""))


class PandaRoleMissing(PandaError):
    """The token does not give the production role, so PanDA would run the task as somebody's analysis."""


class PandaAnswerInvalid(PandaError):
    """What came back from PanDA could not be read: its answer has another shape, or our reading of it is wrong."""

    def __init__(self, call: str, kind: str, words: str) -> None:
        self.call, self.kind, self.words = call, kind, words
        super().__init__(f"{call} was answered in an unknown shape: {kind}: {words} (another try will not help)")


class TaskUnknown(PandaError):
    """PanDA knows no such task, or not yet (JEDI has to refine it first)."""

    def __init__(self, jedi_task_id: int) -> None:
        self.jedi_task_id = jedi_task_id
        super().__init__(
            f"PanDA does not know task {jedi_task_id} (a task just submitted is unknown until JEDI refines it)"
        )


class TaskEnded(PandaError):
    """A PanDA task stopped without full success; a person must decide."""

    def __init__(self, jedi_task_id: int, status: str, reason: str = "") -> None:
        self.jedi_task_id, self.status, self.reason = jedi_task_id, status, reason
        super().__init__(f"PanDA task {jedi_task_id} ended as {status}" + (f": {reason}" if reason else ""))


class OutputsUnknown(PandaError):
    """A task writes into datasets whose names do not follow from its map: nobody may guess what they are."""

    def __init__(self, jedi_task_id: int, names: Sequence[str], planned: Sequence[str]) -> None:
        self.jedi_task_id, self.names = jedi_task_id, tuple(names)
        super().__init__(
            f"PanDA task {jedi_task_id} fills {', '.join(names[:3])}, neither planned nor a planned name with its own "
            f"dataset id (planned: {', '.join(planned[:4])}): nothing is run again; ask PanDA's administrators"
        )
