"""The Airflow run of a request: started, owned, paused, resumed, ended.

Writes: `request`, `run`. Calls: PanDA, Airflow.
Public: `launching` (`launch`, `dispatch`), `run_ownership` (`enter`, `note_failure`), `pausing` (`pause`, `resume`),
`aborting.abort`, `controlling` (`finish`, `withdraw`, `set_priority`, `archive`), `recurring` (`recur`, `catch_up`),
`outages` (`note_outage`, `note_return`).
"""
