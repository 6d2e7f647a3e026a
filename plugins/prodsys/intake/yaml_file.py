"""YAML as people write it: the one reader of it, YAML 1.2's core schema, every key with its line.

Numbers are what a person reads: a leading zero, hexadecimal digits or `.nan` are faults, `yes` and `12:30` are words.
What no file here needs (tags, anchors, merge keys, several documents) is a fault with its line.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from prodsys.errors import FileUnreadable
from prodsys.intake.cells import CellRefused
from prodsys.intake.result import Fault, shown
from prodsys.intake.text_file import decode, read_bytes
from prodsys.intake.yaml_scalars import Scalar, read_plain

MAX_BYTES = 1_000_000
MAX_DEPTH = 30
MAX_NODES = 100_000  # keys and values of one file
MAX_FAULTS = 100  # of one file; whoever has so many mends them first
EMPTY = "is empty"
KeyPath = tuple[str | int, ...]
_TEXT_TAGS = ("!", "!!str", "tag:yaml.org,2002:str")


@dataclass(frozen=True)
class YamlDocument:
    """A parsed file: its data, the line of every key, numbers as written, and what was wrong with it as YAML."""

    file: str
    data: Any
    lines: dict[KeyPath, int] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    texts: dict[KeyPath, str] = field(default_factory=dict)

    def line(self, path: KeyPath) -> int:
        """Line of a key from 1, or of the nearest one above it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def written(self, path: KeyPath, value: object) -> str:
        """A value as it stands in the file: ``4.10``, where the number is 4.1."""
        return self.texts.get(path, str(value))


def read_yaml(path: Path) -> YamlDocument:
    """The document of a file. It never raises for what the file holds: faults are in the result."""
    try:
        text = decode(read_bytes(path, MAX_BYTES), path)
    except FileUnreadable as error:
        return YamlDocument(str(path), None, faults=(Fault(str(path), None, "", "", error.message, error.remedy),))
    return parse_yaml(text, str(path))


def load_yaml(path: Path, if_empty: Any = None) -> Any:
    """The data of a file, or ``if_empty`` for one with nothing in it; FileUnreadable, with the line, otherwise."""
    return load_yaml_text(decode(read_bytes(path, MAX_BYTES, may_be_empty=True), path), str(path), if_empty)


def load_yaml_text(text: str, file: str, if_empty: Any = None) -> Any:
    """The data of a text, as `load_yaml`."""
    document = parse_yaml(text, file)
    if not document.faults:
        return document.data
    first = document.faults[0]
    if first.message == EMPTY:
        return if_empty
    place = f"{file}, line {first.row}" if first.row else file
    what = " ".join(part for part in (first.column, first.value and repr(first.value), first.message) if part)
    raise FileUnreadable(place, what, first.remedy)


def parse_yaml(text: str, file: str) -> YamlDocument:
    """The document of a text; ``file`` is named in faults."""
    builder = _Builder(file)
    if len(text) > MAX_BYTES:
        return YamlDocument(file, None, faults=(Fault(file, None, "", "", "is huge", f"at most {MAX_BYTES:,} bytes"),))
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            builder.take(event)
    except _NotOurs as error:
        return YamlDocument(file, None, faults=(error.fault,))
    except (YAMLError, ValueError, OverflowError) as error:
        return YamlDocument(file, None, faults=(_broken(error, text, file),))
    if builder.is_empty:
        return YamlDocument(file, None, faults=(Fault(file, 1, "", "", EMPTY, "see include/specs"),))
    return YamlDocument(file, builder.root, builder.lines, tuple(builder.faults[:MAX_FAULTS]), builder.texts)


def _broken(error: Exception, text: str, file: str) -> Fault:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    place = getattr(error, "position", None)
    row = mark.line + 1 if mark else text.count("\n", 0, place) + 1 if isinstance(place, int) else None
    where = f" (column {mark.column + 1})" if mark else ""
    return Fault(file, row, "", "", f"is not YAML: {shown(problem)}{where}", "two spaces a level, key: value")


