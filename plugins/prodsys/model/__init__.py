"""The vocabulary: requests, chains, names, seeds, statuses, plans, outcomes, certificates. Pure and frozen, no I/O."""
