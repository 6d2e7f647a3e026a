"""Messages: written with the change, pushed as recorded, heard by a listener that speaks STOMP."""

from __future__ import annotations

import json
import socket
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from sandbox.panda import tables as t
from sandbox.panda.messages.messages import install_triggers, push_messages, remove_triggers
from sandbox.panda.messages.stomp_door import StompDoor
from tests.contract.jedi.conftest import World, reco_map, sim_map
from tests.contract.panda import recordings

TOPIC = "/topic/panda_idds"


def _pushed(world: World, keep: int = 1000) -> list[dict[str, Any]]:
    bodies: list[bytes] = []
    while push_messages(world.engine, bodies.extend, keep):
        pass
    return [json.loads(body) for body in bodies]


def _recorded(scenario: str, task_id: int) -> list[dict[str, Any]]:
    path = Path(recordings.DATA) / f"events_{scenario}.jsonl"
    bodies = [json.loads(line)["body"] for line in path.read_text(encoding="utf-8").splitlines()]
    return [body for body in bodies if body["taskid"] == task_id]


def _of_task(bodies: list[dict[str, Any]]) -> list[Any]:
    return [body["status"] for body in bodies if body["msg_type"] == "task_status"]


def _run_as_recorded(world: World, seeds: int, **ends: Any) -> int:
    task_id = world.submit(sim_map(seeds=seeds))
    for _ in range(6):
        world.make_jobs()
        for _ in range(2):
            world.activate()
        world.start_jobs(task_id)
        world.end_jobs(task_id, **ends)
        world.finish()
    return task_id


def test_a_task_that_is_done_tells_what_the_recorded_one_told(world: World) -> None:
    install_triggers(world.engine)
    task_id = _run_as_recorded(world, 10)
    got, known = _pushed(world), _recorded("chain_done", 48)
    assert _of_task(got) == _of_task(known) == ["defined", "running", "prepared", "done"]
    assert Counter(body["status"] for body in got) == Counter(body["status"] for body in known)
    assert {body["taskid"] for body in got} == {task_id}


def test_messages_have_the_recorded_keys_in_their_order_and_types(world: World) -> None:
    install_triggers(world.engine)
    _run_as_recorded(world, 10, bad=lambda job: "--seed=501 " in job["parameters"])
    known = {}
    for body in _recorded("partial_finished", 49):
        known.setdefault((body["msg_type"], body["status"]), body)
    got = {(body["msg_type"], body["status"]): body for body in _pushed(world)}
    for key in set(known) & set(got):
        assert list(got[key]) == list(known[key]), key
        for name, value in known[key].items():
            assert type(got[key][name]) in (type(value), str if value == 0 else type(value)), (key, name)
    assert {key[1] for key in got if key[0] == "job_status"} == {key[1] for key in known if key[0] == "job_status"}


def test_inputs_and_errors_of_a_job_are_told(world: World) -> None:
    install_triggers(world.engine)
    sim = _run_as_recorded(world, 3, bad=lambda job: "--seed=501 " in job["parameters"])
    failed = next(body for body in _pushed(world) if body["status"] == "failed" and body["msg_type"] == "job_status")
    assert failed["inputs"] == ["000001:501"]
    assert (failed["piloterrorcode"], failed["piloterrordiag"], failed["exeerrorcode"]) == (1305, "bad", 0)
    reco = world.submit(reco_map(), parent=sim)
    world.run(reco)
    activated = [body for body in _pushed(world) if body["taskid"] == reco and body["status"] == "pending"]
    assert [name.split(".")[-3] for name in activated[-1]["inputs"]] == ["S", "P"]
    assert activated[-1]["piloterrorcode"] == "NULL"


def test_a_kill_and_a_reload_tell_what_was_recorded(world: World) -> None:
    install_triggers(world.engine)
    task_id = world.submit(sim_map())
    world.make_jobs()
    world.command(task_id, "kill")
    world.finish()
    world.command(task_id, "incexec")
    world.make_jobs()
    assert (
        _of_task(_pushed(world))
        == _of_task(_recorded("killed", 63))
        == ["defined", "running", "aborted", None, "running"]
    )


def test_pauses_retries_and_second_ends_are_not_told(world: World) -> None:
    install_triggers(world.engine)
    task_id = world.submit(sim_map())
    world.make_jobs()
    world.command(task_id, "pause")
    world.command(task_id, "resume")
    assert world.run(task_id, bad=lambda job: True) == "failed"
    world.command(task_id, "retry")
    assert world.run(task_id) == "done"
    world.command(task_id, "reassign")
    told = _of_task(_pushed(world))
    assert told == ["defined", "running", "prepared", "failed", "running", "prepared", "done"]


def test_a_twin_tells_that_it_aborts(world: World) -> None:
    install_triggers(world.engine)
    world.submit(sim_map())
    twin = world.submit(sim_map())
    world.refine()
    world.finish()
    told = [body["status"] for body in _pushed(world) if body["taskid"] == twin]
    assert told == ["toabort", "aborted"]


def test_a_change_that_is_undone_tells_nothing(world: World) -> None:
    install_triggers(world.engine)
    task_id = world.submit(sim_map())
    world.refine()
    _pushed(world)
    with world.engine.connect() as connection:
        connection.execute(t.task.update().where(t.task.c.jedi_task_id == task_id).values(status="done"))
        connection.rollback()
    assert _pushed(world) == []


