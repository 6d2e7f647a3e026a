"""Messages from the tables to listeners, or none at all, as the settings say."""

from __future__ import annotations

import logging

from sqlalchemy import Engine

from sandbox.panda.messages.messages import install_triggers, push_messages, remove_triggers
from sandbox.panda.messages.stomp_door import StompDoor
from sandbox.panda.settings import PREFIX, Settings, SettingsInvalid

log = logging.getLogger(__name__)


class Messenger:
    """Listens at the door and pushes what was written; does nothing without a port."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._settings, self._engine = settings, engine
        self._door = _make_door(settings)

    @property
    def works(self) -> bool:
        """Whether messages are wanted."""
        return self._door is not None

    def start(self) -> None:
        """Open the door and let changes write messages; without a port let them write none.

        Raises
        ------
        SettingsInvalid
            The port cannot be opened.
        """
        if self._door is None:
            remove_triggers(self._engine)
            return
        try:
            self._door.start()
        except OSError as error:
            where = f"{self._settings.stomp_host}:{self._settings.stomp_port}"
            raise SettingsInvalid(f"{PREFIX}STOMP_PORT: {where} cannot be opened: {error}") from error
        install_triggers(self._engine)
        log.info("messages at %s:%s, topic %s", self._settings.stomp_host, self._door.port, self._settings.stomp_topic)

    def cycle(self) -> None:
        """Push what waits."""
        door = self._door
        while door is not None and push_messages(self._engine, door.publish, self._settings.stomp_keep):
            pass

    def stop(self) -> None:
        """Disconnect all listeners; what is written from now on waits for the next start."""
        if self._door is not None:
            self._door.stop()


def _make_door(settings: Settings) -> StompDoor | None:
    if settings.stomp_port is None:
        return None
    passcode = ""
    if settings.stomp_login:
        if settings.stomp_passcode_file is None:
            raise SettingsInvalid(f"{PREFIX}STOMP_LOGIN needs {PREFIX}STOMP_PASSCODE_FILE")
        try:
            passcode = settings.stomp_passcode_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingsInvalid(f"{PREFIX}STOMP_PASSCODE_FILE cannot be read: {error}") from error
    return StompDoor(settings.stomp_host, settings.stomp_port, settings.stomp_topic, settings.stomp_login, passcode)
