"""PandaClient against what a real panda-server 1.0.4 said."""

from __future__ import annotations

import json
import re
import socket
import time
from datetime import UTC, datetime

import pytest

from prodsys.errors import (
    IdentityUnavailable,
    PandaAnswerInvalid,
    PandaRefused,
    PandaRoleMissing,
    PandaUnavailable,
    ProductionError,
    ServiceUnavailable,
    SpecInvalid,
    SubmissionInDoubt,
    TaskUnknown,
)
from prodsys.model.statuses import FINAL, JobStatus, TaskStatus
from prodsys.panda.client import JOBS_AT_ONCE, SINGLES, PandaClient
from tests.contract.client.conftest import ORIGIN, TOKEN, Lines
from tests.contract.client.replay import Answer, Replay, read_lines

SIM_NAME = "MC2025_S1.minbias-P8-spdroot4172-dev.27GeV-UU.PROD2025-016.SIM.1.chain_done"


def _submitted(scenario: str, number: int = 0) -> tuple[dict, int | None]:
    body = [line["request_body"] for line in read_lines(scenario) if line["path"].endswith("task/submit")][number]
    return body["task_parameters"], body["parent_tid"]


# --- submission ------------------------------------------------------------------------------------------------------
def test_submission_returns_the_id_and_sends_what_the_recorded_client_sent(panda: PandaClient, replay: Replay):
    replay.load("chain_done")
    task_map, parent = _submitted("chain_done", 1)
    assert panda.submit(task_map, parent) == 58
    sent = replay.seen[-1]
    recorded = next(line for line in read_lines("chain_done") if line["method"] == "POST")["request_headers"]
    assert sent.body == {"task_parameters": task_map, "parent_tid": 48}
    assert sent.headers["Authorization"] == f"Bearer {TOKEN}"
    assert sent.headers["Origin"] == ORIGIN == recorded["Origin"]
    assert {name: sent.headers[name] for name in ("Accept", "Content-Type")} == {
        name: recorded[name] for name in ("Accept", "Content-Type")
    }


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ({"success": False, "message": "failed to register task", "data": 4}, PandaRefused),
        (
            {"success": False, "message": 'failed to find parent with user="prodmgr" name=nope', "data": 11},
            PandaRefused,
        ),
        ({"success": False, "message": "jediTaskID=93 is in the defined state for outDS=x", "data": 2}, PandaRefused),
        (
            {"success": True, "message": "reactivation accepted. jediTaskID=93 (currently in ...", "data": 93},
            PandaRefused,
        ),
        ({"success": False, "message": "too many active tasks", "data": 10}, PandaUnavailable),
        ({"success": False, "message": "SSL secure connection is required", "data": None}, PandaRefused),
        ({"success": True, "message": "", "data": None}, SubmissionInDoubt),
    ],
)
def test_each_answer_to_a_submission_has_its_error(panda: PandaClient, replay: Replay, reply: dict, error: type):
    replay.answer("POST", "task/submit", reply)
    with pytest.raises(error):
        panda.submit({"taskName": "x"})


def test_a_lost_answer_is_a_doubt_not_a_failure(replay: Replay, journal: Lines):
    replay.always(200, b"{}", before=lambda: time.sleep(2))
    panda = PandaClient(replay.url, ORIGIN, lambda: TOKEN, 0.3, journal)
    started = time.monotonic()
    with pytest.raises(SubmissionInDoubt, match=r"PROD2025-016\.SIM"):
        panda.submit({"taskName": "PROD2025-016.SIM"})
    assert time.monotonic() - started < 1.5
    assert [(line["call"], line["outcome"]) for line in journal.lines] == [("task/submit", "no answer")]


def test_an_answer_that_comes_drop_by_drop_ends_at_the_timeout_too(replay: Replay):
    replay.default = Answer(200, b"x" * 1000, piece=1, pause_s=0.05)
    started = time.monotonic()
    with pytest.raises(PandaUnavailable, match="was not complete after"):
        PandaClient(replay.url, ORIGIN, lambda: TOKEN, 0.5).is_alive()
    assert time.monotonic() - started < 3


