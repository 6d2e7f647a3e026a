"""What the hooks read from an Airflow connection; what it does not say comes from the settings and the profile."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from airflow.sdk import BaseHook, Connection

from prodsys.errors import SettingMissing
from prodsys.iam.tokens import ClientCredentials
from prodsys.intake.catalogue import load_catalogue
from prodsys.model.specs import ProfileSpec
from prodsys.settings import Settings, read_settings


class ServiceHook(BaseHook):
    """A service behind the IAM.

    Host is the address with its scheme (or scheme, host and port apart), login and password are client id and secret of
    the robot at the IAM; the extra fields are those of the form.
    """

    conn_id: str

    @cached_property
    def connection(self) -> Connection:
        """The Airflow connection."""
        return self.get_connection(self.conn_id)

    @cached_property
    def settings(self) -> Settings:
        """Settings of this process."""
        return read_settings()

    @cached_property
    def profile(self) -> ProfileSpec:
        """Profile of this deployment."""
        return load_catalogue(self.settings.specs, self.settings.profile).profile

    @property
    def url(self) -> str:
        """Address of the service."""
        host, port = self.connection.host or "", self.connection.port
        if not host:
            raise SettingMissing(f"connection {self.conn_id}", "put the address of the service into its host")
        if "://" in host:
            return host.rstrip("/") + (f":{port}" if port else "")
        return f"{self.connection.schema or 'https'}://{host}" + (f":{port}" if port else "")

    @property
    def timeout_s(self) -> float:
        """Longest wait for one answer [s]."""
        return float(self.field_value("timeout_s") or self.profile.times.call_timeout_s)

    def field_value(self, name: str) -> str:
        """Value of an extra field, "" when it is empty."""
        value: Any = self.connection.extra_dejson.get(name)
        return "" if value is None else str(value)

    def tokens(self, audience: str) -> ClientCredentials:
        """Tokens of the connection's robot."""
        return ClientCredentials(
            issuer=self.field_value("issuer") or self.settings.need("IAM_ISSUER"),
            client_id=self.connection.login or self.settings.need("IAM_CLIENT_ID"),
            secret=self.connection.password or self.settings.secret("IAM_CLIENT_SECRET"),
            audience=self.field_value("audience") or audience,
            timeout_s=self.timeout_s,
            margin_s=self.profile.times.token_margin_s,
        )


def behaviour_of(declared: dict[str, Any]) -> dict[str, Any]:
    """Look of a connection form as the hook's method gives it, from the provider's declaration."""
    return {key.replace("-", "_"): value for key, value in declared.items()}
