"""Settings, first content and daemons of the Rucio server that belongs to the sandbox."""
