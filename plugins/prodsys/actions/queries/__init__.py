"""What people and programs ask about requests. Reads the ledger, writes nothing and calls no service."""
