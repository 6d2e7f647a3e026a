"""The rooms of DESIGN section 2: who may import whom, read from the syntax trees."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PLUGINS = REPOSITORY / "plugins"

# Each room with the rooms it may import besides itself: those below it in
#   errors < model < intake, panda, ddm, iam, orchestrator < ledger < actions < hooks < triggers < sensors, operators <
#   building < dags; actions < web, cli
# `settings`, `transport` and `whole_files` stand beside errors. Rooms on one line do not import each other.
LINES = (
    ("errors", "settings", "transport", "whole_files"),
    ("model",),
    ("intake", "panda", "ddm", "iam", "orchestrator"),
    ("ledger",),
    ("actions",),
    ("hooks",),
    ("triggers",),
    ("sensors", "operators"),
    ("building",),
    ("dags",),
)
SIDE = {"web": "actions", "cli": "actions"}  # rooms that stand on another one, outside the line
SANDBOX_MAY = {"model", "cli"}  # of the package, by DESIGN; what these stand on comes with them
WITH_AIRFLOW = {"hooks", "triggers", "sensors", "operators", "building", "dags", "plugin file", "sandbox"}
ONLY = {"pandaclient": {"panda"}, "rucio": {"ddm"}}
SAME_LINE = {"settings": {"errors"}}  # a setting that is missing is an error of ours

ROOMS_OF_ACTIONS = {  # each with the rooms of actions that it may import besides itself, lowest first
    "core": (),
    "queries": ("core",),
    "requests": ("core",),
    "planning": ("core", "requests"),
    "runs": ("core", "requests", "planning"),
    "submission": ("core", "requests", "planning"),
    "settlement": ("core", "runs", "submission"),
    "closing": ("core", "runs", "submission", "settlement"),
    "reconciliation": ("core", "requests", "planning", "runs", "submission", "settlement", "closing"),
}
SERVICES = {"panda": "PanDA", "rucio": "Rucio", "airflow": "Airflow"}  # attribute of the context -> its name


def _allowed() -> dict[str, set[str]]:
    allowed: dict[str, set[str]] = {}
    below: set[str] = set()
    for line in LINES:
        for room in line:
            allowed[room] = below | {room} | SAME_LINE.get(room, set())
        below = below | set(line)
    for room, top in SIDE.items():
        allowed[room] = allowed[top] | {room}
    allowed["plugin file"] = below | set(SIDE) - {"dags"}
    allowed["sandbox"] = {"errors", "settings", "whole_files"}.union(*(allowed[room] for room in SANDBOX_MAY))
    return allowed


ALLOWED = _allowed()


def room_of(path: Path) -> str:
    """Room that a file belongs to."""
    parts = path.relative_to(REPOSITORY).parts
    if parts[0] in ("dags", "sandbox"):
        return parts[0]
    if parts[1] == "prodsys":
        return parts[2].removesuffix(".py")
    return "plugin file"


def imported(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every module that a tree imports anywhere, with its line; ``from prodsys import x`` counts as ``prodsys.x``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: imports are absolute"
            if node.module == "prodsys":
                yield from ((f"prodsys.{alias.name}", node.lineno) for alias in node.names)
            else:
                yield str(node.module), node.lineno
        elif isinstance(node, ast.Call) and _is_import_call(node):
            yield str(node.args[0].value), node.lineno  # type: ignore[attr-defined]


def _is_import_call(node: ast.Call) -> bool:
    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
    named = bool(node.args) and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str)
    return name in ("import_module", "__import__") and named


def faults_of(source: str, room: str, name: str = "file") -> list[str]:
    """What a file of a room imports against the rule."""
    found = []
    for module, line in imported(ast.parse(source)):
        parts = module.split(".")
        if parts[0] == "prodsys" and len(parts) > 1 and parts[1] not in ALLOWED[room]:
            found.append(f"{name}:{line}: {room} imports {module}")
        if parts[0] == "airflow" and room not in WITH_AIRFLOW:
            found.append(f"{name}:{line}: {room} imports Airflow")
        if parts[0] in ONLY and room not in ONLY[parts[0]] and room != "sandbox":
            found.append(f"{name}:{line}: {room} imports {parts[0]}")
        if parts[0] == "sandbox" and room not in ("sandbox",):
            found.append(f"{name}:{line}: {room} imports the sandbox")
        if parts[0] == "dags":
            found.append(f"{name}:{line}: {room} imports dags")
    return found


def sources() -> list[Path]:
    folders = (PLUGINS, REPOSITORY / "dags", REPOSITORY / "sandbox")
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def test_every_file_imports_only_what_lies_below_it():
    faults = [
        fault
        for path in sources()
        for fault in faults_of(path.read_text(encoding="utf-8"), room_of(path), str(path.relative_to(REPOSITORY)))
    ]
    assert faults == []


def test_every_room_is_known():
    assert {room_of(path) for path in sources()} - {"__init__"} <= ALLOWED.keys()


# --- inside actions ---------------------------------------------------------------------------------------------------
def faults_of_actions(source: str, room: str, name: str = "file") -> list[str]:
    """What a file of a room of actions imports from another one against the rule."""
    inside = [(module.split("."), line) for module, line in imported(ast.parse(source))]
    rooms = [(parts[2], line) for parts, line in inside if parts[:2] == ["prodsys", "actions"] and len(parts) > 2]
    allowed = {room, *ROOMS_OF_ACTIONS[room]}
    return [f"{name}:{line}: actions/{room} imports actions/{other}" for other, line in rooms if other not in allowed]


def files_of_actions() -> dict[str, list[Path]]:
    """Files of each room of actions."""
    folder = PLUGINS / "prodsys" / "actions"
    rooms = sorted(path for path in folder.iterdir() if path.is_dir() and path.name != "__pycache__")
    assert sorted(path.name for path in folder.glob("*.py")) == ["__init__.py"], "every action stands in a room"
    return {room.name: sorted(room.rglob("*.py")) for room in rooms}


def test_every_action_imports_only_the_rooms_below_its_own():
    files = files_of_actions()
    assert files.keys() == ROOMS_OF_ACTIONS.keys()
    faults = [
        fault
        for room, paths in files.items()
        for path in paths
        for fault in faults_of_actions(path.read_text(encoding="utf-8"), room, path.name)
    ]
    assert faults == []


def test_the_rooms_of_actions_make_no_circle():
    for room, below in ROOMS_OF_ACTIONS.items():
        for other in below:
            assert room not in ROOMS_OF_ACTIONS[other], f"{room} and {other} may import each other"


@pytest.mark.parametrize("room", ROOMS_OF_ACTIONS)
def test_a_room_of_actions_says_what_it_calls_and_what_it_offers(room):
    """The docstring names the services that its files call, and public functions that exist."""
    *paths, text = [path.read_text(encoding="utf-8") for path in files_of_actions()[room][1:]] + [
        (PLUGINS / "prodsys" / "actions" / room / "__init__.py").read_text(encoding="utf-8")
    ]
    used = {ast.unparse(node) for source in paths for node in ast.walk(ast.parse(source)) if _is_service(node)}
    called = {SERVICES[name.rpartition(".")[2]] for name in used}
    told = text.partition("Calls: ")[2].partition("Public")[0]
    assert {name for name in SERVICES.values() if name in told} == called
    functions = {
        f"{path.stem}.{node.name}"
        for path in files_of_actions()[room]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    }
    assert set(_public(text)) <= functions


def _is_service(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in SERVICES and getattr(node.value, "id", "") == "ctx"


def _public(text: str) -> Iterator[str]:
    """``module.function`` of all that a docstring names after ``Public:``."""
    for module, function, several in re.findall(
        r"`(\w+)(?:\.(\w+))?`(?:\s+\(([^)]*`)[^)]*\))?", text.partition("Public:")[2]
    ):
        yield from (
            [f"{module}.{function}"] if function else [f"{module}.{name}" for name in re.findall(r"\w+", several)]
        )


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("core", "from prodsys.actions.runs.pausing import pause"),
        ("submission", "from prodsys.actions.settlement.settling import settle_step"),
        ("queries", "import prodsys.actions.requests.cloning"),
    ],
)
def test_the_rule_of_actions_says_no(room, source):
    assert faults_of_actions(source, room)


def _names_its_own_files(path: Path, node: ast.stmt) -> bool:
    """Whether a line only makes the one tree of errors known under one name."""
    if path.parent.name != "errors":
        return False
    own = isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("prodsys.errors.", "__future__"))
    return own or (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__")


def test_nothing_happens_when_a_room_is_imported():
    for path in PLUGINS.rglob("__init__.py"):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        strange = [node for node in body if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))]
        strange = [node for node in strange if not _names_its_own_files(path, node)]
        assert not strange, f"{path}: nothing but a docstring stands in __init__.py"


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("model", "import prodsys.intake.files"),
        ("intake", "from prodsys.panda import client"),
        ("panda", "from prodsys import ledger"),
        ("actions", "import prodsys.hooks.panda"),
        ("cli", "from prodsys.web.app import x"),
        ("web", "from prodsys.hooks import y"),
        ("ledger", "import airflow"),
        ("actions", "def f():\n    from airflow.sdk import dag"),
        ("cli", "from importlib import import_module\nimport_module('airflow.models')"),
        ("hooks", "import pandaclient.Client"),
        ("actions", "from rucio.client import Client"),
        ("cli", "import sandbox.stack"),
        ("sensors", "import prodsys.operators.submit"),
        ("operators", "import prodsys.sensors.task"),
        ("sandbox", "import prodsys.hooks.x"),
        ("errors", "import prodsys.model.seeds"),
    ],
)
def test_the_rule_says_no(room, source):
    assert faults_of(source, room)


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("model", "from prodsys.errors import SpecInvalid"),
        ("settings", "from prodsys.errors import SettingMissing"),
        ("actions", "import prodsys.panda.client\nimport prodsys.ledger.tables"),
        ("cli", "import prodsys.actions.planning.planning"),
        ("operators", "import prodsys.triggers.panda_task\nimport airflow.sdk"),
        ("dags", "from prodsys.building.dag_builder import build_dag"),
        ("plugin file", "import airflow\nimport prodsys.web.app"),
        ("sandbox", "import prodsys.model.names\nimport prodsys.cli.output\nimport rucio.client"),
        ("panda", "import pandaclient.Client"),
    ],
)
def test_the_rule_says_yes(room, source):
    assert faults_of(source, room) == []
