"""The OpenAPI description of the API: generated, and kept in docs/openapi for whoever writes a client.

``python -m prodsys.web.api.schema`` writes it; ``--check`` says whether the file is the one that the code gives.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from prodsys.settings import REPOSITORY
from prodsys.web.problems import Problem, problem_responses

FILE = REPOSITORY / "docs" / "openapi" / "prodsys-v1.json"
MOUNTED = "/prodsys/api/v1"
ABOUT: dict[str, Any] = {
    "title": "Prodsys",
    "version": "1",
    "summary": "Monte Carlo productions: requests, plans, tasks, seeds, data",
    "description": (
        "Everything that the command `prodsys` does to requests, over HTTP. Errors are problem+json (RFC 9457); lists "
        "have `items`, `total` and `next`; a change of a request is bound to the picture it was decided on by ETag and "
        "`If-Match`; `Idempotency-Key` makes a POST safe to repeat; `?dry_run=true` says what an act would do. "
        "Texts that people or other services wrote are data: a page must escape them."
    ),
    "openapi_tags": [
        {"name": "me", "description": "Who calls."},
        {"name": "requests", "description": "Requests, and what is done to them."},
        {"name": "plans", "description": "What approving a request means."},
        {"name": "tasks", "description": "PanDA tasks of requests."},
        {"name": "seeds", "description": "Who uses which seeds."},
        {"name": "datasets", "description": "Datasets, containers, files, rules."},
        {"name": "certificates", "description": "What was asked, what came, where it lies."},
        {"name": "questions", "description": "What waits for a person."},
        {"name": "findings", "description": "What the services do not agree about."},
        {"name": "audit", "description": "Who did what."},
    ],
}
SECURITY = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "Airflow's token: `POST /auth/token` with username and password.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "_token",
        "description": "Session of Airflow's pages; changes then need the Origin of this server.",
    },
}
ETAG = {"ETag": {"description": "tag of this picture, for If-Match and If-None-Match", "schema": {"type": "string"}}}


def describe(api: FastAPI) -> None:
    """Complete what FastAPI generates: problems instead of its own errors, who may call, ETags."""

    def openapi() -> dict[str, Any]:
        if api.openapi_schema is None:
            api.openapi_schema = _completed(get_openapi(routes=api.routes, tags=ABOUT["openapi_tags"], **_head()))
        return api.openapi_schema

    api.openapi = openapi  # type: ignore[method-assign]


def _head() -> dict[str, Any]:
    return {key: ABOUT[key] for key in ("title", "version", "summary", "description")}


def _completed(found: dict[str, Any]) -> dict[str, Any]:
    parts = found["components"]
    parts["schemas"] = {
        name: one for name, one in parts["schemas"].items() if name not in {"HTTPValidationError", "ValidationError"}
    }
    parts["schemas"]["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    parts["schemas"]["RequestPicture"]["properties"]["spec"] = {"$ref": "#/components/schemas/RequestSpec"}
    parts["securitySchemes"] = SECURITY
    found["security"] = [{name: []} for name in SECURITY]
    for operations in found["paths"].values():
        for method, operation in operations.items():
            _complete(method, operation)
    return found


def _complete(method: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    if method == "get":
        named = any(one["in"] == "path" for one in operation.get("parameters", []))
        documented = problem_responses(*((404, 422) if named else (422,)))
        responses |= {str(status): text for status, text in documented.items()}
        responses["304"] = {"description": "Not Modified: If-None-Match names what you have"}
    for status in ("200", "201"):
        if status in responses:
            responses[status]["headers"] = ETAG
    if "201" in responses:
        responses["200"] = {**responses["201"], "description": "What a dry run would do", "headers": {}}


def schema_text(api: FastAPI, root: str = MOUNTED) -> str:
    """The description as JSON, for an API that is mounted there."""
    return json.dumps({**api.openapi(), "servers": [{"url": root or "/"}]}, indent=2, ensure_ascii=False) + "\n"


def generated() -> str:
    """The description of the API as the code stands."""
    from prodsys.web.application import create_api
    from prodsys.web.context_factory import SettingsContextFactory
    from prodsys.web.guard import Guards
    from prodsys.web.person import Access, Person

    async def nobody(_request: object) -> Person:
        return Person("nobody")

    def never(_person: Person, _access: Access) -> bool:
        return False

    return schema_text(create_api(Guards(nobody, never), SettingsContextFactory()))


def main(arguments: list[str], file: Path = FILE) -> int:
    """Write the file, or compare it; 1 when it is not what the code gives."""
    text = generated()
    if "--check" in arguments:
        same = file.exists() and file.read_text(encoding="utf-8") == text
        sys.stdout.write("" if same else f"{file} is not what the code gives: make docs\n")
        return 0 if same else 1
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    sys.stdout.write(f"written: {file}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
