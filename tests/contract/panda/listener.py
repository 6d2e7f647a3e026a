"""A listener of the sandbox's messages: plain STOMP 1.2 over a socket, in a thread."""

from __future__ import annotations

import json
import socket
import threading
import time
from typing import Any

TOPIC = "/topic/panda_idds"
CONNECT_S = 30.0


class Listener:
    """Remembers all messages of a topic from its start on, in the order they came."""

    def __init__(self, port: int) -> None:
        self._socket = self._connect(port)
        self._lock = threading.Lock()
        self._heard: list[tuple[dict[str, str], dict[str, Any]]] = []
        self._say("CONNECT", "accept-version:1.2", "host:contract")
        self._say("SUBSCRIBE", "id:1", f"destination:{TOPIC}")
        threading.Thread(target=self._listen, name="listener", daemon=True).start()

    def _connect(self, port: int) -> socket.socket:
        end = time.monotonic() + CONNECT_S
        while True:
            try:
                found = socket.create_connection(("127.0.0.1", port), timeout=5)
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)
            else:
                found.settimeout(None)
                return found

    def _say(self, *lines: str) -> None:
        self._socket.sendall(("\n".join(lines) + "\n\n\0").encode())

    def _listen(self) -> None:
        waiting = b""
        while True:
            try:
                part = self._socket.recv(65536)
            except OSError:
                return
            if not part:
                return
            *frames, waiting = (waiting + part).split(b"\0")
            for frame in frames:
                self._hear(frame.lstrip(b"\n").decode())

    def _hear(self, frame: str) -> None:
        head, _, body = frame.partition("\n\n")
        command, *lines = head.split("\n")
        if command == "MESSAGE":
            headers = dict(line.split(":", 1) for line in lines)
            with self._lock:
                self._heard.append((headers, json.loads(body)))

    def messages(self, task_id: int) -> list[tuple[dict[str, str], dict[str, Any]]]:
        """Headers and bodies of all messages on a task so far."""
        with self._lock:
            return [one for one in self._heard if one[1].get("taskid") == task_id]

    def close(self) -> None:
        """Go."""
        self._socket.close()
