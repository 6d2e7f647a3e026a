"""What is decided without asking a person, and who may decide the rest: ``policy.yaml``."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, model_validator

from prodsys.model.moves import Right
from prodsys.model.spec_base import Pattern, Spec

Role = Literal["viewer", "submitter", "manager", "administrator"]


class AcceptRule(Spec):
    """How much of a step must have come for the chain to go on."""

    pattern: Pattern = Field(description="regular expression over the request id")
    accept_percent: float = Field(gt=0, le=100, description="at or above: accepted partial [%]")


class PolicySpec(Spec):
    """What is decided without asking."""

    prefixes: tuple[str, ...] = Field(min_length=1, description="prefixes of request ids")
    accept: tuple[AcceptRule, ...] = Field(min_length=1)
    running_limit: int = Field(gt=0, description="requests that may run at once")
    sample_files: int = Field(ge=0, description="ROOT files of a dataset that are opened and counted")
    working_group: str
    rights: dict[Right, tuple[Role, ...]] = Field(description="right -> roles that have it")

    def accept_percent_of(self, request_id: str) -> float:
        """Least share of seeds with which a step is accepted [%]."""
        for rule in self.accept:
            if re.fullmatch(rule.pattern, request_id):
                return rule.accept_percent
        return 100.0

    @model_validator(mode="after")
    def _every_right_is_somebodys(self) -> Self:
        if lacking := [right for right in Right if not self.rights.get(right)]:
            raise ValueError(f"rights must say who may {', '.join(lacking)}; give at least one role each")
        return self

    def roles_with(self, right: Right) -> tuple[Role, ...]:
        """Roles that have a right."""
        return self.rights[right]
