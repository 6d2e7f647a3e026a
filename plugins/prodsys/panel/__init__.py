"""Pages and REST of the production manager (comes with its own issue)."""
