"""The ledger compared with PanDA, Airflow and Rucio; what nobody can repair waits as a finding for a person.

Writes: `finding`, `look`, `task`, `dataset`, `rule`. Calls: PanDA, Rucio, Airflow.
Public: `reconciling.reconcile` (each minute), `hourly_checks.compare_catalogues`, `findings` (`decide`,
`open_findings`).
"""
