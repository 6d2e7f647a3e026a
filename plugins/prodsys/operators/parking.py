"""Let an airflow task wait for a person on Airflow's own page, and read what came back.

The task parks in the state ``awaiting_input``: no worker, no trigger. Airflow keeps the words of a question for as
long as a try lasts, so that other words need another try, or another run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Param
from airflow.sdk.exceptions import TaskAwaitingInput
from airflow.sdk.execution_time.hitl import upsert_hitl_detail

if TYPE_CHECKING:
    from typing import NoReturn

    from airflow.sdk import Context as AirflowContext


@dataclass(frozen=True)
class Asked:
    """A question as Airflow shows it; ``body`` is Markdown."""

    subject: str
    body: str
    options: tuple[str, ...]
    params: Mapping[str, Param]
    default: str | None = None  # taken by Airflow when the time is over
    timeout: timedelta | None = None


@dataclass(frozen=True)
class Answered:
    """What a person answered. Airflow checks the options and nothing else."""

    person: str
    choice: str
    params: Mapping[str, Any] = field(default_factory=dict)


def words_param(title: str, description: str, longest: int) -> Param:
    """A field for a few words that may be left empty: with type string alone the page wants it before any answer."""
    kinds = ["null", "string"]
    return Param(None, type=kinds, format="multiline", maxLength=longest, title=title, description=description)


def park(context: AirflowContext, asked: Asked, resume: str, **kept: Any) -> NoReturn:
    """Wait for the answer in the method named ``resume``, which is given the event and what is kept."""
    upsert_hitl_detail(
        ti_id=context["ti"].id,
        options=list(asked.options),
        subject=asked.subject,
        body=asked.body,
        defaults=None if asked.default is None else [asked.default],
        multiple=False,
        params={name: param.serialize() for name, param in asked.params.items()},
    )
    raise TaskAwaitingInput(method_name=resume, kwargs=kept, timeout=asked.timeout)


def read_answer(event: Any) -> Answered | None:
    """The answer in an event; None when nobody gave one, or it is not of the shape Airflow promises."""
    given = event if isinstance(event, Mapping) else {}
    person, choices, params = (given.get(key) for key in ("responded_by_user", "chosen_options", "params_input"))
    name = person.get("name") if isinstance(person, Mapping) else None
    if not name:
        return None
    choice = str(choices[0]) if isinstance(choices, list) and choices else ""
    return Answered(str(name), choice, params if isinstance(params, Mapping) else {})
