"""Airflow connections to PanDA, Rucio and the ledger."""
