"""The prodsys command."""
