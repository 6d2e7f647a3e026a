"""The server of the PanDA sandbox: ``python -m sandbox.panda.server --port N``."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import urllib.parse
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from starlette.concurrency import run_in_threadpool

from sandbox.panda.api import job_calls, rare_calls, system_calls, task_changes, task_commands, task_reads
from sandbox.panda.api.arguments import ArgumentFault, bind_arguments
from sandbox.panda.api.auth import TokenChecker, auth_config
from sandbox.panda.api.calls import ENDPOINTS, Call
from sandbox.panda.api.connection import MortalProtocol, NoAnswer
from sandbox.panda.api.envelope import Refused, Reply, not_found_page, plain, render
from sandbox.panda.monitor import monitor
from sandbox.panda.settings import Settings, SettingsInvalid, read_settings
from sandbox.panda.store import read_switch, write_switch
from sandbox.panda.tables import open_database
from sandbox.panda.tasks.cycles import read_report
from sandbox.panda.trouble import scenario_routes
from sandbox.panda.trouble.faults import Faults, answer_with_faults, stay_away
from sandbox.panda.trouble.in_force import ScenarioInForce
from sandbox.panda.trouble.scenario import ScenarioFile, ScenarioInvalid
from sandbox.panda.trouble.unreadable import answer_as_read

log = logging.getLogger("sandbox.panda.server")

VERBS = ["GET", "POST", "PUT", "DELETE", "PATCH"]
MODULES = (task_reads, task_commands, task_changes, job_calls, rare_calls, system_calls)
"""Importing them fills the list of endpoints."""

_LARGEST_BODY = 64 * 1024 * 1024
_LOOPBACK = ("127.0.0.1", "::1")


def create_app(settings: Settings) -> FastAPI:
    """Return the application: API, auth configuration, monitor pages, and the sandbox's own switches."""
    app = FastAPI(title="PanDA sandbox", docs_url=None, redoc_url=None, openapi_url=None)
    engine = open_database(settings.database_url)
    app.state.settings, app.state.engine = settings, engine
    app.state.tokens = TokenChecker(settings)
    app.state.scenario = ScenarioInForce(engine, ScenarioFile(settings.scenario))
    app.state.faults = Faults(engine, app.state.scenario)
    app.include_router(monitor.router)
    app.include_router(scenario_routes.router)
    _add_own_routes(app)
    app.add_api_route("/api/v1/{module}/{method}", _call_api, methods=VERBS)
    for path in ("/api/{rest:path}", "/server/panda/{rest:path}"):
        app.add_api_route(path, _forbidden, methods=VERBS)
    app.add_api_route("/{rest:path}", _no_such_page, methods=VERBS)
    return app


def _add_own_routes(app: FastAPI) -> None:
    app.add_api_route("/auth/{name}_auth_config.json", _auth_config, methods=["GET"])
    app.add_api_route("/health", _health, methods=["GET"])
    app.add_api_route("/sandbox/jedi/{act}", _switch_jedi, methods=["POST"])


async def _call_api(module: str, method: str, request: Request) -> Response:
    body = await request.body() if request.method in ("POST", "PUT", "PATCH") else b""
    path = f"{module}/{method}"
    return await answer_with_faults(request, path, body, lambda: _work(request, path, body))


async def _work(request: Request, path: str, body: bytes) -> Response:
    try:
        reply = await run_in_threadpool(_answer, request, path, body)
    except Refused as error:
        return plain(error.text, error.status)
    except (DBAPIError, ScenarioInvalid) as error:
        log.error("%s: %s", path, " ".join(str(error).split())[:500])
        return plain(f"ERROR : {type(error).__name__}: the sandbox cannot work now, see its log", 500)
    if reply.drop:
        return NoAnswer(request)
    return render(reply, request.headers.get("accept", ""))


