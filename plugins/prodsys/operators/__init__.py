"""Airflow operators: thin, they call actions."""