@pytest.mark.parametrize("body", [b"\xff\xfe\x00 caf\xe9", b"", b"<html>proxy</html>", b"[1]", b"{}", b"[" * 100_000])
def test_odd_bodies_after_a_submission_are_a_doubt(panda: PandaClient, replay: Replay, body: bytes):
    replay.always(200, body)
    with pytest.raises(SubmissionInDoubt):
        panda.submit({"taskName": "x"})


@pytest.mark.parametrize(
    ("status", "error"), [(500, SubmissionInDoubt), (502, SubmissionInDoubt), (504, SubmissionInDoubt)]
)
def test_a_gateway_that_gives_up_leaves_a_doubt(panda: PandaClient, replay: Replay, status: int, error: type):
    replay.always(status, b"Bad Gateway")
    with pytest.raises(error):
        panda.submit({"taskName": "x"})


@pytest.mark.parametrize("status", [200, 403, 503])
def test_no_error_shows_the_markup_of_a_page(panda: PandaClient, replay: Replay, journal: Lines, status: int):
    page = b"<!DOCTYPE HTML PUBLIC '-//W3C//DTD HTML 4.01//EN'>\n<html><head><title>Service Unavailable</title></head>"
    replay.always(status, page + b"<body><h1>Service Unavailable</h1><p>Try <b>later</b>.</p></body></html>")
    with pytest.raises(ProductionError, match=r"Service Unavailable: Try later") as caught:
        panda.get_status(7)
    assert "<" not in f"{caught.value} {journal.lines}"


def test_a_server_that_is_not_there_was_surely_not_told(journal: Lines):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for url in (f"http://127.0.0.1:{port}", "http://no-such-host.invalid"):
        with pytest.raises(PandaUnavailable) as caught:
            PandaClient(url, ORIGIN, lambda: TOKEN, 2.0, journal).submit({"taskName": "x"})
        assert type(caught.value) is PandaUnavailable


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("ERROR : Token authentication failed. Invalid token. Signature has expired", PandaUnavailable),
        ("ERROR : Token authentication failed. Not a member of the spd/production group", PandaRoleMissing),
        ("ERROR : Token authentication failed. Invalid token. Not enough segments", PandaRefused),
        ("ERROR : Token authentication failed. Unknown vo : noexp", PandaRefused),
        ("ERROR : method submit is forbidden", PandaRefused),
    ],
)
def test_a_door_that_is_shut_says_why(panda: PandaClient, replay: Replay, words: str, error: type):
    replay.always(403, words.encode())
    with pytest.raises(error) as caught:
        panda.submit({"taskName": "x"})
    assert type(caught.value) is error
    assert words.split(".")[-1].strip()[:20] in str(caught.value)


# --- reading ---------------------------------------------------------------------------------------------------------
def test_a_task_is_unknown_until_jedi_has_refined_it(panda: PandaClient, replay: Replay):
    replay.load("chain_done")
    for read in (panda.get_status, panda.get_task):
        with pytest.raises(TaskUnknown):
            read(48)
    assert panda.get_jobs(48) == ()


def test_recorded_statuses_come_in_their_order(panda: PandaClient, replay: Replay):
    replay.load("seed_list")
    with pytest.raises(TaskUnknown):
        panda.get_status(10)
    assert [panda.get_status(10) for _ in range(3)] == [TaskStatus.READY, TaskStatus.RUNNING, TaskStatus.FINISHED]


def test_every_recorded_task_reads(panda: PandaClient, replay: Replay):
    """Also broken ones, aborted twins without a name, tasks with a stack trace as their error."""
    read = 0
    for scenario in ("broken", "killed", "twins", "failed", "finish_cmd", "odd_input", "pending"):
        replay.load(scenario)
        for line in read_lines(scenario):
            if line["path"].endswith("get_detailed_info") and (line["response_body"] or {}).get("success"):
                task = panda.get_task(int(line["query"]["task_id"][0]))
                assert task.parent_tid != task.jedi_task_id
                assert task.status is not TaskStatus.UNKNOWN
                read += 1
    assert read > 30


