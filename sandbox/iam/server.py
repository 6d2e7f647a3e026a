"""The issuer as a web application: ``python -m sandbox.iam.server --port N --secrets FOLDER``.

Discovery, keys, the token endpoint (``client_credentials``), introspection and userinfo, as INDIGO IAM serves them.
What a person needs to log in comes with its own issue.
"""

from __future__ import annotations

import argparse
import base64
import binascii
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from sandbox.iam.clients import Client, ClientFile
from sandbox.iam.keys import Signer, ensure_key

CLIENTS_FILE = "iam-clients.json"
KEY_FILE = "iam-key.pem"
NO_STORE = {"Cache-Control": "no-store"}
Answer = tuple[dict[str, Any], int]


class Issuer:
    """The endpoints over one signer and one file of clients."""

    def __init__(self, signer: Signer, clients: ClientFile) -> None:
        self._signer, self._clients = signer, clients

    def routes(self) -> list[Route]:
        """Return all addresses; a GET changes nothing."""
        return [
            Route("/.well-known/openid-configuration", self.discovery),
            Route("/jwk", self.keys),
            Route("/token", self.token, methods=["POST"]),
            Route("/introspect", self.introspection, methods=["POST"]),
            Route("/userinfo", self.userinfo),
            Route("/health", self.health),
        ]

    async def discovery(self, _: Request) -> JSONResponse:
        """What this issuer offers, and where."""
        return JSONResponse(discovery_document(self._signer.issuer))

    async def keys(self, _: Request) -> JSONResponse:
        """Public keys."""
        return JSONResponse(self._signer.public_keys())

    async def health(self, _: Request) -> JSONResponse:
        """Whether it can sign: the answer is never from memory."""
        sound = self._signer.read(self._signer.sign({"sub": "health"}, 60)) is not None
        return JSONResponse({"status": "healthy" if sound else "broken"}, 200 if sound else 500)

    async def token(self, request: Request) -> JSONResponse:
        """Token for a client that proved who it is."""
        form = await request.form()
        client_id, client = self._caller(request, form)
        if client is None:
            answer: Answer = _refusal("invalid_client", "unknown client or wrong secret", 401)
        elif form.get("grant_type") != "client_credentials":
            answer = _refusal("unsupported_grant_type", "only client_credentials is served here", 400)
        else:
            answer = self._grant(client_id, client, form)
        return JSONResponse(*answer, headers=NO_STORE)

    async def introspection(self, request: Request) -> JSONResponse:
        """Claims of a token, for any client."""
        form = await request.form()
        if self._caller(request, form)[1] is None:
            return JSONResponse(*_refusal("invalid_client", "unknown client or wrong secret", 401), headers=NO_STORE)
        claims = self._signer.read(_text(form, "token"))
        return JSONResponse({"active": False} if claims is None else {"active": True, **claims}, headers=NO_STORE)

    async def userinfo(self, request: Request) -> JSONResponse:
        """Return who the bearer of a token is."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        claims = self._signer.read(token) if scheme.lower() == "bearer" else None
        if claims is None:
            return JSONResponse(*_refusal("invalid_token", "no valid bearer token", 401), headers=NO_STORE)
        known = ("sub", "name", "preferred_username", "groups", "wlcg.groups")
        return JSONResponse({name: claims[name] for name in known if name in claims}, headers=NO_STORE)

    def _caller(self, request: Request, form: FormData) -> tuple[str, Client | None]:
        client_id, secret = _basic(request) or (_text(form, "client_id"), _text(form, "client_secret"))
        return client_id, self._clients.authenticate(client_id, secret)

    def _grant(self, client_id: str, client: Client, form: FormData) -> Answer:
        scopes = tuple(_text(form, "scope").split()) or client.scopes
        excess = sorted(set(scopes) - set(client.scopes))
        if excess:
            return _refusal("invalid_scope", f"{client_id} may not have {' '.join(excess)}", 400)
        audiences = _audiences(form) or client.audiences
        claims = {
            "sub": client_id,
            "client_id": client_id,
            "name": client.name,
            "preferred_username": client_id,
            "scope": " ".join(scopes),
            "aud": audiences[0] if len(audiences) == 1 else list(audiences),
            "groups": list(client.groups),
            "wlcg.groups": [f"/{group}" for group in client.groups],
            "wlcg.ver": "1.0",
        }
        token = self._signer.sign(claims, client.lifetime_s)
        seconds = client.lifetime_s
        return {"access_token": token, "token_type": "Bearer", "expires_in": seconds, "scope": " ".join(scopes)}, 200


def discovery_document(issuer: str) -> dict[str, Any]:
    """What the issuer offers (OpenID Connect discovery 1.0); readers insist on an authorization endpoint."""
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}authorize",
        "token_endpoint": f"{issuer}token",
        "jwks_uri": f"{issuer}jwk",
        "introspection_endpoint": f"{issuer}introspect",
        "userinfo_endpoint": f"{issuer}userinfo",
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "profile", "wlcg", "offline_access"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "scope", "name", "groups", "wlcg.groups"],
    }


def create_app(secrets: Path, issuer: str) -> Starlette:
    """Application over the key and the clients in a folder.

    Parameters
    ----------
    secrets : Path
        Holds ``iam-key.pem`` (made when absent) and ``iam-clients.json``.
    issuer : str
        Its own address, with a slash at the end.
    """
    signer = Signer(ensure_key(secrets / KEY_FILE), issuer)
    return Starlette(routes=Issuer(signer, ClientFile(secrets / CLIENTS_FILE)).routes())


def _audiences(form: FormData) -> tuple[str, ...]:
    asked = [word for name in ("audience", "resource") for value in form.getlist(name) for word in str(value).split()]
    return tuple(dict.fromkeys(asked))


def _basic(request: Request) -> tuple[str, str] | None:
    scheme, _, coded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _, secret = base64.b64decode(coded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return unquote(name), unquote(secret)


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


def _refusal(error: str, description: str, status: int) -> Answer:
    return {"error": error, "error_description": description}, status


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--secrets", type=Path, required=True, help="folder with iam-clients.json and iam-key.pem")
    arguments = parser.parse_args()
    app = create_app(arguments.secrets, f"http://127.0.0.1:{arguments.port}/")
    uvicorn.run(app, host="127.0.0.1", port=arguments.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
