"""Recurring requests: a template, its intervals in UTC, and the one request of each, which follows from its ordinal."""

from __future__ import annotations

import re
from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, create_model, model_validator

from prodsys.errors import SpecInvalid
from prodsys.model.names import RequestId
from prodsys.model.request import RequestSpec
from prodsys.model.seeds import MAX_SEED, SeedRange
from prodsys.model.spec_base import Spec
from prodsys.model.specs import PartitionTable
from prodsys.model.statuses import RecordedStatus
from prodsys.model.written import read_request

MOST_INTERVALS = 2000
SHORTEST_MONTH = 28  # days
FREE_TO_CHANGE = frozenset({"description", "active", "intervals", "requester", "approve", "launch"})
"""Keys of a template that may change although it has made requests; ids, seeds and what they ask for may not."""
_FOLLOWING = {"request_id", "events", "seeds", "recorded_status", "description"}  # from the interval
_READING = {"inputs", "input_request"}  # of requests whose seeds are those of files that exist
_DRAWN = re.compile(r"(?<![a-z])[hr](?![a-z])", re.IGNORECASE | re.ASCII)  # fields that croniter draws by lot
_WORDS = {  # what people say -> cron at the hour and day of the start
    "daily": "{minute} {hour} * * *",
    "weekly": "{minute} {hour} * * {weekday}",
    "monthly": "{minute} {hour} {day} * *",
}


def _in_utc(moment: datetime) -> datetime:
    if moment.utcoffset() not in (None, timedelta(0)):
        raise ValueError(f"{moment.isoformat()} is not in UTC: schedules are; write {moment.astimezone(UTC)}")
    return moment.replace(tzinfo=UTC)


def _known_cron(text: str) -> str:
    from croniter import croniter

    if text not in _WORDS and not (len(text.split()) == 5 and croniter.is_valid(text)):
        raise ValueError(f"{text!r} is not {', '.join(_WORDS)} or a cron expression of five fields, such as 0 3 * * 1")
    if text not in _WORDS and _DRAWN.search(text):
        raise ValueError(f"{text!r} would be another moment at each reading: write numbers in place of R and H")
    return text


_FIELDS: dict[str, Any] = {
    name: (str | None if name == "campaign" else info.annotation, info)
    for name, info in RequestSpec.model_fields.items()
    if name not in _FOLLOWING | _READING
}
RecurringPart: type[Spec] = create_model(
    "RecurringPart",
    __base__=Spec,
    __doc__="What every request of a template asks for; id, seeds and events follow from the interval.",
    **_FIELDS | {"campaign": (str | None, Field(default=None, description="None: follows from the year of the id"))},
)