def test_an_aborted_twin_names_the_one_that_lives(panda: PandaClient, replay: Replay):
    replay.load("twins")
    twin = panda.get_task(14)
    assert (twin.task_name, twin.status) == (None, TaskStatus.ABORTED)
    assert twin.error_dialog.endswith("jediTaskID=13")
    assert twin.task_map["taskName"] == "MC2025_S2.minbias-P8-spdroot4172-dev.27GeV-UU.PROD2025-016.SIM.A2.twin"


def test_jobs_are_bound_to_seeds_and_files(panda: PandaClient, replay: Replay):
    replay.load("seed_list")
    jobs = panda.get_jobs(10)
    assert [(job.panda_job_id, job.seed, job.status, job.attempt) for job in jobs] == [
        (114, 40001, JobStatus.FINISHED, 1),
        (115, 40007, JobStatus.FAILED, 1),
        (116, 40003, JobStatus.FINISHED, 1),
        (117, 40020, JobStatus.FAILED, 1),
        (121, 40007, JobStatus.FINISHED, 2),
        (122, 40020, JobStatus.FAILED, 2),
        (123, 40020, JobStatus.FAILED, 3),
    ]
    third = jobs[2]
    assert [file.dataset.rsplit(".", 1)[-1] for file in third.outputs] == ["P", "S", "log"]
    sim = third.outputs[1]
    assert (sim.bytes, sim.adler32, sim.events) == (367, "d4dd6cd0", 4000)
    assert third.outputs[2].events is None
    assert third.inputs == ()
    assert third.cpu_s == 100
    assert third.wall_s == 3
    assert jobs[-1].errors[-1] == "pilotErrorCode 1305: Failed to execute payload: fake failure of seed 40020"
    assert "transExitCode 65" in jobs[-1].errors


def test_a_reco_job_knows_both_files_it_read(panda: PandaClient, replay: Replay):
    replay.load("chain_done")
    jobs = next(
        found for _ in range(9) if (found := panda.get_jobs(58))
    )  # the first answers are from before refinement
    assert len(jobs) == 10
    assert all([file.dataset[-2:] for file in job.inputs] == [".P", ".S"] for job in jobs)
    assert all(job.seed is None for job in jobs)


def test_a_large_task_is_read_in_pieces(panda: PandaClient, replay: Replay):
    row = next(
        line["response_body"]["data"][0]
        for line in read_lines("seed_list")
        if line["path"].endswith("get_job_descriptions")
    )
    ids = list(range(1, 2 * JOBS_AT_ONCE + 2))
    replay.answer("GET", "task/get_job_ids", {"success": True, "message": "", "data": ids})
    rows = [row | {"PandaID": one} for one in ids]
    replay.answer("POST", "job/get_description_incl_archive", {"success": True, "message": "", "data": rows})
    assert [one.panda_job_id for one in panda.get_jobs(10)] == ids
    assert [len(one.body["job_ids"]) for one in replay.seen[1:]] == [JOBS_AT_ONCE, JOBS_AT_ONCE, 1]


def _recorded(method: str, t: float) -> dict:
    """The reply of a real server at a moment of the day on which its tables were taken away."""
    found = (line for line in read_lines("empty_reads") if line["path"].endswith(method) and line["t"] == t)
    return next(found)["response_body"]


def test_more_jobs_named_than_described_are_no_answer(panda: PandaClient, replay: Replay):
    replay.answer("GET", "task/get_job_ids", _recorded("get_job_ids", 125.74))
    replay.answer("GET", "task/get_job_descriptions", _recorded("get_job_descriptions", 125.24))
    with pytest.raises(PandaUnavailable, match="names 3 jobs of task 246 and describes 2: not 772"):
        panda.get_jobs(246)
    unknown = _recorded("job/get_description", 125.24)  # a job `unknown` and nothing else in its place
    replay.answer("GET", "task/get_job_descriptions", unknown)
    with pytest.raises(PandaUnavailable, match="describes 2: not 771"):
        panda.get_jobs(246)


