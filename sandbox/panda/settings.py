"""Settings of the PanDA sandbox: everything comes from the environment, nothing is typed twice.

====================================== ===================================================================
SANDBOX_PANDA_DATABASE_URL             SQLAlchemy URL of the database, ``postgresql+psycopg://panda:...``
SANDBOX_PANDA_SPEED                    divides the recorded rhythms (1 = as recorded; default 1)
SANDBOX_PANDA_ADDER                    ``rucio`` (default) or ``none``
SANDBOX_PANDA_REFINER                  ``keep`` (default): outputs get the names asked for; ``stock``: ``NAME.<id>``
SANDBOX_PANDA_DDM                      ``lenient`` (default); ``stock``: destinations are storages, inputs need GUIDs
SANDBOX_PANDA_SITES                    YAML file of the queues (see `load_sites`); unset: SPD_JINR, SPD_PNPI
SANDBOX_PANDA_RSE_ROOT                 folder with one folder per RSE
SANDBOX_PANDA_WORK                     scratch folder of the jobs
SANDBOX_PANDA_SCENARIO                 YAML scenario, read again whenever it changes; unset: nothing goes wrong
SANDBOX_PANDA_JOBS                     ``process`` (default) or ``simulated``: jobs without processes, for scale
SANDBOX_PANDA_RHYTHMS                  YAML file that replaces single recorded rhythms [s]; optional
SANDBOX_PANDA_REFINERS                 refiners that work side by side (default 1; with 2 two twins may both live)
SANDBOX_PANDA_ATTEMPT_SUFFIX           ``true``: files keep their slot's number and get ``.1``, ``.2`` by attempt
SANDBOX_PANDA_MAX_QUEUED_JOBS          jobs that may wait at a queue before tasks are throttled (default 0: no limit)
SANDBOX_PANDA_STOMP_PORT               port of the message server (STOMP); unset: no messages are written
SANDBOX_PANDA_STOMP_HOST               address it listens at (default 127.0.0.1)
SANDBOX_PANDA_STOMP_TOPIC              destination of the messages (default ``/topic/panda_idds``)
SANDBOX_PANDA_STOMP_LOGIN              login of listeners; unset: everybody may listen
SANDBOX_PANDA_STOMP_PASSCODE_FILE      file with their passcode
SANDBOX_PANDA_STOMP_KEEP               messages that stay in the database after they were pushed (default 10000)
SANDBOX_PANDA_VO                       name of the experiment (default ``spd``)
SANDBOX_PANDA_ROLE_GROUP               group that gives the production role (default ``<vo>/production``)
SANDBOX_PANDA_AUDIENCE                 audience a token must carry (default ``panda``)
SANDBOX_PANDA_IAM_ISSUER               address of the token issuer
SANDBOX_PANDA_JWKS                     address or file of the issuer's keys; unset: asked from the issuer
SANDBOX_PANDA_TOKEN_CACHE_S            how long a verdict on a token is kept [s] (default 600, as the real one)
SANDBOX_PANDA_IAM_CLIENT_ID            client of the sandbox at the issuer, for Rucio (default ``panda``)
SANDBOX_PANDA_IAM_CLIENT_SECRET_FILE   file with that client's secret
SANDBOX_PANDA_RUCIO_URL                address of the Rucio server (adder ``rucio``)
SANDBOX_PANDA_RUCIO_ACCOUNT            Rucio account (default ``production``)
SANDBOX_PANDA_URL                      address people reach the server at (links in messages); optional
====================================== ===================================================================

The two processes are ``python -m sandbox.panda.server --port N`` and ``python -m sandbox.panda.jedi``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from prodsys.errors import FileUnreadable
from prodsys.intake.yaml_file import load_yaml
from prodsys.model.written_numbers import check_number_field

PREFIX = "SANDBOX_PANDA_"
JobKind = Literal["process", "simulated"]


class SettingsInvalid(Exception):
    """A setting of the sandbox is missing or cannot be used; the text names it."""


class Site(BaseModel):
    """One PanDA queue of the sandbox and the storage its jobs write to."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    _numbers = field_validator("*", mode="before")(check_number_field)

    name: str
    rse: str
    folder: Path | None = Field(default=None, description="folder of the RSE; default <RSE root>/<rse>")
    slots: int = Field(default=4, gt=0, description="jobs that run at the same time")
    jobs: JobKind = Field(default="process", description="real processes, or drawn from history; default: the setting")
    cloud: str = Field(default="", description="cloud of the queue; empty: it serves every cloud")
    status: Literal["online", "offline", "brokeroff", "test"] = Field(
        default="online", description="brokerage gives jobs to queues that are online only"
    )


