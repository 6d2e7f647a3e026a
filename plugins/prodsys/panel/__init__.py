"""REST of the production manager, under Airflow's API server; pages come with their own issue."""