def _answer(request: Request, path: str, body: bytes) -> Reply:
    """Who calls, may they, with what; then the endpoint itself."""
    state = request.app.state
    identity = state.tokens.identify(request.headers.get("authorization"), request.headers.get("origin"))
    found = ENDPOINTS.get(path)
    if found is None:
        raise Refused(403, f"ERROR : method {path.rsplit('/', 1)[-1]} is forbidden")
    given, cast = _given(request, body, path)
    refusal = found.refusal(request.method, identity)
    if refusal:
        return Reply(False, refusal)
    try:
        arguments = bind_arguments(found.function, given, cast)
    except ArgumentFault as error:
        return Reply(False, str(error))
    call = Call(state.engine, state.settings, state.scenario, identity)
    return answer_as_read(call, path, arguments, lambda: found.function(call, **arguments))


def _given(request: Request, body: bytes, path: str) -> tuple[dict[str, Any], bool]:
    """Arguments as they came, and whether they are texts of a query."""
    if request.method not in ("POST", "PUT", "PATCH"):
        query = request.query_params
        return {key: query.getlist(key) for key in query}, True
    if len(body) > _LARGEST_BODY:
        raise Refused(413, "ERROR : the request is too large")
    if "json" not in request.headers.get("content-type", ""):
        return dict(urllib.parse.parse_qsl(body.decode(errors="replace"))), False
    try:
        given = json.loads(body)
    except ValueError as error:
        raise Refused(500, f"ERROR : received invalid JSON : {error}") from error
    if not isinstance(given, dict):
        name = f"pandaserver.api.v1.{path.replace('/', '_api.')}()"
        raise Refused(500, f"{name} argument after ** must be a mapping, not {type(given).__name__}")
    return given, False


async def _forbidden(request: Request) -> Response:
    """Answer what is no method of the API, the old API included."""
    parts = request.url.path.strip("/").split("/")
    method = parts[-1] if len(parts) > 3 or parts[0] == "server" else ""
    return plain(f"ERROR : method {method} is forbidden", 403)


async def _no_such_page() -> Response:
    return not_found_page()


async def _auth_config(name: str, request: Request) -> Response:
    config = auth_config(request.app.state.settings, name)
    return JSONResponse(config) if config else not_found_page()


def _health(request: Request) -> Response:
    """Whether the database answers, whether JEDI is paused, and what its cycles do."""
    try:
        with request.app.state.engine.connect() as connection:
            connection.execute(text("select 1"))
            paused = bool(read_switch(connection, "jedi_paused", False))
            jedi = read_report(connection)
    except DBAPIError as error:
        return JSONResponse({"ok": False, "error": type(error).__name__}, status_code=503)
    trouble = request.app.state.scenario.file.trouble
    about = {"ok": True, "jedi_paused": paused, "jedi": jedi}
    return JSONResponse(about | ({"scenario_trouble": trouble} if trouble else {}))


def _switch_jedi(act: str, request: Request) -> Response:
    """Pause or resume JEDI; only from this machine, and not from a page of another."""
    client = request.client.host if request.client else ""
    if client not in _LOOPBACK or request.headers.get("origin"):
        return JSONResponse({"ok": False, "error": "only from this machine"}, status_code=403)
    if act not in ("pause", "resume"):
        return JSONResponse({"ok": False, "error": f"pause or resume, not {act[:40]}"}, status_code=404)
    with request.app.state.engine.begin() as connection:
        write_switch(connection, "jedi_paused", act == "pause")
    return JSONResponse({"ok": True, "jedi_paused": act == "pause"})


def main() -> int:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser(description="PanDA sandbox server")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    stay_away()
    try:
        app = create_app(read_settings())
    except (SettingsInvalid, DBAPIError) as error:
        log.error("%s", error)
        return 1
    config = uvicorn.Config(
        app,
        host=arguments.host,
        port=arguments.port,
        http=MortalProtocol,
        log_level="warning",
        timeout_graceful_shutdown=5,
    )
    uvicorn.Server(config).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
