"""The one file of this repository that Airflow scans for plugins: it tells Airflow what to show."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from airflow.plugins_manager import AirflowPlugin

from prodsys.hooks.forks import children_die_with_us
from prodsys.hooks.links import PandaTaskLink
from prodsys.hooks.warm import warm_up

if TYPE_CHECKING:
    from starlette.requests import Request

    from prodsys.web.person import Access, Person


async def current_user(request: Request) -> Person:
    """Who calls, as Airflow's own API tells it: by bearer token, else by the session of its pages.

    Raises
    ------
    NotAuthenticated
        No credential, or one that Airflow does not take.
    """
    from airflow.api_fastapi.core_api.security import bearer_scheme, get_user
    from fastapi import HTTPException

    from prodsys.web.person import Person
    from prodsys.web.refusals import NotAuthenticated

    try:
        user = await get_user(request, None, await bearer_scheme(request))
    except HTTPException as error:
        raise NotAuthenticated(str(error.detail)) from error
    return Person(user.get_name(), role_names(user), user)


def role_names(user: object) -> frozenset[str]:
    """Names of the roles that an auth manager gives a user: FAB's are objects in `roles`, others have one `role`."""
    given = getattr(user, "roles", None) or [getattr(user, "role", None)]
    return frozenset(str(getattr(one, "name", one)) for one in given if one)


def may(person: Person, access: Access) -> bool:
    """Whether Airflow lets a person see DAGs, or its audit log."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity

    from prodsys.web.person import Access

    entity = DagAccessEntity.AUDIT_LOG if access is Access.AUDIT else None
    manager: Any = get_auth_manager()
    return bool(manager.is_authorized_dag(method="GET", access_entity=entity, user=person.subject))


@cache
def _panel() -> list[dict[str, Any]]:
    from airflow.configuration import conf

    from prodsys.web.application import create_app

    base_url = conf.get("api", "base_url", fallback="")
    app = create_app(current_user, may, origins=(base_url,) if "://" in base_url else ())
    return [{"app": app, "url_prefix": "/prodsys", "name": "prodsys"}]


class _WhenAsked:
    """The application, made when the API server asks for it: scheduler, workers and triggerer never import it."""

    def __get__(self, _plugin: object, _owner: type | None = None) -> list[dict[str, Any]]:
        return _panel()


class ProdsysPlugin(AirflowPlugin):
    """Links from airflow tasks to PanDA; REST under ``/prodsys/api/v1``."""

    name = "prodsys"
    operator_extra_links = [PandaTaskLink()]  # noqa: RUF012 - Airflow's own form
    fastapi_apps: Any = _WhenAsked()

    @classmethod
    def on_load(cls, *args: Any, **kwargs: Any) -> None:  # noqa: ARG003
        """Import once, before airflow tasks are forked, what each of them needs; and let none outlive its scheduler."""
        warm_up()
        children_die_with_us()
