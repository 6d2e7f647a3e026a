"""How a request comes into the ledger, and what becomes of one that never ran.

Writes: `request`, `claim`, `seed_reuse`, `recurring`, `history`, `file_version`. Calls: no service.
Public: `importing.import_intake`, `drop_folder.import_dropped`, `drafting` (`draft`, `edit`, `revise`),
`cloning.clone`, `extending.extend`, `deletion.delete`, `seed_reuse.declare_reuse`,
`template_reservations` (`register`, `release`), `history_import.import_history`.
"""
