"""What one may do to a request; the only writers of the ledger. CLI, REST and operators call these.

Every action checks the permission of the person, changes the ledger in one transaction with its audit line, may be
repeated, and has a dry run (`core.dry_run`). The rooms, lowest first (`tests/unit/test_layering.py` holds who may
import whom):

- `core`: context, dry runs, commands to PanDA tasks
- `requests`: import, draft, clone, extend, delete
- `planning`: check, plan, trial, approval
- `runs`: launch, pause, resume, abort, recurring productions
- `submission`: tasks at PanDA, exactly once; adoption
- `settlement`: outcome of a step, registration in Rucio, recovery rounds, questions
- `closing`: containers, rules, certificate, reopening
- `reconciliation`: comparison with PanDA, Airflow and Rucio; findings
- `queries`: everything that only reads
"""
