"""What is decided without asking a person, and who may decide the rest: ``policy.yaml``."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Literal, Self

from pydantic import Field, model_validator

from prodsys.errors import SpecInvalid
from prodsys.model.moves import Right
from prodsys.model.spec_base import Pattern, Spec

Role = Literal["viewer", "submitter", "manager", "administrator"]


class Answer(StrEnum):
    """What may be answered to the question about a step that brought too little."""

    ACCEPT = "accept"  # go on with what came; the rest is waived
    RECOVER = "recover again"
    ABORT = "abort"
    FAIL = "stop as failed"  # nothing is thrown away: recover, retry and accept stay possible


class SettleRule(Spec):
    """When the chain goes on after a step, what is tried before, and whom it asks in the end."""

    requests: Pattern = Field(default=".*", description="regular expression over the request id")
    chains: Pattern = Field(default=".*", description="regular expression over the name of the chain")
    partitions: Pattern = Field(default=".*", description="regular expression over the partition")
    accept_percent: float = Field(gt=0, le=100, description="at or above: accepted partial [% of seeds]")
    rounds: int = Field(ge=0, le=20, description="rounds of recovery before a person is asked")
    ask_hours: float = Field(
        gt=0, description="how long the question waits for its answer [h]; then the default counts"
    )
    default: Answer = Field(description="answer that counts when nobody gave one")

    def fits(self, request_id: str, chain: str, partition: str) -> bool:
        """Whether the rule is about such a request."""
        asked = ((self.requests, request_id), (self.chains, chain), (self.partitions, partition))
        return all(re.fullmatch(pattern, text) for pattern, text in asked)


class PolicySpec(Spec):
    """What is decided without asking."""

    prefixes: tuple[str, ...] = Field(min_length=1, description="prefixes of request ids")
    settle: tuple[SettleRule, ...] = Field(min_length=1, description="the first rule that fits counts")
    running_limit: int = Field(gt=0, description="requests that may run at once")
    sample_files: int = Field(ge=0, description="ROOT files of a dataset that are opened and counted")
    working_group: str
    rights: dict[Right, tuple[Role, ...]] = Field(description="right -> roles that have it")

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

    @model_validator(mode="after")
    def _every_right_is_somebodys(self) -> Self:
        if lacking := [right for right in Right if not self.rights.get(right)]:
            raise ValueError(f"rights must say who may {', '.join(lacking)}; give at least one role each")
        return self

    def roles_with(self, right: Right) -> tuple[Role, ...]:
        """Roles that have a right."""
        return self.rights[right]
