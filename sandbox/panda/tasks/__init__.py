"""JEDI in small: what becomes of a task, from its map to its final status."""
