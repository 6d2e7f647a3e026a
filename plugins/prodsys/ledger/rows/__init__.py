"""Rows of the ledger's tables, by what they tell; ``ledger/tables.py`` is the door to all of them."""