def test_the_table_is_cut_and_without_triggers_nothing_is_written(world: World) -> None:
    install_triggers(world.engine)
    install_triggers(world.engine)
    _run_as_recorded(world, 10)
    _pushed(world, keep=5)
    count = select(func.count()).select_from(t.message)
    with world.engine.connect() as connection:
        assert connection.execute(count).scalar_one() == 5
    remove_triggers(world.engine)
    remove_triggers(world.engine)
    world.submit(sim_map(name="two"))
    world.make_jobs()
    assert _pushed(world) == []


class Listener:
    """A client that speaks STOMP by hand."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.rest = b""

    def send(self, command: str, body: bytes = b"", **headers: str) -> None:
        lines = "".join(f"{name.replace('_', '-')}:{value}\n" for name, value in headers.items())
        self.socket.sendall(f"{command}\n{lines}\n".encode() + body + b"\0")

    def receive(self) -> tuple[str, dict[str, str], str]:
        while b"\0" not in self.rest.lstrip(b"\n"):
            got = self.socket.recv(65536)
            if not got:
                raise EOFError
            self.rest = self.rest.lstrip(b"\n") + got
        frame, _, self.rest = self.rest.lstrip(b"\n").partition(b"\0")
        head, _, body = frame.decode().partition("\n\n")
        command, *lines = head.split("\n")
        return command, dict(line.split(":", 1) for line in lines), body

    def connect(self, **headers: str) -> tuple[str, dict[str, str], str]:
        self.send("CONNECT", accept_version="1.1,1.2", host="panda", **headers)
        return self.receive()


@pytest.fixture
def door() -> Iterator[StompDoor]:
    """Yield an open door for everybody."""
    door = StompDoor("127.0.0.1", 0, TOPIC)
    door.start()
    yield door
    door.stop()


def _subscribed(door: StompDoor, destination: str = TOPIC) -> Listener:
    listener = Listener(door.port)
    assert listener.connect()[0] == "CONNECTED"
    listener.send("SUBSCRIBE", id="0", destination=destination, ack="auto", receipt="r1")
    assert listener.receive()[:2] == ("RECEIPT", {"receipt-id": "r1"})
    return listener


def test_every_listener_of_the_topic_hears_and_others_do_not(door: StompDoor) -> None:
    first, second, other = _subscribed(door), _subscribed(door), _subscribed(door, "/topic/other")
    door.publish([b'{"a": 1}', b'{"a": 2}'])
    for listener in (first, second):
        for number in (1, 2):
            command, headers, body = listener.receive()
            assert (command, json.loads(body)) == ("MESSAGE", {"a": number})
            assert headers["destination"] == TOPIC
            assert (headers["subscription"], headers["priority"]) == ("0", "4")
            assert int(headers["content-length"]) == len(body)
    other.socket.settimeout(0.3)
    with pytest.raises(TimeoutError):
        other.receive()


def test_after_unsubscribe_and_disconnect_nothing_comes(door: StompDoor) -> None:
    listener = _subscribed(door)
    listener.send("UNSUBSCRIBE", id="0", receipt="r2")
    listener.receive()
    door.publish([b"{}"])
    listener.send("DISCONNECT", receipt="bye")
    assert listener.receive()[1] == {"receipt-id": "bye"}
    with pytest.raises(EOFError):
        listener.receive()


def test_heart_beats_come_and_a_silent_client_is_disconnected(door: StompDoor) -> None:
    listener = Listener(door.port)
    assert listener.connect(heart_beat="1000,1000")[1]["heart-beat"] == "1000,1000"
    began, beats = time.monotonic(), 0
    while got := listener.socket.recv(100):
        beats += got.count(b"\n")
    assert beats >= 2
    assert 2 < time.monotonic() - began < 8


@pytest.mark.parametrize(
    ("command", "headers", "said"),
    [
        ("SEND", {"destination": TOPIC}, "SEND is not accepted"),
        ("SUBSCRIBE", {"id": "0"}, "SUBSCRIBE is not accepted, or lacks a header"),
        ("SUBSCRIBE", {"id": "0", "destination": "a\\t"}, "undefined escape"),
        ("SEND", {"content_length": "many"}, "content-length"),
    ],
)
def test_what_is_not_accepted_ends_with_an_error(
    door: StompDoor, command: str, headers: dict[str, str], said: str
) -> None:
    listener = Listener(door.port)
    listener.connect()
    listener.send(command, **headers)
    name, about, _ = listener.receive()
    assert name == "ERROR"
    assert said in about["message"]
    with pytest.raises(EOFError):
        listener.receive()


def test_an_old_version_is_told_which_ones_are_spoken(door: StompDoor) -> None:
    listener = Listener(door.port)
    listener.send("CONNECT", host="x")
    name, headers, _ = listener.receive()
    assert (name, headers["version"]) == ("ERROR", "1.1,1.2")


def test_a_login_is_asked_for_when_the_settings_name_one() -> None:
    door = StompDoor("127.0.0.1", 0, TOPIC, "listener", "secret")
    door.start()
    try:
        assert Listener(door.port).connect()[0] == "ERROR"
        assert Listener(door.port).connect(login="listener", passcode="wrong")[0] == "ERROR"
        assert Listener(door.port).connect(login="listener", passcode="secret")[0] == "CONNECTED"
    finally:
        door.stop()


def test_a_listener_hears_a_whole_task(world: World, door: StompDoor) -> None:
    install_triggers(world.engine)
    listener = _subscribed(door)
    task_id = world.submit(sim_map())
    assert world.run(task_id) == "done"
    count = push_messages(world.engine, door.publish, 100)
    told = [json.loads(listener.receive()[2]) for _ in range(count)]
    assert _of_task(told) == ["defined", "running", "prepared", "done"]
