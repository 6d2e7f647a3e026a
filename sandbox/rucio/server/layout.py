"""Accounts, scopes and storage of the catalogue, brought to what a JSON file says; running it again changes nothing.

The file is written at every start by whoever runs the server, since addresses and folders may have moved::

    {"rses": {"JINR_EOS": {"folder": "/...", "attributes": {"site": "JINR"}}},
     "accounts": {"production": {"type": "SERVICE", "email": "...", "limit_bytes": 9000,
                                 "oidc": ["SUB=production, ISS=http://127.0.0.1:8000/"]}},
     "scopes": {"MC2025_S2": "production"}}
"""

from __future__ import annotations

import itertools
from typing import Any

from rucio.common.exception import Duplicate
from rucio.common.types import InternalAccount, InternalScope
from rucio.core import account as accounts
from rucio.core import account_limit, distance, identity, scope
from rucio.core import rse as rses
from rucio.db.sqla import models
from rucio.db.sqla.constants import AccountType, DatabaseOperationType, IdentityType
from rucio.db.sqla.session import db_session
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

SCHEME, HOST, PORT = "file", "localhost", 0
DOMAINS = {
    "lan": {"read": 1, "write": 1, "delete": 1},
    "wan": {"read": 1, "write": 1, "delete": 1, "third_party_copy_read": 1, "third_party_copy_write": 1},
}


def ensure_layout(layout: dict[str, Any]) -> None:
    """Make what is missing and move what has moved, in one transaction."""
    with db_session(DatabaseOperationType.WRITE) as session:
        ids = {name: _ensure_rse(name, row, session) for name, row in layout["rses"].items()}
        for pair in itertools.permutations(ids.values(), 2):
            _ensure_distance(*pair, session)
        for name, row in layout["accounts"].items():
            _ensure_account(InternalAccount(name), row, list(ids.values()), session)
        for name, owner in layout["scopes"].items():
            _ensure_scope(InternalScope(name), InternalAccount(owner), session)


def _ensure_rse(name: str, row: dict[str, Any], session: Session) -> str:
    if not rses.rse_exists(name, session=session):
        rses.add_rse(name, deterministic=True, session=session)
    rse_id = rses.get_rse_id(name, session=session)
    known = rses.list_rse_attributes(rse_id, session=session)
    for key, value in row["attributes"].items():
        if known.get(key) != value:
            rses.add_rse_attribute(rse_id, key, value, session=session)
    _ensure_protocol(rse_id, row["folder"].rstrip("/") + "/", session)
    return rse_id


def _ensure_protocol(rse_id: str, prefix: str, session: Session) -> None:
    known = session.scalars(select(models.RSEProtocol).where(models.RSEProtocol.rse_id == rse_id)).all()
    if [protocol.prefix for protocol in known] == [prefix]:
        return
    session.execute(delete(models.RSEProtocol).where(models.RSEProtocol.rse_id == rse_id))
    session.expire_all()
    protocol = {
        "scheme": SCHEME,
        "hostname": HOST,
        "port": PORT,
        "prefix": prefix,
        "impl": "rucio.rse.protocols.posix.Default",
        "domains": DOMAINS,
        "extended_attributes": None,
    }
    rses.add_protocol(rse_id, protocol, session=session)


def _ensure_distance(source: str, destination: str, session: Session) -> None:
    if not distance.get_distances(source, destination, session=session):
        distance.add_distance(source, destination, distance=1, session=session)


def _ensure_account(account: InternalAccount, row: dict[str, Any], rse_ids: list[str], session: Session) -> None:
    if not accounts.account_exists(account, session=session):
        accounts.add_account(account, AccountType[row["type"]], row["email"], session=session)
    for rse_id in rse_ids:
        account_limit.set_local_account_limit(account, rse_id, row["limit_bytes"], session=session)
    _forget_other_subjects(account, row["oidc"], session)
    for subject in row["oidc"]:
        _ensure_subject(account, subject, row["email"], session)


def _forget_other_subjects(account: InternalAccount, subjects: list[str], session: Session) -> None:
    """Drop OIDC identities of an issuer that has moved: nobody may come back under its old address."""
    association = models.IdentityAccountAssociation
    stale = (association.account == account, association.identity_type == IdentityType.OIDC)
    session.execute(delete(association).where(*stale, association.identity.not_in(subjects)))


def _ensure_subject(account: InternalAccount, subject: str, email: str, session: Session) -> None:
    if session.get(models.Identity, (subject, IdentityType.OIDC)) is None:
        identity.add_identity(subject, IdentityType.OIDC, email, session=session)
    association = models.IdentityAccountAssociation
    if session.get(association, (subject, IdentityType.OIDC, account)) is None:
        identity.add_account_identity(subject, IdentityType.OIDC, account, email, default=True, session=session)


def _ensure_scope(name: InternalScope, owner: InternalAccount, session: Session) -> None:
    if scope.check_scope(name, session=session):
        return
    try:
        scope.add_scope(name, owner, session=session)
    except Duplicate as error:  # pragma: no cover - two servers started at once
        raise SystemExit(f"scope {name} was made by another server meanwhile: start again") from error
