"""Kills at every step of a submission, and a count of what PanDA made of it. ``make chaos-submit``.

The code under test is not touched: workers are whole processes that run `ensure_submitted`; they stop at points told by
the database driver and the HTTP library, and what came of it is counted in PanDA's own tables.
"""
