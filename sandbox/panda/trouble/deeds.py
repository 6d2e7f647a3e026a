"""What a rule of a scenario may do: one pydantic model a deed, each with the field of the world it belongs to."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from prodsys.model.written_numbers import check_number_field
from sandbox.panda.jobs.errors import COMPONENTS, ERRORS, PAYLOAD_FAILED, text_of

FOREVER = 10**9


def _read_times(value: Any) -> Any:
    if value == "always":
        return FOREVER
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= FOREVER:
        raise ValueError(f"a whole number from 1, or `always`, not {value!r}")
    return value


class _TimesSchema:
    """How often something happens, for people: a number or ``always``."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"const": "always"}, {"type": "integer", "minimum": 1}]}


Times = Annotated[int, BeforeValidator(_read_times), _TimesSchema]


class Deed(BaseModel):
    """What happens to those a rule means."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    _numbers = field_validator("*", mode="before")(check_number_field)


class Limited(Deed):
    """A deed that is done so often to the same target and no more."""

    times: Times = Field(default=1, description="how often it happens to the same target: a number, or `always`")


class JobError(Deed):
    """How a job dies, in PanDA's own codes; codes that are not given are 0."""

    pilotErrorCode: int = Field(default=0, ge=0)
    transExitCode: int = Field(default=0, ge=0, le=255)
    exeErrorCode: int = Field(default=0, ge=0)
    supErrorCode: int = Field(default=0, ge=0)
    ddmErrorCode: int = Field(default=0, ge=0)
    brokerageErrorCode: int = Field(default=0, ge=0)
    jobDispatcherErrorCode: int = Field(default=0, ge=0)
    taskBufferErrorCode: int = Field(default=0, ge=0)
    diag: str = Field(default="", max_length=1000, description="text of the error; default: PanDA's text of the code")

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, given: Any) -> Any:
        """Codes given alone imply others: a payload that failed has an exit code, and the other way round."""
        if not isinstance(given, Mapping):
            return given
        named = {name for name in given if str(name).endswith("Code")}
        if named <= {"transExitCode"}:
            given = {"transExitCode": 65, "pilotErrorCode": PAYLOAD_FAILED, **given}
        elif given.get("pilotErrorCode") == PAYLOAD_FAILED:
            given = {"transExitCode": 65, **given}
        return given

    @model_validator(mode="after")
    def _some_code(self) -> JobError:
        if not any(getattr(self, f"{part}ErrorCode") for part in COMPONENTS):
            raise ValueError("an error has at least one code that is not 0")
        return self

    @property
    def text(self) -> str:
        """The error in words: as given, else PanDA's own."""
        if self.diag:
            return self.diag
        codes = [(part, getattr(self, f"{part}ErrorCode")) for part in COMPONENTS]
        known = [text_of(part, code) for part, code in codes if code]
        return next((one for one in known if one), "failure by scenario")

    def fields(self, last: str = "") -> dict[str, Any]:
        """Error fields of the job as the API tells them (recordings ``seed_list``, ``failed``).

        Parameters
        ----------
        last
            Last sign of life of the job, for the texts that name it.
        """
        text = self.text.replace("{last}", last)
        found: dict[str, Any] = {"transExitCode": str(self.transExitCode)}
        for part in COMPONENTS:
            code = getattr(self, f"{part}ErrorCode")
            if code:
                found |= {f"{part}ErrorCode": code, f"{part}ErrorDiag": text}
        if self.transExitCode:
            found |= {"exeErrorCode": self.exeErrorCode or self.transExitCode, "exeErrorDiag": text}
            if self.pilotErrorCode == PAYLOAD_FAILED and not text.startswith("Failed to execute payload"):
                found["pilotErrorDiag"] = f"Failed to execute payload: {text}"
        return found


def error_named(word: str) -> JobError:
    """Error of a word of the table.

    Raises
    ------
    KeyError
        The word is not in the table.
    """
    known = ERRORS[word]
    codes: dict[str, Any] = {f"{known.component}ErrorCode": known.code, "transExitCode": known.exit_code}
    return JobError.model_validate({**codes, "diag": known.text})


class _ByWord:
    """Lets an error be a word of the table, for the validation and for the schema."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_read_error, handler(source))

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"enum": sorted(ERRORS), "type": "string"}, handler(schema)]}


def _read_error(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value not in ERRORS:
        near = difflib.get_close_matches(value, ERRORS, n=3, cutoff=0.4)
        remedy = f"did you mean {' or '.join(near)}?" if near else "see `prodsys sandbox scenario errors`"
        raise ValueError(f"{value!r} is no word for an error, {remedy}")
    return error_named(value)


ErrorByWord = Annotated[JobError, _ByWord]
_SOME_ERROR = error_named("payload_failed").model_copy(update={"diag": "failure by scenario"})


class Fail(Limited):
    """The job fails, for its first attempts or always."""

    error: ErrorByWord = Field(default=_SOME_ERROR, description="a word of PanDA's errors, or codes")


class NoReply(Limited):
    """The pilot says nothing more; the job is lost after the heartbeat's limit."""

    at: Literal["sent", "running"] = Field(
        default="sent", description="`sent`: the pilot never answers; `running`: the process freezes while it works"
    )


