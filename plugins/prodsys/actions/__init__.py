"""What one may do to a request; the only writers of the ledger. CLI, REST, panel and operators call these."""
