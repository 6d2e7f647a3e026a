"""What the ledger refuses or lacks."""

from __future__ import annotations

from collections.abc import Sequence

from prodsys.errors.base import ProductionError, ServiceUnavailable


class LedgerError(ProductionError):
    """The ledger refuses or lacks something."""


class LedgerUnavailable(ServiceUnavailable):
    """The ledger's database did not answer."""

    def __init__(self, reason: str) -> None:
        super().__init__("ledger", reason)


class RequestUnknown(LedgerError):
    """No such request in the ledger."""

    def __init__(self, request_id: str, near: Sequence[str] = ()) -> None:
        self.request_id = request_id
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        super().__init__(f"request {request_id} is not in the ledger{hint}")


class NotFound(LedgerError):
    """The ledger has no such plan, task, dataset, certificate, question or finding."""

    def __init__(self, what: str, name: str) -> None:
        self.what, self.name = what, name
        super().__init__(f"the ledger has no {what} {name}")


class FindingDecided(LedgerError):
    """A finding waits for nobody any more."""

    def __init__(self, finding_id: int, reason: str) -> None:
        self.finding_id, self.reason = finding_id, reason
        super().__init__(f"finding {finding_id}: {reason}")


class RequestChanged(LedgerError):
    """The request is not what it was when the person looked at it; nothing was done."""

    def __init__(self, request_id: str, seen: Sequence[str], current: str) -> None:
        self.request_id, self.seen, self.current = request_id, tuple(seen), current
        super().__init__(f"{request_id} has changed since it was looked at: look again, then decide")


class KeyReused(LedgerError):
    """An idempotency key was sent with another call before."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(f"the idempotency key {key} was used for another call: take a new key for a new call")


class KeyBusy(LedgerError):
    """The call with this idempotency key is being worked on."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(f"the call with the idempotency key {key} is being worked on: ask again in a moment")


class InvalidTransition(LedgerError):
    """The state of a request does not allow this action."""

    def __init__(self, request_id: str, state: str, action: str, possible: Sequence[str]) -> None:
        self.request_id, self.state, self.action, self.possible = request_id, state, action, tuple(possible)
        ways = ", ".join(possible) or "nothing"
        super().__init__(f"{action} is not possible while {request_id} is {state}; possible now: {ways}")


class RequestUnavailable(ServiceUnavailable):
    """Somebody paused the request; what was about to happen happens after `resume`."""

    def __init__(self, request_id: str, state: str) -> None:
        self.request_id, self.state = request_id, state
        super().__init__(request_id, f"it is {state}")


class SeedsTaken(LedgerError):
    """Seeds asked for have an owner already; ``owners`` lists (request_id, first, last) of every overlap."""

    def __init__(self, request_id: str, owners: Sequence[tuple[str, int, int]], next_free: int | None = None) -> None:
        self.request_id, self.owners, self.next_free = request_id, tuple(owners), next_free
        taken = "; ".join(f"{first}-{last} belong to {owner}" for owner, first, last in self.owners)
        free = f"; the next free seed of this configuration is {next_free}" if next_free is not None else ""
        super().__init__(f"seeds of {request_id} are in use: {taken}{free}")


class IdTaken(LedgerError):
    """The id is somebody else's."""

    def __init__(self, request_id: str, reason: str, remedy: str) -> None:
        self.request_id, self.reason, self.remedy = request_id, reason, remedy
        super().__init__(f"{request_id} cannot be taken: {reason} ({remedy})")


class ConfigurationChanged(LedgerError):
    """What made the events of a request is not what would make them today."""

    def __init__(self, request_id: str, differences: Sequence[str]) -> None:
        self.request_id, self.differences = request_id, tuple(differences)
        super().__init__(
            f"{request_id} cannot be extended, its configuration is not the same any more: "
            f"{'; '.join(self.differences)} (clone it: a sample of its own)"
        )


class TemplateChanged(LedgerError):
    """A recurring template that has made requests says something else about them now."""

    def __init__(self, name: str, differences: Sequence[str]) -> None:
        self.name, self.differences = name, tuple(differences)
        super().__init__(
            f"template {name} has made requests, these cannot change any more: {'; '.join(self.differences)} "
            "(give the changed template another name, ids and seeds)"
        )


class PlanChanged(LedgerError):
    """What was to be approved or launched is not the plan that was shown."""

    def __init__(self, request_id: str, shown: str, current: str) -> None:
        self.request_id, self.shown, self.current = request_id, shown, current
        super().__init__(f"the plan of {request_id} is {current}, not {shown}: look at it and approve it again")


class NamesTaken(LedgerError):
    """Names a plan would write are in use by others; names of PanDA and Rucio are for ever."""

    def __init__(self, request_id: str, names: Sequence[str]) -> None:
        self.request_id, self.names = request_id, tuple(names)
        shown = ", ".join(self.names[:3]) + (f" and {len(self.names) - 3} more" if len(self.names) > 3 else "")
        super().__init__(
            f"names of {request_id} are in use, and not by this request: {shown}; a name is spent for ever: "
            "clone the request under a new id, or find out who made them and adopt the task"
        )


class InputsUnusable(LedgerError):
    """Datasets that a request would read are not there, not complete yet, or not of one sample."""

    def __init__(self, request_id: str, inputs: Sequence[tuple[str, str]], remedy: str) -> None:
        self.request_id, self.inputs, self.remedy = request_id, tuple(inputs), remedy
        said = "; ".join(f"{name}: {reason}" for name, reason in self.inputs[:3])
        more = f"; and {len(self.inputs) - 3} more" if len(self.inputs) > 3 else ""
        super().__init__(f"{request_id} cannot read its inputs: {said}{more} ({remedy})")


class SampleExists(LedgerError):
    """The same files were reconstructed, or are, with the same configuration: once more would double the sample."""

    def __init__(self, request_id: str, other: str, state: str, datasets: Sequence[str]) -> None:
        self.request_id, self.other, self.state, self.datasets = request_id, other, state, tuple(datasets)
        where = ", ".join(self.datasets[:3]) or "nothing is delivered yet"
        super().__init__(
            f"{request_id} would reconstruct files once more that {other} ({state}) has with the same configuration: "
            f"{where}; use those, or ask for another version of the software"
        )


class TrialMissing(LedgerError):
    """Policy wants a trial of this configuration before the mass production, and none has succeeded."""

    def __init__(self, request_id: str, core_hours: float, above: float, trials: Sequence[tuple[str, str]]) -> None:
        self.request_id, self.core_hours, self.above, self.trials = request_id, core_hours, above, tuple(trials)
        tried = "; ".join(f"{trial} is {state}" for trial, state in trials) or "there is none yet"
        super().__init__(
            f"{request_id} takes {core_hours:,.0f} core hours; above {above:,.0f} policy.yaml wants a trial that "
            f"succeeded: {tried}. Make one: prodsys request trial {request_id}"
        )


class NotAdoptable(LedgerError):
    """A task made by hand is not what the request asks for; ``differences`` names all that count."""

    def __init__(self, jedi_task_id: int, request_id: str, differences: Sequence[str]) -> None:
        self.jedi_task_id, self.request_id, self.differences = jedi_task_id, request_id, tuple(differences)
        super().__init__(f"task {jedi_task_id} cannot be adopted for {request_id}: {'; '.join(differences)}")
