"""The border to Rucio: the only module of the sandbox that imports its client."""

from __future__ import annotations

import itertools
import threading
import time
import urllib.parse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import requests
from rucio.client import Client
from rucio.common import exception as rucio_error
from sqlalchemy import Connection

from sandbox.panda.ask import ask_json
from sandbox.panda.jobs.catalogue import Addition, CatalogueFile, CatalogueRefused, CatalogueUnavailable
from sandbox.panda.settings import Settings, SettingsInvalid
from sandbox.panda.tasks.refine import scope_of

Result = TypeVar("Result")

_TIMEOUT_S = 30
_ATTACHMENT = 500
_TRANSIENT = (
    requests.RequestException,
    rucio_error.ServerConnectionException,
    rucio_error.CannotAuthenticate,
    rucio_error.NoAuthInformation,
    rucio_error.DatabaseException,
    rucio_error.ServiceUnavailable,
    OSError,
)


class ClientToken:
    """A client_credentials token of the sandbox itself, asked anew a minute before it ends."""

    def __init__(self, settings: Settings) -> None:
        if not settings.iam_issuer or settings.iam_client_secret_file is None:
            raise SettingsInvalid("adder rucio needs SANDBOX_PANDA_IAM_ISSUER and SANDBOX_PANDA_IAM_CLIENT_SECRET_FILE")
        self._issuer, self._client_id = settings.iam_issuer.rstrip("/"), settings.iam_client_id
        self._secret_file: Path = settings.iam_client_secret_file
        self._lock = threading.Lock()
        self._token, self._until = "", 0.0

    def __call__(self) -> str:
        """Return a token that is good for at least a minute.

        Raises
        ------
        CatalogueUnavailable
            The issuer does not answer.
        """
        with self._lock:
            if time.time() > self._until - 60:
                self._token, self._until = self._ask()
            return self._token

    def forget(self) -> None:
        """Ask for a new one next time."""
        self._until = 0.0

    def _ask(self) -> tuple[str, float]:
        secret = self._secret_file.read_text(encoding="utf-8").strip()
        form = {
            "grant_type": "client_credentials",
            "client_id": self._client_id,
            "client_secret": secret,
            "scope": "openid wlcg",
            "audience": "rucio",
        }
        try:
            endpoint = str(ask_json(f"{self._issuer}/.well-known/openid-configuration", _TIMEOUT_S)["token_endpoint"])
            answer = ask_json(endpoint, _TIMEOUT_S, urllib.parse.urlencode(form).encode())
            return str(answer["access_token"]), time.time() + float(answer.get("expires_in", 600))
        except (OSError, ValueError, KeyError) as error:
            raise CatalogueUnavailable(f"no token for Rucio from {self._issuer}: {error}") from error


class _TokenClient(Client):
    """Rucio's client with a token from a callable: never reads or writes a token file, never asks a person."""

    def __init__(self, provider: Callable[[], str], **arguments: Any) -> None:
        self._provider = provider
        super().__init__(auth_type="oidc", creds={}, **arguments)

    def _take_token(self) -> None:
        self.auth_token = self._provider()
        self.headers["X-Rucio-Auth-Token"] = self.auth_token

    def _BaseClient__authenticate(self) -> None:
        self._take_token()

    def _BaseClient__get_token(self) -> None:
        self._take_token()


