"""Tokens of a small issuer made for a test: one key, its JWKS in a file, claims as the sandbox's IAM writes them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

ISSUER = "http://127.0.0.1:1/"


class Issuer:
    """Signs tokens; the sandbox reads its public key from `jwks`."""

    def __init__(self, folder: Path) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        row = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key()))
        self.jwks = folder / "jwks.json"
        self.jwks.write_text(json.dumps({"keys": [{**row, "kid": "test", "alg": "RS256", "use": "sig"}]}))

    def token(self, name: str = "prodmgr", *, production: bool = True, **claims: Any) -> str:
        """Token of a user; further claims replace the usual ones."""
        now = int(time.time())
        body = {
            "iss": ISSUER,
            "sub": name,
            "name": name,
            "aud": ["panda", "rucio"],
            "scope": "openid wlcg",
            "groups": ["spd", "spd/production"] if production else ["spd"],
            "iat": now,
            "exp": now + 3600,
            "jti": f"{name}-{now}-{time.monotonic_ns()}",
            **claims,
        }
        return jwt.encode(body, self._key, algorithm="RS256", headers={"kid": "test"})
