"""The FastAPI application that Airflow's API server mounts: the API under ``/api/v1``; pages come with their issue."""

from __future__ import annotations

from fastapi import Depends, FastAPI, Request
from starlette.responses import Response

from prodsys.web.api import command_routes, finding_routes, read_routes
from prodsys.web.api.parameters import known_query
from prodsys.web.api.replies import JSON
from prodsys.web.api.schema import ABOUT, describe, schema_text
from prodsys.web.context_factory import ContextFactory, SettingsContextFactory
from prodsys.web.guard import Gate, Guards
from prodsys.web.person import CurrentUser, May
from prodsys.web.problems import install

API = "/api/v1"


def create_app(
    current_user: CurrentUser, may: May, *, origins: tuple[str, ...] = (), make_context: ContextFactory | None = None
) -> FastAPI:
    """The application, to be mounted under ``/prodsys``.

    Parameters
    ----------
    current_user
        Who calls; raises `NotAuthenticated`.
    may
        Whether Airflow lets a person look; asked in a thread.
    origins
        Addresses whose pages may change something; (): the address that the call came to.
    make_context
        Context of a person; default: from the settings of this process, read when the first call comes.
    """
    app = FastAPI(title="Prodsys", docs_url=None, redoc_url=None, openapi_url=None)
    install(app)
    guards = Guards(current_user, may, origins)
    app.mount(API, create_api(guards, make_context or SettingsContextFactory()))
    app.add_middleware(Gate, guards=guards)
    return app


def create_api(guards: Guards, make_context: ContextFactory) -> FastAPI:
    """The API; the gate stands around the application that mounts it."""
    api = FastAPI(**ABOUT, dependencies=[Depends(known_query)], docs_url=None, redoc_url=None, openapi_url=None)
    api.state.guards, api.state.make_context, api.state.slots = guards, make_context, command_routes.Slots()
    api.include_router(read_routes.router)
    api.include_router(finding_routes.router)
    api.include_router(command_routes.make_router())
    describe(api)

    @api.get("/openapi.json", include_in_schema=False)
    def openapi(request: Request) -> Response:
        return Response(schema_text(api, request.scope.get("root_path", "")), media_type=JSON)

    install(api)
    return api
