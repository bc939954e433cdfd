"""Shot lists: YAML files of shots, every problem named by file, line, field and what was expected."""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from studio_pipeline.schema.errors import InputError, one_line
from studio_pipeline.schema.shot import CameraKey, CameraSpec, CharacterRef, Shot
from studio_pipeline.schema.yaml_tree import MAX_PROBLEMS, YamlNode, YamlProblem, parse_yaml, read_text

__all__ = ["LoadedShot", "ShotListErrors", "load_shots"]

_EXPECTED = {
    "show": "a code in quotes",
    "sequence": "a code in quotes",
    "shot": 'a code in quotes, such as "0010"',
    "character": "a name in the asset library, a path, or {file, height_m, seed}",
    "file": "a name in the asset library or a path",
    "height_m": "a height in metres, above 0 and at most 1000",
    "cast": "a list; one character is given as 'character' today",
    "kind": "mesh",
    "brief": "text of at most 4000 characters",
    "directives": "a mapping of taxonomy fields to values, such as {motion.performance: walk}",
    "reference": "the path of a picture or clip",
    "frames": "[first, last], two frame numbers, both included",
    "handles": "a number of frames from 0 to 200",
    "resolution": "[width, height] in pixels",
    "camera": "{eye, target, up, fov_y_deg} or keys",
    "eye": "[x, y, z] in metres",
    "target": "[x, y, z] in metres",
    "up": "[x, y, z]",
    "fov_y_deg": "a vertical field of view between 0.5 and 170 degrees",
    "focal_mm": "a focal length in millimetres, above 0",
    "sensor_mm": "the sensor's height in millimetres, above 0",
    "keys": "a list of {frame, eye, target, up, fov_y_deg or focal_mm}",
    "frame": "a frame number",
    "seed": "a whole number from 0 to 2147483647",
    "priority": "a whole number from -100 to 100",
    "code_policy": "source (results follow the code) or version (only a stage's version counts), one for a whole show",
    "stages": "a mapping of stage names to their settings, such as {rig: {backend: provided}}",
}


class ShotListErrors(InputError):
    """All problems of shot lists, one line each in ``lines``."""

    def __init__(self, lines: Sequence[object]) -> None:
        self.lines: tuple[str, ...] = tuple(one_line(line) for line in lines)
        super().__init__("; ".join(self.lines))

    def __str__(self) -> str:
        return "\n".join(self.lines)

    def __reduce__(self) -> tuple[object, ...]:
        return ShotListErrors, (self.lines,)


@dataclass(frozen=True)
class LoadedShot:
    """A shot and the place where it is written."""

    shot: Shot
    source: Path  # the shot list, as it was named
    line: int  # counts from 1
    node: YamlNode = field(repr=False, compare=False, default_factory=lambda: YamlNode(line=1))

    def line_of(self, field_path: str | Sequence[Any]) -> int:
        """The line of a field such as ``"stages.takes.file"``; of the nearest thing above it when it isn't written."""
        return self.node.line_of(_longest_keys(self.node, field_path))


def _longest_keys(node: YamlNode, field_path: str | Sequence[Any]) -> tuple[Any, ...]:
    """Steps of a dotted path; keys that hold dots themselves (``directives.camera.move``) are kept whole."""
    if not isinstance(field_path, str):
        return tuple(field_path)
    steps: list[Any] = []
    parts = field_path.split(".")
    while parts:
        for count in range(len(parts), 0, -1):
            key: Any = ".".join(parts[:count])
            key = int(key) if key.isdecimal() and key not in node.children else key
            if key in node.children:
                break
        else:
            return tuple(steps)
        steps.append(key)
        node, parts = node.children[key], parts[count:]
    return tuple(steps)


