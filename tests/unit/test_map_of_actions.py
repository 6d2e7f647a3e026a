"""The map in the docstring of `actions` names every room, and no other; every file of a room says what it is."""

import ast
import re

from prodsys.settings import REPOSITORY

ACTIONS = REPOSITORY / "plugins" / "prodsys" / "actions"
ROOMS = sorted(path for path in ACTIONS.iterdir() if (path / "__init__.py").exists())


def test_a_stranger_finds_every_room_in_the_map() -> None:
    map_of_rooms = ast.get_docstring(ast.parse((ACTIONS / "__init__.py").read_text(encoding="utf-8"))) or ""
    listed = re.findall(r"^- `(\w+)`: ", map_of_rooms, re.MULTILINE)
    assert sorted(listed) == [room.name for room in ROOMS]


def test_every_file_of_a_room_says_what_it_is() -> None:
    files = [path for room in ROOMS for path in room.glob("*.py")]
    silent = [path for path in files if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))]
    assert files
    assert silent == []
