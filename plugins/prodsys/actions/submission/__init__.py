"""Tasks at PanDA: exactly one for each piece of work, and the wait for it.

Writes: `task`, `dataset` (inputs). Calls: PanDA, Rucio.
Public: `submitting.ensure_submitted`, `waiting` (`task_to_wait_for`, `record_status`, `rules_to_wait_for`,
`record_rules`), `adopting.adopt`.
"""
