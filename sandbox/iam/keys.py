"""The key that signs tokens; kept, so that tokens stay valid over a restart."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

KEY_BITS = 2048
ALGORITHM = "RS256"


def ensure_key(path: Path) -> RSAKey:
    """Key of the file; made (mode 0600) when the file is absent."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_bytes(RSAKey.generate_key(KEY_BITS).as_pem(private=True))
    return RSAKey.import_key(path.read_bytes())


class Signer:
    """Signs and reads the tokens of one issuer."""

    def __init__(self, key: RSAKey, issuer: str) -> None:
        self.issuer = issuer
        self._key = key
        self._key_id = key.thumbprint()
        self._claims = jwt.JWTClaimsRegistry(iss={"essential": True, "value": issuer}, exp={"essential": True})

    def public_keys(self) -> dict[str, list[dict[str, Any]]]:
        """Return the key set (JWKS) with which others check tokens."""
        return {"keys": [{**self._key.as_dict(private=False), "kid": self._key_id, "use": "sig", "alg": ALGORITHM}]}

    def sign(self, claims: Mapping[str, Any], lifetime_s: int) -> str:
        """Token with these claims, valid from now for ``lifetime_s`` seconds."""
        now = int(time.time())
        times = {"iat": now, "nbf": now, "exp": now + lifetime_s}
        body = {"iss": self.issuer, "jti": str(uuid.uuid4()), **times, **claims}
        return jwt.encode({"alg": ALGORITHM, "kid": self._key_id, "typ": "at+jwt"}, body, self._key)

    def read(self, token: str) -> dict[str, Any] | None:
        """Claims of a token that is ours and still valid, else None."""
        try:
            decoded = jwt.decode(token, self._key, algorithms=[ALGORITHM])
            self._claims.validate(decoded.claims)
        except (JoseError, ValueError):
            return None
        return dict(decoded.claims)