class RecurringSpec(Spec):
    """A template: every interval of its schedule becomes one request with an id and seeds of its own."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9\-]{0,60}$", description="name of the file, and of the DAG")
    description: str = Field(default="", max_length=2000, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f]*$")
    active: bool = Field(default=True, description="false: nothing is kept for it, and there is no DAG")
    schedule: Annotated[str, AfterValidator(_known_cron)] = Field(
        description="daily, weekly, monthly, or a cron expression of five fields; in UTC"
    )
    start: Annotated[datetime, AfterValidator(_in_utc)] = Field(
        description="beginning of the first interval, in UTC: a moment of the schedule"
    )
    intervals: int = Field(
        gt=0, le=MOST_INTERVALS, description="how many there will be: so many seeds and ids are kept"
    )
    id_prefix: str = Field(pattern=r"^[A-Z][A-Z0-9]*$", description="of the ids; their year is the interval's")
    first_number: int = Field(gt=0, description="number in the id of the first request; the next has the next one")
    first_seed: int = Field(ge=1, le=MAX_SEED, description="first seed of the first request")
    seeds_per_interval: int = Field(gt=0, description="seeds of every request, one a job")
    requester: str = Field(pattern=r"^[^<>{}\x00-\x1f]{1,100}$", description="who asks; the work is accounted to them")
    approve: Literal["by hand", "automatically"] = Field(
        default="by hand", description="automatically: within the size that policy.yaml allows"
    )
    launch: bool = Field(default=False, description="true: launched as soon as it is approved automatically")
    request: RecurringPart = Field(description="what every request asks for")  # type: ignore[valid-type]

    @model_validator(mode="after")
    def _first_interval_begins_with_the_schedule(self) -> Self:
        from croniter import croniter

        if self.schedule == "monthly" and self.start.day > SHORTEST_MONTH:
            raise ValueError(f"monthly: not every month has a day {self.start.day}; start on day 1 to {SHORTEST_MONTH}")
        if not croniter.match(self.cron, self.start) or self.start.second or self.start.microsecond:
            first = croniter(self.cron, self.start).get_next(datetime)
            raise ValueError(f"start {self.start:%Y-%m-%d %H:%M} is no moment of the schedule; the next is {first}")
        if self.last_seed > MAX_SEED:
            raise ValueError(f"the last seed would be {self.last_seed}; at most {MAX_SEED}: make fewer intervals")
        if self.launch and self.approve != "automatically":
            raise ValueError("launch: true needs approve: automatically; what a person approves a person launches")
        return self

    # --- the schedule -----------------------------------------------------------------------------------------------
    @property
    def cron(self) -> str:
        """The schedule as a cron expression, in UTC."""
        words = {"minute": self.start.minute, "hour": self.start.hour, "day": self.start.day}
        return _WORDS.get(self.schedule, self.schedule).format(weekday=self.start.isoweekday() % 7, **words)

    @cached_property
    def moments(self) -> tuple[datetime, ...]:
        """Beginnings of all intervals, and the end of the last one."""
        from croniter import croniter

        following = croniter(self.cron, self.start)
        return (self.start, *(following.get_next(datetime) for _ in range(self.intervals)))

    def bounds(self, ordinal: int) -> tuple[datetime, datetime]:
        """Beginning and end of an interval."""
        return self.moments[ordinal], self.moments[ordinal + 1]

    def ordinal_of(self, interval_start: datetime) -> int:
        """How many intervals lie between the start and this one.

        Raises
        ------
        SpecInvalid
            No interval begins at this moment.
        """
        found = bisect_left(self.moments, interval_start)
        if found < self.intervals and self.moments[found] == interval_start:
            return found
        near = self.moments[max(0, min(found, self.intervals) - 1)]
        begin, end, one = (f"{moment:%Y-%m-%d %H:%M}" for moment in (self.start, self.moments[-1], near))
        message = f"no interval begins at {interval_start:%Y-%m-%d %H:%M:%S}"
        raise SpecInvalid(self.name, message, f"they go from {begin} to {end}; one begins {one}")

    def due(self, now: datetime) -> range:
        """Ordinals of the intervals that have ended, in order."""
        return range(sum(end <= now for end in self.moments[1:]))

    # --- what belongs to the template -------------------------------------------------------------------------------
    @property
    def numbers(self) -> range:
        """Numbers of the ids of all its requests."""
        return range(self.first_number, self.first_number + self.intervals)

    @property
    def last_seed(self) -> int:
        """Last seed of the last interval."""
        return self.first_seed + self.intervals * self.seeds_per_interval - 1

    @property
    def block(self) -> SeedRange:
        """Seeds of all its requests."""
        return SeedRange(first=self.first_seed, last=self.last_seed)

    def id_of(self, ordinal: int) -> str:
        """Id of the request of an interval: the year is that of its beginning, the number never comes again."""
        return str(RequestId(self.id_prefix, self.moments[ordinal].year, self.first_number + ordinal))

    def seeds_of(self, ordinal: int) -> SeedRange:
        """Seeds of an interval: they follow from its ordinal, whatever others have taken meanwhile."""
        first = self.first_seed + ordinal * self.seeds_per_interval
        return SeedRange(first=first, last=first + self.seeds_per_interval - 1)

    def request_of(self, ordinal: int, partitions: PartitionTable) -> RequestSpec:
        """The request of an interval.

        Raises
        ------
        SpecInvalid
            What the template asks for cannot be.
        """
        part: dict[str, Any] = self.request.model_dump(mode="json")  # type: ignore[attr-defined]
        request_id, (begin, end) = self.id_of(ordinal), self.bounds(ordinal)
        return read_request(
            part
            | {
                "request_id": request_id,
                "campaign": part["campaign"] or partitions.campaign_for(request_id),
                "seeds": str(self.seeds_of(ordinal)),
                "events": self.seeds_per_interval * part["events_per_file"],
                "recorded_status": RecordedStatus.DRAFT,
                "description": f"{self.name}, {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC",
            }
        )

    def promised(self) -> dict[str, Any]:
        """What cannot change once a request was made."""
        return self.model_dump(mode="json", exclude=set(FREE_TO_CHANGE))