class RucioCatalogue:
    """Datasets and files in Rucio, as PanDA's adder and task setupper leave them there, when there is an adder."""

    def __init__(self, settings: Settings) -> None:
        if not settings.rucio_url:
            raise SettingsInvalid("adder rucio needs SANDBOX_PANDA_RUCIO_URL")
        self._settings = settings
        self.registers = settings.adder == "rucio"
        self._token = ClientToken(settings)
        self._local = threading.local()

    def knows(self, connection: Connection, dataset: str) -> bool:  # noqa: ARG002 - of the protocol
        """Whether Rucio knows the dataset or container."""
        scope, name = scope_of(dataset)
        try:
            self._ask(lambda client: client.get_did(scope=scope, name=name))
        except CatalogueRefused as error:
            if isinstance(error.__cause__, (rucio_error.DataIdentifierNotFound, rucio_error.ScopeNotFound)):
                return False
            raise
        return True

    def is_open(self, connection: Connection, dataset: str) -> bool:  # noqa: ARG002
        """Whether Rucio lets files into the dataset or container."""
        scope, name = scope_of(dataset)
        return bool(self._ask(lambda client: client.get_did(scope=scope, name=name)).get("open"))

    def list_files(self, connection: Connection, dataset: str) -> list[CatalogueFile]:  # noqa: ARG002
        """Return the files of a dataset in the order of their names."""
        scope, name = scope_of(dataset)
        found = self._ask(lambda client: list(client.list_files(scope=scope, name=name)))
        files = [
            CatalogueFile(one["scope"], one["name"], one["bytes"], one["adler32"], one.get("guid"), one.get("events"))
            for one in found
        ]
        return sorted(files, key=lambda one: one.name)

    def has_storage(self, name: str) -> bool:
        """Whether Rucio has the storage."""
        try:
            self._ask(lambda client: client.get_rse(name))
        except CatalogueRefused as error:
            if isinstance(error.__cause__, (rucio_error.RSENotFound, rucio_error.InvalidObject)):
                return False
            raise
        return True

    def storage_fault(self, destination: str) -> str | None:  # noqa: ARG002
        """Nobody looks."""
        return None

    def ensure_dataset(self, dataset: str) -> None:
        """Make the dataset if Rucio does not know it."""
        scope, name = scope_of(dataset)
        try:
            self._ask(lambda client: client.add_dataset(scope=scope, name=name))
        except CatalogueRefused as error:
            if not isinstance(error.__cause__, rucio_error.DataIdentifierAlreadyExists):
                raise

    def add_files(self, additions: Sequence[Addition]) -> None:
        """Register files in their datasets in one transaction; sizes and checksums of known files are compared."""
        attachments = []
        for (dataset, rse), some in itertools.groupby(
            sorted(additions, key=lambda one: (one.dataset, one.rse)), key=lambda one: (one.dataset, one.rse)
        ):
            scope, name = scope_of(dataset)
            dids = [{"scope": scope, "name": one.name, "bytes": one.size, "adler32": one.adler32} for one in some]
            for start in range(0, len(dids), _ATTACHMENT):
                part = dids[start : start + _ATTACHMENT]
                attachments.append({"scope": scope, "name": name, "rse": rse, "dids": part})
        if attachments:
            self._ask(lambda client: client.add_files_to_datasets(attachments, ignore_duplicate=True))

    def close_dataset(self, dataset: str) -> None:
        """Freeze the dataset."""
        scope, name = scope_of(dataset)
        if self._ask(lambda client: client.get_did(scope=scope, name=name)).get("open"):
            self._ask(lambda client: client.set_status(scope=scope, name=name, open=False))

    def _client(self) -> Client:
        """Return this thread's client."""
        if not hasattr(self._local, "client"):
            self._local.client = _TokenClient(
                self._token,
                rucio_host=self._settings.rucio_url,
                auth_host=self._settings.rucio_url,
                account=self._settings.rucio_account,
                timeout=_TIMEOUT_S,
            )
        return self._local.client

    def _ask(self, act: Callable[[Client], Result]) -> Result:
        """One call, its errors in our words: `CatalogueUnavailable` or `CatalogueRefused`."""
        try:
            return act(self._client())
        except _TRANSIENT as error:
            self._token.forget()
            self._local.__dict__.pop("client", None)
            raise CatalogueUnavailable(f"Rucio at {self._settings.rucio_url}: {_short(error)}") from error
        except rucio_error.RucioException as error:
            if type(error) is rucio_error.RucioException:  # no kind of its own: an inner error of the server
                raise CatalogueUnavailable(f"Rucio at {self._settings.rucio_url}: {_short(error)}") from error
            raise CatalogueRefused(f"{type(error).__name__}: {_short(error)}") from error


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