@pytest.mark.parametrize(
    ("method", "t", "read"),
    [
        ("task/get_datasets_and_files", 175.48, lambda panda: panda.get_files(246)),
        ("task/get_tasks_detailed_info_since", 183.51, lambda panda: panda.find_tasks("PROD2025-201.SIM")),
        ("task/get_detailed_info", 183.48, lambda panda: panda.read_ended_task(246)),
    ],
)
def test_pandas_words_for_a_table_that_is_away_are_no_refusal(panda: PandaClient, replay: Replay, method, t, read):
    replay.answer("GET", method, _recorded(method, t))
    with pytest.raises(PandaUnavailable):
        read(panda)


@pytest.mark.parametrize(
    ("method", "data", "read"),
    [
        ("task/get_job_ids", None, lambda panda: panda.get_jobs(1)),
        ("task/get_job_ids", [7, None], lambda panda: panda.get_jobs(1)),
        ("task/get_datasets_and_files", None, lambda panda: panda.get_files(1)),
        ("task/get_datasets_and_files", [None], lambda panda: panda.get_files(1)),
        (
            "task/get_datasets_and_files",
            [{"dataset": {"name": "x"}, "files": [None]}],
            lambda panda: panda.get_files(1),
        ),
        ("task/get_tasks_detailed_info_since", [None], lambda panda: panda.find_tasks("x")),
        ("task/get_tasks_modified_since", None, lambda panda: panda.list_statuses([1], 7200)),
        ("task/get_task_parameters", None, lambda panda: panda.get_task_map(1)),
        ("task/get_detailed_info", {"jediTaskID": 1, "status": None}, lambda panda: panda.get_task(1)),
    ],
)
def test_success_with_a_null_is_no_answer(panda: PandaClient, replay: Replay, method: str, data: object, read):
    replay.answer("GET", method, {"success": True, "message": "", "data": data})
    with pytest.raises(PandaUnavailable, match="could not read it"):
        read(panda)


def test_none_of_many_tasks_shown_is_no_news_and_few_calls(panda: PandaClient, replay: Replay):
    replay.answer("GET", "task/get_tasks_modified_since", {"success": True, "message": "", "data": {}})
    replay.answer("GET", "task/get_status", {"success": False, "message": "Task not found", "data": None})
    found = panda.list_statuses(range(1, 1001), 7200)
    assert found == dict.fromkeys(range(1, SINGLES + 1), TaskStatus.UNSEEN)
    assert len(replay.seen) == 1 + SINGLES
    assert min(panda.list_statuses(range(1, 1001), 7200)) == SINGLES + 1  # the next ones


def test_datasets_list_the_files_of_failed_attempts_too(panda: PandaClient, replay: Replay):
    replay.load("seed_list")
    replay.answer(
        "GET",
        "task/get_datasets_and_files",
        next(x["response_body"] for x in read_lines("seed_list") if x["path"].endswith("get_datasets_and_files")),
    )
    datasets = {dataset.name.rsplit(".", 1)[-1]: dataset for dataset in panda.get_files(10)}
    assert [file.lfn for file in datasets["pseudo_dataset"].files][1] == "000001:40007"
    assert {file.status for file in datasets["S"].files} == {"finished", "failed"}
    assert len(datasets["S"].files) == 7


def test_no_files_while_a_task_is_not_refined(panda: PandaClient, replay: Replay):
    replay.answer(
        "GET", "task/get_datasets_and_files", {"success": False, "message": "No data found for the task", "data": None}
    )
    assert panda.get_files(10) == ()


# --- lists -----------------------------------------------------------------------------------------------------------
def test_find_tasks_takes_exactly_this_name(panda: PandaClient, replay: Replay):
    row = next(x for x in read_lines("listing") if f'"{SIM_NAME}"' in str(x["query"].get("filters")))
    other = {**row["response_body"]["data"][0], "taskName": SIM_NAME + ".2", "jediTaskID": 1}
    body = {**row["response_body"], "data": [other, *row["response_body"]["data"]]}
    replay.answer("GET", "task/get_tasks_detailed_info_since", body)
    assert [task.jedi_task_id for task in panda.find_tasks(SIM_NAME)] == [48]
    assert json.loads(replay.seen[-1].query["filters"][0]) == {"taskName": SIM_NAME}


