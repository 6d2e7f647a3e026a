"""What one may do to a request; the only writers of the ledger. CLI, REST, panel and operators call these.

Every action checks the right of who acts, changes the ledger in one transaction with its audit line, may be said again,
and can be rehearsed (`rehearsing`). Where to look:

- a new request: `importing` `file_versions` `intaking` `drafting` `cloning` `extending` `reusing` `trial` `recurring`
  `keeping`; a draft that nobody wants: `deletion`
- one that exists outside: `adopting` `hand_made`; inputs that exist already: `reading` `sources` `borrowed` `doubles`
- before it runs: `checking` `planning` `covering` `outside` `outside_rights` `new_configurations` `foreseeing`
  `recalling`, `approval_needs` `approving` `answering` `launching`; what was never run: `seed_release`
- submission, exactly once: `intents` `orders` `inputs` `submitting` `searching` `twins` `twin_watch`
- while it runs: `driving` `run_starts` `outages` `waiting` `pausing` `controlling` `telling` `aborting`
  `cleaning` `notes`
- what a step brought: `settling` `outcomes` `written` `readings` `counting` `storages` `recovering` `finished_seeds`
  `asking`; its data in Rucio: `data` `parts` `missing_files` `late_files`
- the end: `closing` `containers` `certifying` `certificate_files` `restarting`; all services compared:
  `reconciling` (each minute) `airflow_marks`
  `comparing_airflow` `comparing_panda`, `comparing` (each hour) `comparing_rucio` `comparing_plans`; what is left for
  a person: `findings`
- what people ask: `showing` `showing_seeds` `listing` `looking`; whose hands: `context`
"""