class _NotOurs(Exception):
    """Something that YAML knows and no file here needs."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        super().__init__(str(fault))


@dataclass
class _Level:
    """A mapping or a list that is being read."""

    path: KeyPath
    data: dict[str, Any] | list[Any]
    key: str | None = None  # of a mapping: the key whose value comes next


class _Builder:
    """Makes plain data of YAML's events, without recursion, and keeps the place of everything."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.root: Any = None
        self.is_empty = True
        self.lines: dict[KeyPath, int] = {}
        self.texts: dict[KeyPath, str] = {}
        self.faults: list[Fault] = []
        self._levels: list[_Level] = []
        self._documents = self._nodes = 0

    def take(self, event: Event) -> None:
        """Take the next event; _NotOurs for what no file here needs."""
        if isinstance(event, DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                message = "is not YAML that is read here: it holds a second document"
                raise self._refused(event, message, "one document a file: take the line --- out")
        if isinstance(event, MappingEndEvent | SequenceEndEvent):
            self._levels.pop()
        elif isinstance(event, NodeEvent):
            self._nodes += 1
            if self._nodes > MAX_NODES:
                raise self._refused(event, f"is huge: more than {MAX_NODES:,} values", "write ranges, or split it")
            self._check_node(event)
            self._take_node(event)

    def _check_node(self, event: NodeEvent) -> None:
        if isinstance(event, AliasEvent) or event.anchor:
            raise self._refused(event, "anchors and aliases are not allowed: write it out", "no & and no *")
        tag = getattr(event, "tag", None)
        if tag and not (isinstance(event, ScalarEvent) and tag in _TEXT_TAGS):
            name = str(tag).replace("tag:yaml.org,2002:", "!!")
            remedy = "write the value alone; a text that looks like a number goes in quotes"
            raise self._refused(event, f"is not YAML that is read here: the tag {shown(name)}", remedy)

    def _refused(self, event: Event, message: str, remedy: str) -> _NotOurs:
        path = self._path(next_key=False)
        return _NotOurs(Fault(self.file, event.start_mark.line + 1, key_path(path), "", message, remedy))

    def _path(self, next_key: bool = True) -> KeyPath:
        """Where the next value goes."""
        if not self._levels:
            return ()
        level = self._levels[-1]
        if isinstance(level.data, list):
            return (*level.path, len(level.data))
        return level.path if level.key is None and not next_key else (*level.path, level.key or "")

    def _take_node(self, event: NodeEvent) -> None:
        level = self._levels[-1] if self._levels else None
        if level and isinstance(level.data, dict) and level.key is None:
            self._take_key(level, event)
            return
        path, line = self._path(), event.start_mark.line + 1
        if not path or isinstance(path[-1], int):
            self.lines[path] = line
        value = self._value(event, path)
        if level is None:
            self.is_empty = isinstance(event, ScalarEvent) and value is None
            self.root = value
        elif isinstance(level.data, list):
            level.data.append(value)
        else:
            level.data[str(level.key)] = value
            level.key = None

    def _value(self, event: NodeEvent, path: KeyPath) -> Any:
        if isinstance(event, ScalarEvent):
            return self._scalar(event, path)
        data: dict[str, Any] | list[Any] = {} if isinstance(event, MappingStartEvent) else []
        self._levels.append(_Level(path, data))
        if len(self._levels) > MAX_DEPTH:
            raise self._refused(event, "is nested deeper than any spec", f"at most {MAX_DEPTH} levels")
        return data

    def _scalar(self, event: ScalarEvent, path: KeyPath) -> Scalar:
        text = str(event.value)
        if event.style or event.tag:
            return text
        try:
            value = read_plain(text)
        except CellRefused as refused:
            line = event.start_mark.line + 1
            self.faults.append(Fault(self.file, line, key_path(path), shown(text), refused.message, refused.remedy))
            return None
        if not isinstance(value, str) and value is not None:
            self.texts[path] = text
        return value

    def _take_key(self, level: _Level, event: NodeEvent) -> None:
        """A key is the text that stands there, be it 4.10 or on."""
        if isinstance(event, SequenceStartEvent | MappingStartEvent) or not isinstance(event, ScalarEvent):
            raise self._refused(event, "is not YAML that is read here: a key that is no word", "key: value")
        key, line = str(event.value), event.start_mark.line + 1
        path = (*level.path, key)
        if key == "<<" and not event.style:
            raise self._refused(event, "merge keys are not allowed: write it out", "no <<")
        if key in level.data:
            message = f"stands there twice, first in line {self.lines[path]}"
            self.faults.append(Fault(self.file, line, key_path(path), "", message, "keep one"))
        level.key = key
        self.lines[path] = line


def key_path(path: KeyPath) -> str:
    """``steps[0].script``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
