"""What Airflow learns about this package as a provider."""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """Name and version for Airflow's list of providers."""
    return {
        "package-name": "prodsys",
        "name": "Prodsys",
        "description": "Monte Carlo productions through PanDA and Rucio.",
        "versions": ["0.1.0"],
    }