class Slow(Deed):
    """The job takes its time."""

    wall_s: float | None = Field(default=None, gt=0, le=86400, description="wall time [s], not divided by the speed")
    factor: float | None = Field(default=None, gt=0, le=1000, description="times the usual wall time")

    @model_validator(mode="after")
    def _one_measure(self) -> Slow:
        if (self.wall_s is None) == (self.factor is None):
            raise ValueError("slow has either wall_s or factor")
        return self


class FewerEvents(Limited):
    """The job is finished though its outputs hold fewer events than asked for."""

    missing: int = Field(default=1, gt=0, description="events that every output of the job lacks")


class Lose(Limited):
    """Something gets lost, once or more often."""


class SpoilFile(Limited):
    """A file that was registered is spoilt where it lies; the catalogue keeps its size and checksum."""

    how: Literal["truncate", "content", "remove"] = Field(
        default="truncate", description="cut in the middle, other bytes of the same length, or gone"
    )


class Offline(Deed):
    """The site takes no jobs; what runs there goes on."""


class NoSite(Deed):
    """Brokerage finds no site; the task stays pending and is looked at again and again."""

    text: str = Field(default="", max_length=1000, description="what the task's errorDialog says")


class BreakMap(Deed):
    """JEDI finds the map unusable: tobroken, then broken."""

    text: str = Field(
        default="failed to refine task with RuntimeError:the map is broken by scenario",
        max_length=1000,
        description="what the task's errorDialog says",
    )


class Exhaust(Deed):
    """JEDI gives the task up until a person decides: exhausted."""

    text: str = Field(default="exhausted since too many jobs failed", max_length=1000)


class Throttle(Limited):
    """JEDI holds the task back for a while: throttled."""

    for_s: float = Field(gt=0, le=86400, description="how long [s]")


class RestJedi(Deed):
    """JEDI rests while the server goes on answering."""

    for_s: float = Field(gt=0, le=86400, description="how long [s], from when the scenario is put in force or `during`")


_ALIVE = frozenset({"defined", "ready", "pending", "scouting", "running", "throttled", "paused"})
_WHEN: dict[str, frozenset[str]] = {
    "retry": frozenset({"finished", "failed", "exhausted"}),
    "resume": frozenset({"paused", "throttled"}),
    "pause": _ALIVE - {"paused"},
    "change_priority": frozenset(),
}
"""At which statuses PanDA accepts a command (recording ``wrong_state_commands``); nothing: at any."""


class Act(Deed):
    """Somebody does something to a task behind our back, once for each task."""

    command: Literal["kill", "finish", "soft_finish", "retry", "pause", "resume", "change_priority"]
    user: str = Field(default="user2", min_length=1, max_length=60, description="who is said to have done it")
    when: Literal[
        "defined", "ready", "pending", "scouting", "running", "throttled", "paused", "done", "finished", "failed",
        "exhausted",
    ] = Field(default="running", description="status in which the task must be")  # fmt: skip
    after_s: float = Field(default=0.0, ge=0, le=86400, description="how long it must have been in it [s]")
    priority: int | None = Field(default=None, ge=-1, le=10000, description="new priority (change_priority)")

    @model_validator(mode="after")
    def _priority_with_its_command(self) -> Act:
        if (self.command == "change_priority") != (self.priority is not None):
            raise ValueError("priority belongs to the command change_priority, and only to it")
        return self

    @model_validator(mode="after")
    def _accepted_then(self) -> Act:
        may = _WHEN.get(self.command, _ALIVE)
        if may and self.when not in may:
            raise ValueError(
                f"PanDA refuses {self.command} at status {self.when}; accepted at {', '.join(sorted(may))}"
            )
        return self


class Answer(Limited):
    """The server answers a call badly, or not at all."""

    how: Literal["error", "hang", "html", "cut", "half", "lose_reply", "slow", "restart"] = Field(
        description="`error`: an Apache page of `status`; `hang`: nothing for `for_s`, then `then`; `html`: a page "
        "where JSON is expected; `cut`: the connection dies before the work; `half`: it dies after half of the body; "
        "`lose_reply`: it dies after the work; `slow`: the answer comes after `for_s`; `restart`: the server goes away "
        "for `for_s`"
    )
    status: Literal[500, 502, 503] = Field(default=500, description="status of an `error`")
    for_s: float = Field(default=5.0, gt=0, le=3600, description="how long [s]: hang, slow, restart")
    then: Literal["cut", "answer"] = Field(default="cut", description="what follows after a hang")


class Unreadable(Deed):
    """PanDA cannot read one of its tables, and answers as it does then: often with success and nothing."""

    table: Literal[
        "jobsarchived4", "jobsactive4", "filestable4", "jedi_datasets", "jedi_dataset_contents", "jedi_tasks"
    ]


class Aged(Deed):
    """PanDA's jobs have grown old, or one is in no table; what JEDI knows of the task stays."""

    jobs: Literal["archived", "expired", "stripped", "lost"] = Field(
        description="`archived`: in the archive; `expired`: older than 90 days; `stripped`: their files, parameters "
        "and metadata are gone (30 days); `lost`: in no table"
    )
