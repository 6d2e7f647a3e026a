"""The border to Airflow's REST API."""