@pytest.mark.parametrize("name", ["", "PROD.*", "a(b", "a b", "a|b", "ä"])
def test_a_name_that_panda_would_take_for_a_pattern_is_not_searched(panda: PandaClient, replay: Replay, name: str):
    with pytest.raises(SpecInvalid):
        panda.find_tasks(name)
    assert replay.seen == []


def test_statuses_of_many_tasks_come_in_one_call(panda: PandaClient, replay: Replay):
    line = next(x for x in read_lines("listing") if x["path"].endswith("get_tasks_modified_since"))
    replay.answer("GET", "task/get_tasks_modified_since", line["response_body"])
    rows = line["response_body"]["data"].values()
    expected = {row["jediTaskID"]: TaskStatus(row["status"]) for row in rows}
    assert len(expected) > 40
    assert panda.list_statuses(list(expected), 7200) == expected
    query = replay.seen[-1].query
    assert len(replay.seen) == 1
    assert (query["prod_source_label"], query["full"]) == (["managed"], ["false"])


def test_many_tasks_missing_in_the_list_are_asked_for_in_turns_and_never_by_a_query_over_a_year(
    panda: PandaClient, replay: Replay
):
    replay.answer("GET", "task/get_tasks_modified_since", {"success": True, "message": "", "data": {}})
    replay.answer("GET", "task/get_status", {"success": True, "message": "", "data": "running"})
    wanted, found = set(range(1, 51)), dict[int, TaskStatus]()
    for _ in range(3):
        news = panda.list_statuses(wanted, 7200)
        assert len(news) == 20, "no news of the others, who come next time"
        found |= news
    assert found == dict.fromkeys(wanted, TaskStatus.RUNNING)
    lists = [one.query["since"][0] for one in replay.seen if one.path.endswith("get_tasks_modified_since")]
    hours = [(datetime.now(UTC) - datetime.fromisoformat(f"{one}+00:00")).total_seconds() / 3600 for one in lists]
    assert len(lists) == 3
    assert all(hour < 3 for hour in hours)


def test_the_few_tasks_missing_in_the_list_are_asked_for_one_by_one(panda: PandaClient, replay: Replay):
    replay.answer("GET", "task/get_tasks_modified_since", {"success": True, "message": "", "data": {}})
    replay.answer("GET", "task/get_status", {"success": False, "message": "Task not found", "data": None})
    replay.answer("GET", "task/get_status", {"success": True, "message": "", "data": "done"}, task_id="7")
    assert panda.list_statuses({7, 9}, 7200) == {7: TaskStatus.DONE, 9: TaskStatus.UNSEEN}
    assert panda.list_statuses([], 7200) == {}


# --- commands --------------------------------------------------------------------------------------------------------
def test_recorded_commands_answer_as_they_did(panda: PandaClient, replay: Replay):
    commands = {"kill", "finish", "pause", "resume", "retry"}
    tried = 0
    for scenario in ("wrong_state_commands", "unknown_ids", "killed", "pause_resume", "duplicates"):
        for line in read_lines(scenario):
            command, body = line["path"].rsplit("/", 1)[-1], line["request_body"]
            plain = isinstance(body, dict) and list(body) == ["task_id"] and isinstance(body["task_id"], int)
            if line["method"] != "POST" or command not in commands or not plain or line["status"] != 200:
                continue
            replay.answer("POST", f"task/{command}", line["response_body"])
            code = line["response_body"]["data"]
            tried += 1
            if code == 0:
                getattr(panda, command)(body["task_id"])
            else:
                with pytest.raises(TaskUnknown if code == 2 else PandaRefused):
                    getattr(panda, command)(body["task_id"])
    assert tried > 30


# --- who and whether -------------------------------------------------------------------------------------------------
def test_the_role_is_asked_for(panda: PandaClient, replay: Replay):
    answers = [x for x in read_lines("auth") if x["path"].endswith("get_user_attributes")]
    for line in answers:
        replay.answer("GET", "system/get_user_attributes", line["response_body"])
        if line["request_headers"]["Authorization"] == "Bearer <no role>":
            with pytest.raises(PandaRoleMissing, match="user1"):
                panda.ensure_role()
        else:
            panda.ensure_role()
    assert len(answers) == 2


