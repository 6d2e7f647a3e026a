"""The end of a request, and its beginning again: containers, rules, certificate, cleaning, recovery.

Writes: `request`, `dataset` (containers), `rule`, `certificate`. Calls: PanDA, Rucio.
Public: `collection` (`ensure_collected`, `ensure_rules`, `certify`), `cleaning.abort_and_clean`, `reopening` (`retry`,
`recover`, `accept`, `settle_again`).
"""
