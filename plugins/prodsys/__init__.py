"""Prodsys: Monte Carlo productions of the SPD experiment on Airflow, PanDA and Rucio."""
