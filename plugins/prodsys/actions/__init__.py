"""What one may do to a request; the only writers of the ledger. CLI, REST, panel and operators call these.

Every action checks the right of who acts, changes the ledger in one transaction with its audit line, may be said again,
and can be rehearsed (`rehearsing`). Where to look:

- a new request: `importing` `intaking` `drafting` `cloning` `extending` `reusing` `trial` `recurring` `keeping`
- one that exists outside: `adopting` `hand_made`; inputs that exist already: `reading` `sources` `borrowed` `doubles`
- before it runs: `checking` `planning` `covering` `outside` `foreseeing` `recalling`, `approving` `answering`
  `launching`
- submission, exactly once: `intents` `orders` `inputs` `submitting` `searching` `twins` `twin_watch`
- while it runs: `driving` `waiting` `pausing` `controlling` `telling` `aborting` `cleaning` `notes`
- what a step brought: `settling` `outcomes` `readings` `doubts` `counting` `recovering` `asking`; which seeds may run
  again: `finished_seeds`; its data in Rucio: `data` `parts`
- the end: `closing` `certifying` `restarting`; all services compared: `reconciling` `comparing_airflow`
  `comparing_rucio` `findings`
- what people ask: `showing` `showing_seeds` `listing` `looking`; whose hands: `context`
"""
