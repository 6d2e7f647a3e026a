"""Who answered on Airflow's page, with the role that policy.yaml gives to the roles this person has at Airflow."""

from __future__ import annotations

from prodsys.actions.core.context import Context


def acting_at_airflow(ctx: Context, person: str) -> Context:
    """Context of a person whom Airflow has let answer; without any role that is known here they may do nothing.

    That Airflow took the answer says little: its own roles `User` and `Op` may answer every question.

    Raises
    ------
    AirflowUnavailable, AirflowRefused
        Airflow does not tell the roles.
    """
    known = ctx.catalogue.policy.airflow_roles
    return ctx.acting_as(person, *(known[role] for role in ctx.airflow.list_roles(person) if role in known))
