"""The border to Rucio: registration, rules, and content of files where a storage is mounted."""
