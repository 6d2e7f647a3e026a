"""A job as the rules of a scenario see it, from its rows."""

from __future__ import annotations

from sqlalchemy import Connection, RowMapping, func, select

from sandbox.panda import tables as t
from sandbox.panda.jobs.payload import number_in
from sandbox.panda.store import find_task, master_of
from sandbox.panda.trouble.strikes import JobSeen


def see_job(connection: Connection, job: RowMapping, task: RowMapping | None = None) -> JobSeen:
    """Return a job with the place of its input among the task's; the node is the one it was given to."""
    jedi_task_id, f = job["jedi_task_id"], t.file.c
    task = task or find_task(connection, jedi_task_id)
    if task is None:
        raise RuntimeError(f"task {jedi_task_id} has jobs and no row")
    master = master_of(connection, jedi_task_id)
    dataset_id = master["dataset_id"] if master is not None else 0
    mine = select(func.min(t.job_file.c.file_id)).where(
        t.job_file.c.panda_id == job["panda_id"], t.job_file.c.dataset_id == dataset_id
    )
    file_id = connection.execute(mine).scalar_one() or 0
    query = select(func.count(), func.count().filter(f.file_id < file_id)).where(f.dataset_id == dataset_id)
    total, before = connection.execute(query).one()
    wanted = task["params"].get("nFilesPerJob", 1)
    per_job = wanted if isinstance(wanted, int) and wanted > 0 else 1
    return JobSeen(
        jedi_task_id=jedi_task_id,
        panda_id=job["panda_id"],
        file_id=file_id,
        slot=before // per_job,
        jobs=-(-total // per_job),
        seed=number_in(job["parameters"], "seed"),
        site=job["site"],
        node=job["attributes"].get("node_slot"),
        scout=bool(job["attributes"].get("scout")),
    )