def test_a_server_of_the_old_kind_is_recognised_and_nothing_is_unpickled(panda: PandaClient, replay: Replay):
    boom = bytes.fromhex("80049525") + b"\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85\x94R."
    for body in (boom, b"(dp0\nS'StatusCode'\n", b"StatusCode=0&message=ok"):
        replay.always(200, body)
        with pytest.raises(PandaRefused, match=r"before 1\.0"):
            panda.is_alive()


def test_a_server_without_the_new_api_is_asked_whether_it_is_old(panda: PandaClient, replay: Replay):
    with pytest.raises(PandaUnavailable, match="PRODSYS_PANDA_URL"):
        panda.is_alive()
    replay.replies[("GET", "/server/panda/isAlive", json.dumps([{}, None]))] = [Answer(200, b"alive=yes")]
    with pytest.raises(PandaRefused, match=r"before 1\.0"):
        panda.is_alive()


def test_no_token_gets_out(replay: Replay, journal: Lines, caplog: pytest.LogCaptureFixture):
    replay.always(500, f"Traceback: Authorization: Bearer {TOKEN}".encode())
    errors = []
    for token in (TOKEN, f"{TOKEN}\nX", ""):
        with pytest.raises((PandaUnavailable, IdentityUnavailable)) as caught:
            PandaClient(replay.url, ORIGIN, lambda t=token: t, 2.0, journal).get_status(1)
        errors.append(f"{caught.value!r} {caught.value} {caught.value.__cause__!r} {caught.getrepr(style='short')}")
    assert TOKEN not in f"{errors} {journal.lines} {caplog.text}"


def test_a_token_file_with_a_newline_works(replay: Replay):
    replay.load("chain_done")
    PandaClient(replay.url, ORIGIN, lambda: f"{TOKEN}\n", 2.0).is_alive()
    assert replay.seen[-1].headers["Authorization"] == f"Bearer {TOKEN}"


def test_a_broken_journal_costs_no_answer(replay: Replay):
    class Broken:
        def record(self, **_: object) -> None:
            raise RuntimeError("no ledger")

    replay.load("chain_done")
    assert PandaClient(replay.url, ORIGIN, lambda: TOKEN, 2.0, Broken()).submit(_submitted("chain_done")[0]) == 48


@pytest.mark.parametrize("data", [7, "text", [1], None, {"jediTaskID": None}, {"x": 1}])
def test_answers_of_another_shape_are_no_crash(panda: PandaClient, replay: Replay, data: object):
    for path in ("task/get_detailed_info", "task/get_job_ids", "task/get_job_descriptions"):
        replay.answer("GET", path, {"success": True, "message": "", "data": data})
    for read in (panda.get_task, panda.get_jobs):
        try:
            read(1)
        except PandaAnswerInvalid as error:
            assert "unknown shape" in str(error)  # noqa: PT017
        except PandaUnavailable as error:  # a null, or less than it names: the server could not read its database
            assert re.search("could not read it|describes 0", str(error))  # noqa: PT017


@pytest.mark.parametrize(
    ("data", "kind"),
    [("text", "TypeError"), ([1], "TypeError"), ({"jediTaskID": "many", "status": "done"}, "ValueError")],
)
def test_an_answer_that_we_cannot_read_is_no_outage_and_is_told_with_its_type(
    panda: PandaClient, replay: Replay, data: object, kind: str
):
    replay.answer("GET", "task/get_detailed_info", {"success": True, "message": "", "data": data})
    with pytest.raises(PandaAnswerInvalid, match=rf"task/get_detailed_info .*{kind}") as caught:
        panda.get_task(1)
    assert not isinstance(caught.value, ServiceUnavailable)


def test_final_statuses_are_those_of_the_recordings():
    assert {TaskStatus.DONE, TaskStatus.FINISHED, TaskStatus.FAILED, TaskStatus.BROKEN, TaskStatus.ABORTED} < FINAL
