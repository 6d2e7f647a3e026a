"""The map in the docstring of `actions` names every module, and no other."""

import ast
import re

from prodsys.settings import REPOSITORY

ROOM = REPOSITORY / "plugins" / "prodsys" / "actions"


def test_a_stranger_finds_every_action_in_the_map() -> None:
    map_of_room = ast.get_docstring(ast.parse((ROOM / "__init__.py").read_text(encoding="utf-8"))) or ""
    modules = {path.stem for path in ROOM.glob("*.py")} - {"__init__"}
    assert set(re.findall(r"`(\w+)`", map_of_room)) == modules
