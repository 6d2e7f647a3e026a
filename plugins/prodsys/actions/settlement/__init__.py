"""What the tasks of a step brought: outcomes of seeds, files in Rucio, rounds of recovery, questions to people.

Writes: `step`, `seed_outcome`, `file`, `dataset`, `rule`, `late_file`, `lost_file`, `question`.
Calls: PanDA, Rucio, Airflow.
Public: `settling.settle_step`, `registration.ensure_step_data`, `step_questions` (`answer`, `expire`,
`open_questions`).
"""
