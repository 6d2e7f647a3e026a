"""Tokens, experiments and roles, refused with the words of the real server (recording ``auth``)."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt

from sandbox.panda.api.envelope import Refused
from sandbox.panda.ask import ask_json
from sandbox.panda.settings import Settings

_KEY_TIMEOUT_S = 10.0
_KEY_REFRESH_S = 10.0


@dataclass(frozen=True)
class Identity:
    """Who a token speaks for, and with which role."""

    name: str
    production: bool
    vo: str

    @property
    def dn(self) -> str:
        """Name as PanDA writes it in the place of a certificate's subject."""
        return f"{self.name}/CN=nickname:{self.name}"

    @property
    def fqans(self) -> list[str]:
        """Roles in the old spelling."""
        return [f"/{self.vo}/Role=production"] if self.production else []


class Keys:
    """Keys of the issuer, read from a file or asked over HTTP, asked again when a key is unknown."""

    def __init__(self, source: str, issuer: str) -> None:
        self._source, self._issuer = source, issuer
        self._keys: dict[str, jwt.PyJWK] = {}
        self._read_at = 0.0
        self._lock = threading.Lock()

    def get(self, key_id: str) -> Any:
        """Return the key with this id.

        Raises
        ------
        KeyError
            The issuer does not know it.
        """
        with self._lock:
            if key_id not in self._keys and time.monotonic() - self._read_at > _KEY_REFRESH_S:
                self._keys = self._read()
                self._read_at = time.monotonic()
            return self._keys[key_id].key

    def _read(self) -> dict[str, jwt.PyJWK]:
        source = self._source or str(_load(self._issuer.rstrip("/") + "/.well-known/openid-configuration")["jwks_uri"])
        return {str(row.get("kid", "")): jwt.PyJWK.from_dict(row) for row in _load(source)["keys"]}


def _load(source: str) -> dict[str, Any]:
    if not source.startswith(("http://", "https://")):
        return json.loads(Path(source).read_text(encoding="utf-8"))
    return ask_json(source, _KEY_TIMEOUT_S)


class TokenChecker:
    """Turns the two headers of a call into an identity; a good verdict is kept for ten minutes, as PanDA keeps it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._keys = Keys(settings.jwks, settings.iam_issuer)
        self._verdicts: dict[str, tuple[float, Identity]] = {}

    def identify(self, authorization: str | None, origin: str | None) -> Identity | None:
        """Identity behind a call; None without a token.

        Raises
        ------
        Refused
            403 with the reason: bad token, unknown experiment, missing group.
        """
        if not authorization:
            return None
        token = authorization.split(" ", 1)[-1].strip()
        if origin is None:
            raise _failed("Token decode failure. 'NoneType' object has no attribute 'replace'")
        role = self._role(origin)
        key = hashlib.sha256(f"{origin}\n{token}".encode()).hexdigest()
        kept = self._verdicts.get(key)
        if kept and time.monotonic() - kept[0] < self._settings.token_cache_s:
            return kept[1]
        identity = self._judge(token, role)
        self._remember(key, identity)
        return identity

    def _role(self, origin: str) -> str:
        vo, dotted = self._settings.vo, origin.replace(":", ".")
        if dotted == vo:
            return ""
        if dotted == f"{vo}.production":
            return "production"
        raise _failed(f"Unknown vo : {origin}")

    def _judge(self, token: str, role: str) -> Identity:
        claims = self._claims(token)
        if role and self._settings.production_group not in _groups(claims):
            raise _failed(f"Not a member of the {self._settings.production_group} group")
        name = str(claims.get("name") or claims.get("sub") or "")
        return Identity(name=name, production=role == "production", vo=self._settings.vo)

    def _claims(self, token: str) -> dict[str, Any]:
        try:
            unverified = jwt.decode(token, options={"verify_signature": False})
            audience = unverified.get("aud", [])
            if self._settings.audience not in ([audience] if isinstance(audience, str) else audience):
                raise jwt.InvalidTokenError("cannot extract client_id from token")
            header = jwt.get_unverified_header(token)
            key = self._keys.get(str(header.get("kid", "")))
            return jwt.decode(
                token,
                key,
                algorithms=["RS256", "ES256"],
                audience=self._settings.audience,
                issuer=_spellings(self._settings.iam_issuer),
                options={"require": ["exp"]},
            )
        except jwt.PyJWTError as error:
            raise _failed(f"Invalid token. {error}") from error
        except KeyError as error:
            raise _failed(f"Invalid token. unknown key {error}") from error
        except (OSError, ValueError) as error:
            raise _failed(f"Token decode failure. {error}") from error

    def _remember(self, key: str, identity: Identity) -> None:
        now = time.monotonic()
        if len(self._verdicts) > 5000:
            limit = now - self._settings.token_cache_s
            self._verdicts = {name: entry for name, entry in self._verdicts.items() if entry[0] > limit}
        self._verdicts[key] = (now, identity)


def _spellings(issuer: str) -> list[str] | None:
    return [issuer.rstrip("/"), issuer.rstrip("/") + "/"] if issuer else None


def _groups(claims: dict[str, Any]) -> list[str]:
    groups = claims.get("groups") or claims.get("wlcg.groups") or []
    return [str(group).lstrip("/") for group in groups]


def _failed(reason: str) -> Refused:
    return Refused(403, f"ERROR : Token authentication failed. {reason}")


def auth_config(settings: Settings, name: str) -> dict[str, str] | None:
    """Return what ``/auth/<name>_auth_config.json`` tells a client about the issuer, or None for an unknown name."""
    if name.replace(":", ".") not in (settings.vo, f"{settings.vo}.production"):
        return None
    return {
        "client_secret": "secret",
        "audience": settings.audience,
        "client_id": settings.audience,
        "oidc_config_url": settings.iam_issuer.rstrip("/") + "/.well-known/openid-configuration",
        "vo": name,
        "no_verify": "True",
        "robot_ids": "NONE",
    }
