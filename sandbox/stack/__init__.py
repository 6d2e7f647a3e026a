"""What starts, watches and stops the programs of the sandbox."""