class Settings(BaseModel):
    """All settings of both processes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    database_url: str
    speed: float = Field(default=1.0, gt=0)
    adder: Literal["rucio", "none"] = "rucio"
    refiner: Literal["keep", "stock"] = "keep"
    ddm: Literal["lenient", "stock"] = "lenient"
    jobs: JobKind = "process"
    sites: Path | None = None
    rse_root: Path
    work: Path
    scenario: Path | None = None
    rhythms: Path | None = None
    refiners: int = Field(default=1, ge=1, le=8)
    attempt_suffix: bool = False
    max_queued_jobs: int = Field(default=0, ge=0)
    stomp_port: int | None = Field(default=None, ge=1, le=65535)
    stomp_host: str = "127.0.0.1"
    stomp_topic: str = "/topic/panda_idds"
    stomp_login: str = ""
    stomp_passcode_file: Path | None = None
    stomp_keep: int = Field(default=10000, ge=0)
    vo: str = "spd"
    role_group: str = ""
    audience: str = "panda"
    iam_issuer: str = ""
    jwks: str = ""
    token_cache_s: float = Field(default=600.0, ge=0)
    iam_client_id: str = "panda"
    iam_client_secret_file: Path | None = None
    rucio_url: str = ""
    rucio_account: str = "production"
    url: str = ""

    @property
    def production_group(self) -> str:
        """Group whose members have the production role."""
        return self.role_group or f"{self.vo}/production"


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Settings of this process.

    Raises
    ------
    SettingsInvalid
        A variable is missing or has an impossible value.
    """
    environment = os.environ if environment is None else environment
    given = {
        name: environment[PREFIX + name.upper()]
        for name in Settings.model_fields
        if environment.get(PREFIX + name.upper())
    }
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        lines = [f"{PREFIX}{str(fault['loc'][0]).upper()}: {fault['msg']}" for fault in error.errors()]
        raise SettingsInvalid("the PanDA sandbox cannot start: " + "; ".join(lines)) from error


def load_sites(settings: Settings) -> dict[str, Site]:
    """Queues by name, each with its folder.

    The file is a list of ``{name, rse, folder, slots}``, or a map with such a list (or a map by name) under ``queues``.
    """
    rows = (
        _site_rows(settings.sites)
        if settings.sites
        else [
            {"name": "SPD_JINR", "rse": "JINR_EOS"},
            {"name": "SPD_PNPI", "rse": "PNPI_EOS"},
        ]
    )
    sites = {}
    for row in rows:
        try:
            site = Site.model_validate({"jobs": settings.jobs, **row})
        except ValidationError as error:
            raise SettingsInvalid(f"{settings.sites}: queue {row}: {error.errors()[0]['msg']}") from error
        sites[site.name] = site.model_copy(update={"folder": site.folder or settings.rse_root / site.rse})
    return sites


def _site_rows(path: Path) -> list[dict[str, object]]:
    try:
        content = load_yaml(path)
    except FileUnreadable as error:
        raise SettingsInvalid(f"{PREFIX}SITES: {path} cannot be read: {error}") from error
    if isinstance(content, dict):
        content = content.get("queues", content)
    if isinstance(content, dict):
        content = [{"name": name, **row} for name, row in content.items()]
    if not isinstance(content, list):
        raise SettingsInvalid(f"{PREFIX}SITES: {path} holds no list of queues")
    return content


def folder_of(site: Site) -> Path:
    """Folder of a site that came from `load_sites`."""
    if site.folder is None:
        raise SettingsInvalid(f"queue {site.name} has no folder")
    return site.folder
