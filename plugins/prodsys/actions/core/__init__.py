"""What every other room of actions stands on: the context, dry runs, commands to PanDA tasks, snapshots, notes.

Writes: `task.killed_at`, `audit`. Calls: PanDA, Airflow.
Public: `context.make_context`, `dry_run.run_dry`, `panda_commands` (`kill_tasks`, `pause_tasks`, `send_command`),
`request_snapshot.expect`, `acting_user.acting_at_airflow`.
"""
