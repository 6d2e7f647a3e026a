"""One act of the API as its registry holds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

from pydantic import BaseModel

from prodsys.actions.core.context import Context
from prodsys.model.transitions import Permission
from prodsys.web.api import bodies

ONE_REQUEST = "/requests/{request_id}"


def as_it_is(answer: Any) -> dict[str, Any]:
    """The fields of a dataclass."""
    assert is_dataclass(answer) and not isinstance(answer, type)  # noqa: PT018
    return asdict(answer)


def _about_subject(subject: str, answer: Any) -> str:  # noqa: ARG001
    return subject


@dataclass(frozen=True)
class Entry:
    """One act.

    `do` gets the context, the subject of the path ("" without one) and the body; `show` gives the fields of the model
    `answer`; `about` names the request that the answer is about. `match`: the caller must say with If-Match which
    picture of the request he decided on.
    """

    name: str
    summary: str
    text: str
    right: Permission
    do: Callable[[Context, str, Any], Any]
    answer: type[BaseModel]
    body: type[BaseModel] = bodies.Nothing
    show: Callable[[Any], dict[str, Any]] = as_it_is
    about: Callable[[str, Any], str] = _about_subject
    match: bool = False
    creates: bool = False
    method: str = "POST"
    path: str = ""  # default: /requests/{request_id}/<name>
    tag: str = "requests"

    @property
    def route(self) -> str:
        """Path under the API."""
        return self.path or f"{ONE_REQUEST}/{self.name}"
