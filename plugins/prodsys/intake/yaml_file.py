"""YAML as people write it under ``include/specs``: safe, duplicate keys refused, every key with its line."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from prodsys.errors import FileUnreadable
from prodsys.intake.result import Fault, shown
from prodsys.intake.text_file import decode, read_bytes

MAX_BYTES = 1_000_000
MAX_DEPTH = 30
KeyPath = tuple[str | int, ...]
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C is ten times as fast


@dataclass(frozen=True)
class YamlDocument:
    """A parsed file: its data, the line of every key, and what was wrong with it as YAML."""

    file: str
    data: Any
    lines: dict[KeyPath, int] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()

    def line(self, path: KeyPath) -> int:
        """Line of a key from 1, or of the nearest one above it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_yaml(path: Path) -> YamlDocument:
    """The document of a file. It never raises for what the file holds: faults are in the result."""
    try:
        text = decode(read_bytes(path, MAX_BYTES), path)
    except FileUnreadable as error:
        return YamlDocument(str(path), None, faults=(Fault(str(path), None, "", "", error.message, error.remedy),))
    return parse_yaml(text, str(path))


def parse_yaml(text: str, file: str) -> YamlDocument:
    """The document of a text; ``file`` is named in faults."""
    try:
        _check_events(text)
        loader = _LOADER(text)
        node = loader.get_single_node()
        if node is None:
            return YamlDocument(file, None, faults=(Fault(file, 1, "", "", "is empty", "see include/specs"),))
        data = loader.construct_document(node)
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        return YamlDocument(file, None, faults=(_broken(error, file),))
    lines: dict[KeyPath, int] = {(): node.start_mark.line + 1}
    faults = tuple(_walk(node, (), lines, file))
    return YamlDocument(file, data, lines, faults)


def _check_events(text: str) -> None:
    """Refuse aliases (a few lines of them can stand for gigabytes) and depth that no spec has."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        problem = "aliases are not allowed: write it out" if isinstance(event, yaml.AliasEvent) else ""
        problem = "is nested deeper than any spec" if depth > MAX_DEPTH else problem
        if problem:
            mark: Any = event.start_mark
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


def _broken(error: Exception, file: str) -> Fault:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    row = mark.line + 1 if mark else None
    where = f" (column {mark.column + 1})" if mark else ""
    return Fault(file, row, "", "", f"is not YAML: {shown(problem)}{where}", "two spaces a level, key: value")


def _walk(node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int], file: str) -> Iterator[Fault]:
    """Note the line of every key below a node; yield a fault for every key that stands there twice."""
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines[(*path, index)] = item.start_mark.line + 1
            yield from _walk(item, (*path, index), lines, file)
    if isinstance(node, yaml.MappingNode):
        seen: dict[Hashable, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            here = (*path, str(key.value))
            if key.value in seen:
                yield Fault(
                    file, line, key_path(here), "", f"stands there twice, first in line {seen[key.value]}", "keep one"
                )
            seen[key.value] = line
            lines[here] = line
            yield from _walk(value, here, lines, file)


def key_path(path: KeyPath) -> str:
    """``steps[0].script``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
