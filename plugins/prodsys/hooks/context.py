"""Hands for the actions that Airflow calls."""

from __future__ import annotations

from prodsys.actions.context import Context, make_context

SERVICE = frozenset({"service"})  # role of our own processes: what they do was decided by a person before


def build_context(who: str) -> Context:
    """Context of a service; nothing is contacted before it is used."""
    return make_context(who, SERVICE)
