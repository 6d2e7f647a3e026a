"""A small STOMP server, only for listening: clients subscribe to a topic and get what is published from then on.

It stands in for the message broker beside a PanDA server (the recordings had ActiveMQ and ``/topic/panda_idds``). It
keeps nothing: as with any topic, who is not connected misses the message. Acknowledgements are accepted and mean
nothing; nobody can send.
"""

from __future__ import annotations

import asyncio
import hmac
import itertools
import logging
import threading
from collections.abc import Sequence

from sandbox.panda.messages.stomp_frames import (
    LARGEST_BODY,
    LONGEST_LINE,
    MOST_HEADERS,
    VERSIONS,
    Frame,
    FrameInvalid,
    body_length,
    choose_version,
    read_headers,
    read_heart_beat,
)

log = logging.getLogger(__name__)

_CONNECT_S = 10.0
_BEAT_MS = 1000
_PATIENCE = 2.5
_MOST_WAITING = 16 * 1024 * 1024
_SILENT = ("ACK", "NACK", "BEGIN", "COMMIT", "ABORT")


class _Client:
    """One connection of a listener."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, door: StompDoor) -> None:
        self._reader, self._writer, self._door = reader, writer, door
        self.subscriptions: dict[str, str] = {}
        self._hears_every_s: float | None = None
        self._beats: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        """Talk until the client goes, or says something that is no STOMP."""
        try:
            first = await asyncio.wait_for(self._read(), _CONNECT_S)
            if first is not None and self._connect(first):
                while await self._answer():
                    pass
        except FrameInvalid as error:
            self._refuse(str(error))
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError):
            pass  # silent for too long, gone, or lines without end
        finally:
            await self._close()

    def tell(self, destination: str, body: bytes, number: int) -> None:
        """Send a message to each subscription of this destination."""
        for name, wanted in self.subscriptions.items():
            if wanted == destination:
                headers = {"subscription": name, "message-id": str(number), "destination": destination}
                headers |= {"priority": "4", "content-length": str(len(body))}
                self._send(Frame("MESSAGE", headers, body))

    def _send(self, frame: Frame) -> None:
        if self._writer.transport.get_write_buffer_size() > _MOST_WAITING:
            log.warning("a listener does not read its messages: it is disconnected")
            self._writer.transport.abort()
        elif not self._writer.is_closing():
            self._writer.write(frame.encode())

    def _refuse(self, why: str, **headers: str) -> None:
        text = f"{why}\n".encode()
        about = {"message": why, "content-type": "text/plain", "content-length": str(len(text))}
        self._send(Frame("ERROR", about | headers, text))

    def _connect(self, frame: Frame) -> bool:
        if frame.command not in ("CONNECT", "STOMP"):
            self._refuse("the first frame is CONNECT or STOMP")
            return False
        version = choose_version(frame.headers.get("accept-version"))
        if version is None:
            self._refuse("only STOMP 1.1 and 1.2 are spoken here", version=",".join(reversed(VERSIONS)))
            return False
        if not self._door.lets_in(frame.headers.get("login", ""), frame.headers.get("passcode", "")):
            self._refuse("login or passcode is wrong")
            return False
        sends_ms, wants_ms = read_heart_beat(frame.headers.get("heart-beat"))
        about = {"version": version, "heart-beat": f"{_BEAT_MS},{_BEAT_MS}", "server": "prodsys-panda-sandbox"}
        self._send(Frame("CONNECTED", about))
        self._hears_every_s = max(sends_ms, _BEAT_MS) / 1000 if sends_ms else None
        if wants_ms:
            self._beats = asyncio.create_task(self._beat(max(wants_ms, _BEAT_MS) / 1000))
        return True

    async def _beat(self, every_s: float) -> None:
        while not self._writer.is_closing():
            self._writer.write(b"\n")
            await asyncio.sleep(every_s)

    async def _answer(self) -> bool:
        """Act on the next frame; whether the client stays."""
        frame = await self._read()
        if frame is None:
            return False
        stays = self._act(frame)
        if stays is not None and "receipt" in frame.headers:
            self._send(Frame("RECEIPT", {"receipt-id": frame.headers["receipt"]}))
        return bool(stays)

    def _act(self, frame: Frame) -> bool | None:
        """Whether the client stays; None after an error."""
        name = frame.headers.get("id", "")
        if frame.command == "SUBSCRIBE" and name and frame.headers.get("destination"):
            self.subscriptions[name] = frame.headers["destination"]
        elif frame.command == "UNSUBSCRIBE" and name:
            self.subscriptions.pop(name, None)
        elif frame.command == "DISCONNECT":
            return False
        elif frame.command not in _SILENT:
            self._refuse(f"{frame.command[:40]} is not accepted, or lacks a header; this server only tells")
            return None
        return True

    async def _read(self) -> Frame | None:
        """Return the next frame, or None when the client has gone."""
        command = ""
        while not command:  # empty lines are heart-beats
            line = await asyncio.wait_for(self._reader.readline(), self._patience())
            if not line:
                return None
            command = line.decode().rstrip("\r\n")
        lines: list[str] = []
        while (header := (await self._line()).rstrip("\r\n")) and len(lines) <= MOST_HEADERS:
            lines.append(header)
        headers = read_headers(command, lines)
        length = body_length(headers)
        if length is None:
            body = (await asyncio.wait_for(self._reader.readuntil(b"\0"), _CONNECT_S))[:-1]
        else:
            body = await asyncio.wait_for(self._reader.readexactly(length + 1), _CONNECT_S)
            if body[-1:] != b"\0":
                raise FrameInvalid("a frame ends with NUL")
            body = body[:-1]
        return Frame(command, headers, body)

    async def _line(self) -> str:
        line = await asyncio.wait_for(self._reader.readline(), _CONNECT_S)
        if not line.endswith(b"\n") or len(line) > LONGEST_LINE:
            raise FrameInvalid("a header is unfinished or too long")
        return line.decode()

    def _patience(self) -> float | None:
        return self._hears_every_s * _PATIENCE if self._hears_every_s else None

    async def _close(self) -> None:
        if self._beats is not None:
            self._beats.cancel()
        try:
            self._writer.close()
            await asyncio.wait_for(self._writer.wait_closed(), _CONNECT_S)
        except (OSError, TimeoutError):
            pass


class StompDoor:
    """The server; it works in a thread of its own between `start` and `stop`.

    Parameters
    ----------
    host, port
        Where it listens; port 0 takes a free one, see `port`.
    topic
        Destination that `publish` tells about.
    login, passcode
        What a client must say to be let in; an empty login lets everybody in.
    """

    def __init__(self, host: str, port: int, topic: str, login: str = "", passcode: str = "") -> None:
        self._host, self.port, self._topic, self._login, self._passcode = host, port, topic, login, passcode
        self._clients: set[_Client] = set()
        self._numbers = itertools.count(1)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="stomp", daemon=True)
        self._server: asyncio.Server | None = None

    def start(self) -> None:
        """Listen.

        Raises
        ------
        OSError
            The port is taken.
        """
        self._thread.start()
        opening = asyncio.start_server(self._welcome, self._host, self.port, limit=LARGEST_BODY)
        self._server = asyncio.run_coroutine_threadsafe(opening, self._loop).result(timeout=_CONNECT_S)
        self.port = self._server.sockets[0].getsockname()[1]

    def publish(self, bodies: Sequence[bytes]) -> None:
        """Tell all subscribers of the topic; from any thread."""
        if bodies:
            self._loop.call_soon_threadsafe(self._tell, list(bodies))

    def lets_in(self, login: str, passcode: str) -> bool:
        """Whether a client may come in."""
        if not self._login:
            return True
        said, known = f"{login}\n{passcode}".encode(), f"{self._login}\n{self._passcode}".encode()
        return hmac.compare_digest(said, known)

    def stop(self) -> None:
        """Disconnect everybody and end the thread."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result(timeout=_CONNECT_S)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=_CONNECT_S)
        self._loop.close()

    async def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = _Client(reader, writer, self)
        self._clients.add(client)
        try:
            await client.serve()
        finally:
            self._clients.discard(client)

    def _tell(self, bodies: list[bytes]) -> None:
        for body in bodies:
            number = next(self._numbers)
            for client in list(self._clients):
                client.tell(self._topic, body, number)
