"""The ledger: tables and queries in PostgreSQL, schema prodsys. The truth about requests, seeds, tasks and datasets."""
