"""What is decided without asking a person, and who may decide the rest: ``policy.yaml``."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Literal, Self

from pydantic import Field, model_validator

from prodsys.errors import SpecInvalid
from prodsys.model.names import RequestId
from prodsys.model.seeds import MAX_SEED
from prodsys.model.spec_base import Pattern, Spec
from prodsys.model.transitions import Permission

Role = Literal["viewer", "submitter", "manager", "administrator"]


class Answer(StrEnum):
    """What may be answered to the question about a step that brought too little."""

    ACCEPT = "accept"  # go on with what came; the rest is waived
    RECOVER = "recover again"
    ABORT = "abort"
    FAIL = "stop as failed"  # nothing is thrown away: recover, retry and accept stay possible


class Rule(Spec):
    """What some requests have in common."""

    requests: Pattern = Field(default=".*", description="regular expression over the request id")
    chains: Pattern = Field(default=".*", description="regular expression over the name of the chain")
    partitions: Pattern = Field(default=".*", description="regular expression over the partition")

    def fits(self, request_id: str, chain: str, partition: str) -> bool:
        """Whether the rule is about such a request."""
        asked = ((self.requests, request_id), (self.chains, chain), (self.partitions, partition))
        return all(re.fullmatch(pattern, text) for pattern, text in asked)


class SettleRule(Rule):
    """When the chain goes on after a step, what is tried before, and whom it asks in the end."""

    accept_percent: float = Field(gt=0, le=100, description="at or above: accepted partial [% of seeds]")
    rounds: int = Field(ge=0, le=20, description="rounds of recovery before a person is asked")
    ask_hours: float = Field(
        gt=0, description="how long the question waits for its answer [h]; then the default counts"
    )
    default: Answer = Field(description="answer that counts when nobody gave one")


class TrialRule(Rule):
    """When a trial must come before a mass production, and how small it is."""

    above_core_hours: float = Field(ge=0, description="expected core hours above which there must have been a trial")
    seeds: int = Field(gt=0, le=1000, description="the first seeds of the request that are tried")
    events_per_file: int | None = Field(default=None, gt=0, description="at most; None: as many as the request")
    partition: str = Field(default="test", pattern=r"^[A-Za-z0-9][A-Za-z0-9_]{0,24}$", description="where it writes")
    prefix: str = Field(default="TEST", description="prefix of the trial's id")


class SecondPerson(Spec):
    """Size above which two persons must approve; either is enough."""

    above_core_hours: float = Field(gt=0, description="expected core hours")
    above_bytes: int = Field(gt=0, description="expected volume with all copies [byte]")

    def is_needed(self, core_hours: float, volume_bytes: int) -> bool:
        """Whether a request of this size is too large for one person's approval."""
        return core_hours > self.above_core_hours or volume_bytes > self.above_bytes


class ReconcileLimits(Spec):
    """How much one pass of the reconciler may ask, and how long it looks at what has ended."""

    ended_days: float = Field(default=14, gt=0, description="a task that ended longer ago is not looked at [days]")
    status_calls: int = Field(
        default=20, gt=0, description="tasks a minute that PanDA's list lacks and that are asked for one by one"
    )
    catalogue_calls: int = Field(
        default=200, gt=0, description="rules, and datasets, an hour that are compared with Rucio; the rest come next"
    )


class LimitSpec(Spec):
    """Bounds of what a request may ask for, at every door."""

    largest_seed: int = Field(default=MAX_SEED, gt=0, le=MAX_SEED, description="highest seed that may be asked for")
    seeds: int = Field(default=500_000, gt=0, description="seeds of a request")
    ranges: int = Field(default=5_000, gt=0, description="ranges in which the seeds of a request lie")
    events: int = Field(default=10**12, gt=0, description="events of a request")
    jobs_of_task: int = Field(default=100_000, gt=0, description="jobs of one PanDA task; more need bunches")
    jobs_of_request: int = Field(default=1_000_000, gt=0, description="jobs of all steps of a request")


class PolicySpec(Spec):
    """What is decided without asking."""

    prefixes: tuple[str, ...] = Field(min_length=1, description="prefixes of request ids")
    settle: tuple[SettleRule, ...] = Field(min_length=1, description="the first rule that fits counts")
    trial: tuple[TrialRule, ...] = Field(default=(), description="the first rule that fits counts; none: no trial")
    second_person: SecondPerson | None = Field(default=None, description="None: one person's approval is enough")
    running_limit: int = Field(gt=0, description="requests that may run at once")
    recurring_jobs: int = Field(
        default=0, ge=0, description="a recurring request of at most so many jobs may be approved without a person"
    )
    reconcile: ReconcileLimits = Field(default=ReconcileLimits(), description="limits of the reconciler")
    limits: LimitSpec = Field(default_factory=LimitSpec, description="bounds of what a request may ask for")
    sample_files: int = Field(ge=0, description="ROOT files of a dataset that are opened and counted")
    unreadable_ask_percent: float = Field(
        default=5,
        ge=0,
        le=100,
        description="a person is asked when more of a site's opened files cannot be read than this [%]",
    )
    working_group: str
    rights: dict[Permission, tuple[Role, ...]] = Field(description="right -> roles that have it")
    airflow_roles: dict[str, Role] = Field(
        default_factory=dict, description="role at Airflow -> role here, for pages and REST; others may only look"
    )

    def settle_rule(self, request_id: str, chain: str, partition: str) -> SettleRule:
        """The rule for a request.

        Raises
        ------
        SpecInvalid
            No rule fits.
        """
        for rule in self.settle:
            if rule.fits(request_id, chain, partition):
                return rule
        raise SpecInvalid("policy.yaml", f"no rule of settle fits {request_id}", "end with one that fits everything")

    def check_prefix(self, request_id: str) -> None:
        """SpecInvalid when the id of a request has no prefix that is known here."""
        prefix = RequestId.parse(request_id).prefix
        if prefix not in self.prefixes:
            remedy = f"known: {', '.join(self.prefixes)}; see policy.yaml"
            raise SpecInvalid("request id", f"{request_id!r} has an unknown prefix", remedy)

    def trial_rule(self, request_id: str, chain: str, partition: str) -> TrialRule | None:
        """The rule about trials of a request, or None."""
        return next((rule for rule in self.trial if rule.fits(request_id, chain, partition)), None)

    @model_validator(mode="after")
    def _trials_have_a_known_prefix(self) -> Self:
        if strange := sorted({rule.prefix for rule in self.trial} - set(self.prefixes)):
            raise ValueError(f"trial: the prefix {strange[0]} is not among the prefixes {', '.join(self.prefixes)}")
        return self

    @model_validator(mode="after")
    def _every_right_is_somebodys(self) -> Self:
        if lacking := [right for right in Permission if not self.rights.get(right)]:
            raise ValueError(f"rights must say who may {', '.join(lacking)}; give at least one role each")
        return self

    def roles_with(self, right: Permission) -> tuple[Role, ...]:
        """Roles that have a right."""
        return self.rights[right]
