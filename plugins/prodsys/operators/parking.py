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

    from prodsys.actions.core.context import Context


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


def earlier_answer(
    ctx: Context, context: AirflowContext, subject: str, *, resumed: bool = False
) -> Mapping[str, Any] | None:
    """The event of an answer to this question that was given before and could not be taken; None when none was.

    ``resumed`` tells that this try was deferred: it may have been given the answer itself.

    Airflow loses one that comes within seconds: as long as its scheduler has not heard that the parked process ended,
    it takes the task that was woken for killed, and tries it again without the answer (seen on 3.3.2). One that met a
    service that was away is found here, too.

    Raises
    ------
    AirflowUnavailable
        Airflow's API is away; another try looks again.
    """
    run, instance = context["dag_run"], context["ti"]
    place = (run.dag_id, run.run_id, instance.task_id, -1 if instance.map_index is None else instance.map_index)
    for number in range(instance.try_number, 0, -1) if resumed or instance.try_number > 1 else ():
        found = ctx.airflow.find_answer(*place, number)
        if found is not None and found.get("subject") == subject and read_answer(found) is not None:
            return found
    return None


def read_answer(event: Any) -> Answered | None:
    """The answer in an event; None when nobody gave one, or it is not of the shape Airflow promises."""
    given = event if isinstance(event, Mapping) else {}
    person, choices, params = (given.get(key) for key in ("responded_by_user", "chosen_options", "params_input"))
    name = person.get("name") if isinstance(person, Mapping) else None
    if not name:
        return None
    choice = str(choices[0]) if isinstance(choices, list) and choices else ""
    return Answered(str(name), choice, params if isinstance(params, Mapping) else {})
