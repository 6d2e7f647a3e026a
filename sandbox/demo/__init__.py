"""The demonstration: the sheet's seven requests, cloned small, from plan to certificate."""