def load_shots(path: Path) -> list[LoadedShot]:
    """Read a shot list whole.

    Args:
        path: A YAML file that is a list of shots.

    Raises:
        ShotListErrors: The file is not such a list, or shots in it are wrong; all problems are named.
        InputError: The file cannot be read.
    """
    text = read_text(path)
    try:
        root, found = parse_yaml(text)
    except YamlProblem as problem:
        raise ShotListErrors([_at(path, problem.line, problem)]) from None
    problems = [(item.line, _at(path, item.line, item)) for item in found]
    if not isinstance(root.value, list) or not root.value:
        raise ShotListErrors([_not_a_list(path, root)])
    shots: list[LoadedShot] = []
    places: dict[str, int] = {}
    for node in root.children.values():
        if len(problems) > MAX_PROBLEMS:
            problems.append((node.line, _at(path, node.line, "and so on - mend what stands above first")))
            break
        try:
            shot = Shot.model_validate(_mapping(node))
        except ValidationError as error:
            problems += [(line, _at(path, line, what)) for line, what in _explain(error, node)]
            continue
        except YamlProblem as problem:
            problems.append((problem.line, _at(path, problem.line, problem)))
            continue
        if shot.id in places:
            what = f"shot {shot.id} is already given in line {places[shot.id]} - each shot needs its own code"
            problems.append((node.line, _at(path, node.line, what)))
        places.setdefault(shot.id, node.line)
        shots.append(LoadedShot(shot=shot, source=path, line=node.line, node=node))
    if problems:
        raise ShotListErrors([line for _, line in sorted(problems, key=lambda item: item[0])])
    return shots


def _at(path: Path, line: int, what: object) -> str:
    return f"{path}:{line}: {what}"


def _not_a_list(path: Path, root: YamlNode) -> str:
    if isinstance(root.value, dict):
        return _at(path, root.line, "expected a list of shots, found one mapping - begin each shot with '- '")
    if root.value is None or root.value == []:
        return _at(path, root.line, "holds no shots - expected a list, each shot beginning with '- '")
    return _at(path, root.line, f"expected a list of shots, found {_shown(root.value)}")


def _mapping(node: YamlNode) -> dict[str, Any]:
    if not isinstance(node.value, dict):
        raise YamlProblem(f"expected a shot (fields and values), found {_shown(node.value)}", line=node.line)
    return node.value


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if value is None:
        return "nothing"
    text = one_line(reprlib.repr(value))
    return text if len(text) <= 60 else text[:57] + "..."


def _explain(error: ValidationError, node: YamlNode) -> list[tuple[int, str]]:
    """Line and text of each problem of a shot."""
    found: list[tuple[int, str]] = []
    problems = error.errors(include_url=False)
    if all(item["loc"] for item in problems) and not {"character", "cast"} & set(node.children):
        # The shot as a whole is only looked at when its fields are right: say at once what it will miss.
        found.append((node.line, f"field 'character' is missing: expected {_EXPECTED['character']}"))
    for item in problems:
        loc = item["loc"]
        # pydantic puts the names of validators and unions between the fields: they are no keys of the file.
        line = node.line_of(tuple(step for step in loc if isinstance(step, int) or not re.search(r"[\[(]", step)))
        told = (line, _sentence(item, loc))
        if told not in found:
            found.append(told)
    return found


def _sentence(item: Any, loc: tuple[int | str, ...]) -> str:
    name = ".".join(str(step) for step in loc)
    last = next((str(step) for step in reversed(loc) if isinstance(step, str)), "")
    kind, given = item["type"], _shown(item["input"])
    if kind == "extra_forbidden":
        names = _model_at(loc).model_fields
        near = difflib.get_close_matches(str(loc[-1]), names, 1, 0.6)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"
        return f"unknown field {name!r} - {hint}"
    if kind == "missing":
        return f"field {name!r} is missing: expected {_EXPECTED.get(last, 'a value')}"
    if kind == "value_error":
        what = item["msg"].removeprefix("Value error, ")
        if not name:
            return what
        return f"field {name!r}: {what}" + ("" if isinstance(item["input"], dict) else f", given {given}")
    if loc and loc[0] == "directives" and len(loc) > 1:
        return f"field {name!r}: expected a word of the taxonomy in quotes, given {given}"
    if kind == "finite_number":
        return f"field {name!r}: expected a finite number, given {given}"
    if loc and isinstance(loc[-1], int) and last in ("eye", "target", "up"):
        return f"field {name!r}: expected a number, given {given}"
    return f"field {name!r}: expected {_EXPECTED.get(last) or item['msg']}, given {given}"


def _model_at(loc: tuple[int | str, ...]) -> type[BaseModel]:
    if "keys" in loc[:-1]:
        return CameraKey
    return {"camera": CameraSpec, "character": CharacterRef}.get(str(loc[0]), Shot) if len(loc) > 1 else Shot
