"""What people and programs reach by HTTP under Airflow's API server: `api` is REST; the guard is around both."""
