"""Airflow's schema, roles, people and pools: ``python -m sandbox.stack.airflow_setup schema|people``.

``airflow users create`` takes 7 to 23 s for each person and shows the password; this takes the time of one import.
``schema`` migrates the database and writes the roles; ``people`` reads passwords from the files of the stack.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from airflow.providers.fab.www.security import permissions as p

from prodsys.model.access import MANAGER_ROLE
from sandbox.stack.home import Credentials, current_home
from sandbox.stack.plan import SERVICE_USER

Right = tuple[str, str]  # action and resource, in FAB's words
READ, CREATE, EDIT, MENU = p.ACTION_CAN_READ, p.ACTION_CAN_CREATE, p.ACTION_CAN_EDIT, p.ACTION_CAN_ACCESS_MENU
SUBMITTER_ROLE, SERVICE_ROLE = "Submitter", "Orchestrator"

# What the manager may do to single DAGs (requests, `approve_plan`) stands with the DAGs: model/access.py.
# He can clear, mark or delete nothing. (FAB's own `Op` may.)
MANAGER_RIGHTS = [
    (EDIT, p.RESOURCE_HITL_DETAIL),
    (MENU, p.RESOURCE_HITL_DETAIL),
    (READ, p.RESOURCE_AUDIT_LOG),
    (MENU, p.RESOURCE_AUDIT_LOG),
]
# The service account starts, pauses and stops runs, reads who did what and who has which role; it marks nothing.
SERVICE_RIGHTS = [
    (EDIT, p.RESOURCE_DAG),
    (CREATE, p.RESOURCE_DAG_RUN),
    (EDIT, p.RESOURCE_DAG_RUN),
    (EDIT, p.RESOURCE_HITL_DETAIL),
    (READ, p.RESOURCE_AUDIT_LOG),
    (READ, p.RESOURCE_AUDIT_LOG_ALL),
    (READ, p.RESOURCE_IMPORT_ERROR_ALL),
    (READ, p.RESOURCE_USER),
]
PEOPLE = {"admin": "Admin", "manager": MANAGER_ROLE, "viewer": "Viewer", SERVICE_USER: SERVICE_ROLE}
POOLS = {
    "panda_submit": (4, "submissions to PanDA at the same time"),
    "rucio_register": (4, "registrations in Rucio at the same time"),
}


@contextmanager
def security_manager() -> Iterator[Any]:
    """Yield FAB's security manager on Airflow's database."""
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    with get_application_builder() as builder:
        yield builder.sm


def migrate() -> None:
    """Bring Airflow's schema to its newest version and write the roles."""
    from airflow.utils import db

    db.initdb()
    with security_manager() as manager:
        manager.sync_roles()
        roles = roles_of(manager.VIEWER_PERMISSIONS)
        manager.bulk_sync_roles([{"role": name, "perms": rights} for name, rights in roles.items()])
        for name, rights in roles.items():
            _take_away_others(manager, name, rights)


def roles_of(viewer: Sequence[Right]) -> dict[str, list[Right]]:
    """Our roles -> rights that are not those of a single DAG; each may look at everything, as FAB's Viewer."""
    return {
        MANAGER_ROLE: [*viewer, *MANAGER_RIGHTS],
        SERVICE_ROLE: [*viewer, *SERVICE_RIGHTS],
        SUBMITTER_ROLE: list(viewer),  # what a submitter may do is in policy.yaml; at Airflow he looks
    }


def _take_away_others(manager: Any, name: str, rights: Sequence[Right]) -> None:
    """Take away what an earlier version gave; FAB only adds. The rights of single DAGs are Airflow's to keep."""
    role, wanted = manager.find_role(name), set(rights)
    for permission in list(role.permissions):
        held = permission.action.name, permission.resource.name
        if held not in wanted and not held[1].startswith(tuple(p.PREFIX_LIST)):
            manager.remove_permission_from_role(role, permission)


def ensure_people(credentials: Credentials) -> None:
    """Make the users, or give them the passwords of the files."""
    from werkzeug.security import check_password_hash

    with security_manager() as manager:
        for name, role in PEOPLE.items():
            password = credentials.get(f"airflow-{name}.password")
            user = manager.find_user(name)
            if user is None:
                _add_user(manager, name, role, password)
            elif not check_password_hash(user.password, password):
                manager.reset_password(user.id, password)


def _add_user(manager: Any, name: str, role: str, password: str) -> None:
    if not manager.add_user(name, name.capitalize(), "Prodsys", f"{name}@localhost", manager.find_role(role), password):
        raise SystemExit(f"Airflow did not take the user {name} with the role {role}: see the lines above")


def ensure_pools() -> None:
    """Make the pools that the operators name."""
    from airflow.models.pool import Pool

    for name, (slots, description) in POOLS.items():
        Pool.create_or_update_pool(name, slots=slots, description=description, include_deferred=False)


def main() -> None:
    """Do what the command line names."""
    match sys.argv[1:]:
        case ["schema"]:
            migrate()
        case ["people"]:
            ensure_people(Credentials(current_home().secrets))
            ensure_pools()
        case _:
            raise SystemExit("usage: python -m sandbox.stack.airflow_setup schema|people")


if __name__ == "__main__":
    main()
