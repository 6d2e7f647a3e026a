"""Which of several tasks of our work stays, and what JEDI's words say about a duplicate."""

import pytest

from prodsys.actions.submission.duplicate_tasks import choose, original_of_duplicate
from prodsys.model.outcome import TaskInfo
from prodsys.model.statuses import TaskStatus


def tasks(*statuses):
    return [TaskInfo(number, "DEMO2025-001.SIM", TaskStatus(status)) for number, status in enumerate(statuses, 1)]


@pytest.mark.parametrize(
    ("statuses", "kept", "others"),
    [
        ((), None, []),
        (("running",), 1, []),
        (("running", "ready"), 1, [2]),
        (("done", "running", "pending"), 1, [2, 3]),
        (("aborted", "running"), 2, []),
        (("broken", "tobroken", "toabort", "aborting", "aborted"), None, []),
        (("failed", "running"), 2, []),  # nothing comes of the first any more
        (("failed", "exhausted"), 1, []),
        (("running", "failed"), 1, []),
        (("done", "done"), 1, [2]),  # too late: it is named all the same
        (("aborted", "finished", "toretry"), 2, [3]),
    ],
)
def test_the_lowest_that_lives_or_brought_something_stays(statuses, kept, others):
    stays, twins = choose(reversed(tasks(*statuses)))
    assert (stays, [one.jedi_task_id for one in twins]) == (kept, others)


@pytest.mark.parametrize(
    ("words", "elder"),
    [
        ("toabort since there is duplicated task -> jediTaskID=364", 364),
        ("kill by prodmgr", None),
        ("", None),
    ],
)
def test_jedis_words_name_the_elder(words, elder):
    assert original_of_duplicate(words) == elder
