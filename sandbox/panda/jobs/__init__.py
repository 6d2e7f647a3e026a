"""Worker nodes and storage: jobs as processes or simulated, and the registration of what they wrote."""
