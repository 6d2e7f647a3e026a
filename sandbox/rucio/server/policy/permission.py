"""Permissions of the service account ``production``; ``None`` leaves the question to Rucio's generic policy.

The generic policy gives an owner of a scope nearly all it needs. What is added: to make scopes of its own, and to
change or delete the rules it made. (Rucio 41.5 lets every owner of a scope reopen a closed dataset: its gateway does
not tell the policy which status is set.)

`rucio.core.permission` imports this module, so nothing of it may be imported here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rucio.common.types import InternalAccount
    from sqlalchemy.orm import Session

PRODUCTION = "production"
ALWAYS = frozenset({"skip_availability_check", "list_requests", "get_request_by_did"})
OWN_RULE = frozenset({"update_rule", "del_rule", "reduce_rule"})


def has_permission(issuer: InternalAccount, action: str, kwargs: dict[str, Any], *, session: Session) -> bool | None:
    """Whether an account may do something; None: ask the generic policy."""
    if issuer.external != PRODUCTION:
        return None
    if action in ALWAYS:
        return True
    if action == "add_scope":
        return _name(kwargs.get("account")) == PRODUCTION or None
    if action in OWN_RULE:
        return _is_owner_of_rule(issuer, kwargs["rule_id"], session) or None
    return None


def _name(account: Any) -> str:
    return str(getattr(account, "external", account))


def _is_owner_of_rule(issuer: InternalAccount, rule_id: str, session: Session) -> bool:
    from rucio.db.sqla.models import ReplicationRule

    rule = session.get(ReplicationRule, rule_id)
    return rule is not None and rule.account == issuer
