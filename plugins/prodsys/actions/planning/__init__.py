"""What a request would do, who has to agree, and the agreement.

Writes: `request`, `plan`, `step`, `publication`, `question`. Calls: PanDA, Rucio, Airflow; only reads.
Public: `checking.check`, `planning` (`plan`, `approve`), `approving` (`ask`, `take_answer`, `reject`),
`trial.start_trial`.
"""
