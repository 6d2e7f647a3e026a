"""What runs in the environment of the Rucio server; nothing here imports `prodsys`."""
