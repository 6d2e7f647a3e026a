"""The one exception tree of Prodsys.

A name says whether another try helps: every ``*Unavailable`` may be tried again, everything else may not. An error
carries the ids it speaks of, and its text says what is wrong, where, and what to do about it.
"""

from __future__ import annotations

from collections.abc import Sequence


class ProductionError(Exception):
    """Root of all errors that Prodsys raises on purpose."""


class ServiceUnavailable(ProductionError):
    """A service did not answer, or not in its own words; the same call may succeed later."""

    def __init__(self, service: str, reason: str) -> None:
        self.service, self.reason = service, reason
        super().__init__(f"{service} is not available: {reason}")


class OutageTooLong(ProductionError):
    """A service has been away for longer than may be waited."""

    def __init__(self, error: ServiceUnavailable, waited_s: float) -> None:
        self.service, self.waited_s = error.service, waited_s
        super().__init__(f"{error}; it was waited for {waited_s / 3600:,.1f} h: when it is back, retry the request")


# --- what people write ---------------------------------------------------------------------------------------------
class SpecInvalid(ProductionError, ValueError):
    """A request, chain or policy says something that cannot be; ``remedy`` says what would do."""

    def __init__(self, place: str, message: str, remedy: str = "") -> None:
        self.place, self.message, self.remedy = place, message, remedy
        super().__init__(f"{place}: {message}" + (f" ({remedy})" if remedy else ""))


class SettingMissing(ProductionError):
    """A setting that this call needs is not set."""

    def __init__(self, name: str, remedy: str) -> None:
        self.name = name
        super().__init__(f"setting {name} is missing: {remedy}")


class FileUnreadable(ProductionError):
    """A file handed to us is not what it should be as a whole: encoding, size, format."""

    def __init__(self, path: str, message: str, remedy: str) -> None:
        self.path, self.message, self.remedy = path, message, remedy
        super().__init__(f"{path}: {message} ({remedy})")


# --- the ledger ----------------------------------------------------------------------------------------------------
class LedgerError(ProductionError):
    """The ledger refuses or lacks something."""


class LedgerUnavailable(ServiceUnavailable):
    """The ledger's database did not answer."""

    def __init__(self, reason: str) -> None:
        super().__init__("ledger", reason)


class FilesUnavailable(ServiceUnavailable):
    """A storage or a network file system did not answer; ``number`` is the errno when the system gave one."""

    def __init__(self, service: str, reason: str, number: int | None = None) -> None:
        self.number = number
        super().__init__(service, reason)


class RequestUnknown(LedgerError):
    """No such request in the ledger."""

    def __init__(self, request_id: str, near: Sequence[str] = ()) -> None:
        self.request_id = request_id
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        super().__init__(f"request {request_id} is not in the ledger{hint}")


class LedgerLacks(LedgerError):
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


class MoveRefused(LedgerError):
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


class NotAllowed(ProductionError):
    """The person may not do this."""

    def __init__(self, who: str, action: str, needs: str) -> None:
        self.who, self.action, self.needs = who, action, needs
        super().__init__(f"{who} may not {action}: it needs the role {needs}")


# --- PanDA ---------------------------------------------------------------------------------------------------------
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


class NotAdoptable(LedgerError):
    """A task made by hand is not what the request asks for; ``differences`` names all that count."""

    def __init__(self, jedi_task_id: int, request_id: str, differences: Sequence[str]) -> None:
        self.jedi_task_id, self.request_id, self.differences = jedi_task_id, request_id, tuple(differences)
        super().__init__(f"task {jedi_task_id} cannot be adopted for {request_id}: {'; '.join(differences)}")


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


# --- Rucio ---------------------------------------------------------------------------------------------------------
class RucioError(ProductionError):
    """Rucio refused something."""


class RucioUnavailable(ServiceUnavailable):
    """Rucio did not answer, or lost a race that another try wins."""

    def __init__(self, reason: str) -> None:
        super().__init__("Rucio", reason)


class RucioRefused(RucioError):
    """Rucio understood the call and said no, in its own words."""

    def __init__(self, call: str, words: str) -> None:
        self.call, self.words = call, words
        super().__init__(f"Rucio refused {call}: {words}")


class RucioAnswerInvalid(RucioError):
    """What came back from Rucio could not be read: its answer has another shape, or our reading of it is wrong."""

    def __init__(self, call: str, kind: str, words: str) -> None:
        self.call, self.kind, self.words = call, kind, words
        reason = "the answer has an unknown shape, or what was asked cannot be asked: another try will not help"
        super().__init__(f"Rucio {call}: {kind}: {words} ({reason})")


class SpaceLacking(RucioError):
    """What a plan writes does not fit; nothing was reserved."""

    def __init__(self, request_id: str, rse: str, needed: int, free: int, what: str) -> None:
        self.request_id, self.rse, self.needed, self.free, self.what = request_id, rse, needed, free, what
        super().__init__(
            f"{request_id} does not fit on {rse}: it needs {needed / 1e9:,.3f} GB, {what} {free / 1e9:,.3f} GB; "
            "free some, ask Rucio's administrators for more, or ask for fewer events"
        )


class DatasetConflict(RucioError):
    """What Rucio holds contradicts what PanDA reported; nothing was changed."""

    def __init__(self, did: str, differences: Sequence[str]) -> None:
        self.did, self.differences = did, tuple(differences)
        shown = "; ".join(self.differences[:3]) + (f"; and {len(differences) - 3} more" if len(differences) > 3 else "")
        super().__init__(f"{did} is not what it should be: {shown}")


# --- identity and Airflow ------------------------------------------------------------------------------------------
class IdentityUnavailable(ServiceUnavailable):
    """The identity provider gave no token."""

    def __init__(self, reason: str) -> None:
        super().__init__("IAM", reason)


class AirflowUnavailable(ServiceUnavailable):
    """Airflow's REST API did not answer."""

    def __init__(self, reason: str) -> None:
        super().__init__("Airflow", reason)


class AirflowRefused(ProductionError):
    """Airflow's REST API said no, in its own words."""

    def __init__(self, call: str, status: int, words: str) -> None:
        self.call, self.status, self.words = call, status, words
        super().__init__(f"Airflow refused {call} ({status}): {words}")


class AirflowAnswerInvalid(AirflowRefused):
    """What came back from Airflow could not be read: its answer has another shape, or our reading of it is wrong."""

    def __init__(self, kind: str, words: str) -> None:
        super().__init__("reading", 200, f"{kind}: {words}")
        self.args = (f"an answer of Airflow has an unknown shape: {kind}: {words} (another try will not help)",)
