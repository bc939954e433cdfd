"""YAML read safely into plain values that know their lines: no tags, no bombs, no repeated keys."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from studio_pipeline.schema.errors import InputError, one_line

__all__ = ["MAX_BYTES", "MAX_DEPTH", "MAX_NODES", "YamlNode", "YamlProblem", "parse_yaml", "read_text"]

MAX_BYTES = 8 << 20
MAX_NODES = 1_000_000  # aliases counted as often as they are used
MAX_DEPTH = 40
MAX_PROBLEMS = 100  # that are told; a file with more is wrong from top to bottom

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_NUMBERS = {_TAG + "int": "construct_yaml_int", _TAG + "float": "construct_yaml_float"}
_PLAIN = {_TAG + "bool": "construct_yaml_bool", _TAG + "null": "construct_yaml_null"}
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")


class YamlProblem(InputError):
    """Something that makes a file unreadable as YAML; ``line`` counts from 1."""

    def __init__(self, what: object, *, where: object = "", do: object = "", line: int = 1) -> None:
        self.line = line
        super().__init__(what, where=where, do=do)


@dataclass(slots=True)
class YamlNode:
    """A value with the line where it stands. Mappings hold nodes by key, lists hold nodes in order."""

    line: int  # counts from 1; of a mapping's entry: the line of its key
    value: Any = None  # plain Python value
    children: dict[Any, YamlNode] = field(default_factory=dict)  # by key, or by index
    size: int = 1  # nodes below, itself included, aliases counted in full

    def line_of(self, path: tuple[Any, ...]) -> int:
        """The line of the deepest node on ``path`` (keys and indices) that the file really has."""
        node = self
        for step in path:
            below = node.children.get(step)
            if below is None:
                break
            node = below
        return node.line


@dataclass(slots=True)
class _Open:
    """A collection whose end has not been read yet."""

    node: YamlNode
    mapping: bool
    anchor: str | None
    key: tuple[str, int] | None = None
    merged: list[YamlNode] = field(default_factory=list)


def read_text(path: Path, *, limit: int = MAX_BYTES) -> str:
    """A text file of at most ``limit`` bytes.

    Raises:
        InputError: It is missing, too large, not UTF-8, or holds control characters.
    """
    try:
        if not path.is_file():
            raise InputError("no such file" if not path.is_dir() else "is a folder, expected a file", where=path)
        with path.open("rb") as stream:
            data = stream.read(limit + 1)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read ({error})", where=path) from None
    if len(data) > limit:
        raise InputError(f"is larger than {limit >> 20} MB", where=path, do="split it into several files")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"is not UTF-8 (byte 0x{data[error.start]:02x})", where=f"{path}:{line}", do="save it as UTF-8"
        ) from None
    if found := _UNPRINTABLE.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise InputError(f"holds the control character {found.group()!r}", where=f"{path}:{line}", do="delete it")
    return text


def parse_yaml(text: str) -> tuple[YamlNode, list[YamlProblem]]:
    """One YAML document as a tree of plain values with lines.

    Returns:
        The tree, and problems that don't stop the reading: keys given twice, tags, keys that are no text.

    Raises:
        YamlProblem: The text is no single YAML document, or is nested or repeated beyond all use.
    """
    builder = _Builder(_LOADER(text))
    try:
        return builder.build(), builder.problems
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = error.problem or error.context or "cannot be parsed"
        do = "indent with spaces, not tabs" if "tab" in what or "'\\t'" in what else ""
        raise YamlProblem(f"is not YAML: {what}", do=do, line=mark.line + 1 if mark else 1) from None
    except (yaml.YAMLError, RecursionError, ValueError, UnicodeError) as error:
        raise YamlProblem(f"is not YAML: {one_line(error)[:200]}") from None
    finally:
        builder.loader.dispose()


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."


class _Builder:
    """Builds the tree from parse events, without recursion."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader
        self.anchors: dict[str, YamlNode] = {}
        self.stack: list[_Open] = []
        self.problems: list[YamlProblem] = []
        self.root: YamlNode | None = None

    def build(self) -> YamlNode:
        documents = 0
        while True:
            event = self.loader.get_event()
            kind = type(event)
            line = event.start_mark.line + 1
            if kind is yaml.ScalarEvent:
                self._scalar(event, line)
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                self._start(event, kind is yaml.MappingStartEvent, line)
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self._end()
            elif kind is yaml.AliasEvent:
                self._alias(event, line)
            elif kind is yaml.DocumentStartEvent:
                documents += 1
                if documents > 1:
                    raise YamlProblem("holds a second document", do="delete the line '---'", line=line)
            elif kind is yaml.StreamEndEvent:
                return self.root or YamlNode(line=1)

    def _tell(self, what: str, do: str, line: int) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(YamlProblem(what, do=do, line=line))

    def _expects_key(self) -> bool:
        return bool(self.stack) and self.stack[-1].mapping and self.stack[-1].key is None

    def _scalar(self, event: Any, line: int) -> None:
        if self._expects_key():
            self.stack[-1].key = (event.value, line)
            if event.anchor:
                self.anchors[event.anchor] = YamlNode(line=line, value=event.value)
            return
        node = YamlNode(line=line, value=self._value(event, line))
        self._attach(node, event.anchor)

    def _value(self, event: Any, line: int) -> Any:
        text = event.value
        if event.tag and event.tag not in ("!", _TAG + "str"):
            if event.tag not in _NUMBERS and event.tag not in _PLAIN:
                self._tell(f"the tag {_short(event.tag)} is not allowed", "delete it", line)
                return text
            tag = event.tag
        elif event.tag or len(text) > 64:
            return text
        else:
            tag = self.loader.resolve(yaml.ScalarNode, text, event.implicit)
        # Dates and the rest stay text: nothing in this project wants more than numbers and words.
        method = _NUMBERS.get(tag) or _PLAIN.get(tag)
        if method is None:
            return text
        try:
            return getattr(self.loader, method)(yaml.ScalarNode(tag, text))
        except (ValueError, KeyError, IndexError, OverflowError):
            return text

    def _start(self, event: Any, mapping: bool, line: int) -> None:
        if len(self.stack) >= MAX_DEPTH:
            raise YamlProblem(f"is nested more than {MAX_DEPTH} levels deep", line=line)
        if self._expects_key():
            raise YamlProblem("a key must be a word, not a list or a mapping", line=line)
        if event.tag and event.tag not in ("!", _TAG + "map", _TAG + "seq"):
            self._tell(f"the tag {_short(event.tag)} is not allowed", "delete it", line)
        self.stack.append(_Open(YamlNode(line=line, value={} if mapping else []), mapping, event.anchor))

    def _end(self) -> None:
        done = self.stack.pop()
        for source in done.merged:
            for key, child in source.children.items():
                if key not in done.node.children:
                    done.node.children[key] = child
                    done.node.value[key] = child.value
        self._attach(done.node, done.anchor)

    def _alias(self, event: Any, line: int) -> None:
        if any(item.anchor == event.anchor for item in self.stack):
            raise YamlProblem(f"*{_short(event.anchor)} is used inside its own definition", line=line)
        node = self.anchors.get(event.anchor)
        if node is None:
            name = _short(event.anchor)
            raise YamlProblem(f"*{name} is used but &{name} is nowhere defined before", line=line)
        if self._expects_key():
            self.stack[-1].key = (str(node.value), line)
            return
        self._attach(node, None)

    def _attach(self, node: YamlNode, anchor: str | None) -> None:
        if anchor:
            self.anchors[anchor] = node
        if not self.stack:
            self.root = node
            return
        top = self.stack[-1]
        top.node.size += node.size
        if top.node.size > MAX_NODES:
            raise YamlProblem(f"grows beyond {MAX_NODES} values, aliases counted in full", line=node.line)
        if top.mapping:
            self._enter(top, node)
        else:
            top.node.children[len(top.node.value)] = node
            top.node.value.append(node.value)

    def _enter(self, top: _Open, node: YamlNode) -> None:
        assert top.key is not None
        (key, line), top.key = top.key, None
        if key == "<<":
            sources = [node] if isinstance(node.value, dict) else list(node.children.values())
            if not sources or not all(isinstance(source.value, dict) for source in sources):
                self._tell("'<<' merges mappings only", "", line)
            else:
                top.merged += sources
        elif key in top.node.children:
            first = top.node.children[key].line
            self._tell(f"field {_short(key)!r} is given twice, first in line {first}", "keep one", line)
        else:
            # An entry is where its key is; an aliased value keeps its own lines below.
            top.node.children[key] = YamlNode(line=line, value=node.value, children=node.children, size=node.size)
            top.node.value[key] = node.value
