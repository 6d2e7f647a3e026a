"""Plain pages on tasks, jobs, files and queues."""
