"""OBJ with its MTL and textures -> `Model`. Files outside the OBJ's folder are never opened."""

from __future__ import annotations

import io
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from studio_pipeline.geometry.gltf.files import MissingFileError, folder_file, read_capped
from studio_pipeline.geometry.meshes import corner_faces, unify_corners
from studio_pipeline.schema.errors import InputError
from studio_pipeline.stages.character.model import MAX_FACES, MAX_VERTICES, Material, Model, Part, Texture, clean_part

__all__ = ["obj_files", "read_obj"]

MAX_MATERIALS = 4096
MAX_ROWS = 3 * MAX_FACES  # of one kind: a texture coordinate and a normal of its own for every corner
MAX_LINE = 4 << 20  # bytes
_REDO = "export the character again"
# MTL map options and how many values follow each; the file name is what remains.
_OPTIONS = {"-blendu": 1, "-blendv": 1, "-boost": 1, "-mm": 2, "-o": 3, "-s": 3, "-t": 3, "-texres": 1, "-clamp": 1}
_OPTIONS |= {"-bm": 1, "-imfchan": 1, "-type": 1, "-cc": 1}


def _lines(path: Path) -> Iterator[list[str]]:
    """Words of every line, continued lines joined, comments dropped; one line at a time, a file has many."""
    before = b""
    for row in io.BytesIO(read_capped(path)):
        row = before + row
        if row.endswith((b"\\\n", b"\\\r\n")):
            before = row.rstrip(b"\r\n")[:-1] + b" "
            if len(before) > MAX_LINE:
                raise InputError(f"has a line of more than {MAX_LINE >> 20} MB", where=path, do=_REDO)
            continue
        before = b""
        if len(row) > MAX_LINE:
            raise InputError(f"has a line of more than {MAX_LINE >> 20} MB", where=path, do=_REDO)
        for line in row.decode("utf-8", errors="replace").splitlines():
            if words := line.split("#", 1)[0].split():
                yield words
    if before.split():
        yield before.decode("utf-8", errors="replace").split()


def _mtl_files(path: Path, names: list[str]) -> list[Path]:
    return [folder_file(path.parent, name, where=f"{path}: mtllib", quoted=False) for name in dict.fromkeys(names)]


def obj_files(path: Path) -> list[Path]:
    """The MTL files of an OBJ and their textures, as far as they are there.

    Raises:
        InputError: One lies outside the OBJ's folder, or is unreadable.
    """
    try:
        names = [" ".join(words[1:]) for words in _lines(path) if words[0] == "mtllib" and len(words) > 1]
        libraries = _mtl_files(path, names)
    except MissingFileError:
        return []
    found = list(libraries)
    for library in libraries:
        for words in _lines(library):
            if words[0] == "map_Kd" and len(words) > 1:
                try:
                    found.append(_map_file(library, words))
                except MissingFileError:
                    continue
    return found


def _map_file(library: Path, words: list[str]) -> Path:
    rest = words[1:]
    while len(rest) > 1 and rest[0] in _OPTIONS:
        count = 1
        while count <= _OPTIONS[rest[0]] and count < len(rest) - 1 and (count == 1 or _is_number(rest[count])):
            count += 1
        rest = rest[count:]
    return folder_file(library.parent, " ".join(rest), where=f"{library}: map_Kd", quoted=False)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read_materials(library: Path, warnings: list[str]) -> dict[str, Material]:
    """Materials by name. ``Kd`` is linear light, and a texture stands alone, as Blender reads them."""
    fields: dict[str, dict[str, list[str]]] = {}
    current: dict[str, list[str]] = {}
    for words in _lines(library):
        if words[0] == "newmtl":
            current = fields.setdefault(" ".join(words[1:]), {})
            if len(fields) > MAX_MATERIALS:
                raise InputError(f"has more than {MAX_MATERIALS} materials", where=library, do="merge materials")
        else:
            current[words[0]] = words
    found = {}
    for name, entry in fields.items():
        color = _numbers(entry.get("Kd", ["Kd", "0.8", "0.8", "0.8"])[1:], 3, f"{library}: material {name!r} Kd")
        alpha = _numbers(entry.get("d", ["d", "1"])[-1:], 1, f"{library}: material {name!r} d")[0]
        texture = None
        if len(entry.get("map_Kd", [])) > 1:
            try:
                picture = _map_file(library, entry["map_Kd"])
                wrap = ("clamp", "clamp") if "-clamp on" in " ".join(entry["map_Kd"]) else ("repeat", "repeat")
                texture = Texture(read_capped(picture), str(picture), wrap)
                color = [1.0, 1.0, 1.0]
            except MissingFileError as error:
                warnings.append(f"{error.what}: shown without that texture")
        red, green, blue, clear = np.clip([*color, alpha], 0.0, 1.0).tolist()
        mode = "BLEND" if clear < 1.0 else "OPAQUE"
        found[name] = Material(name, (red, green, blue, clear), texture, alpha_mode=mode, double_sided=True)
    return found


def _numbers(words: list[str], count: int, where: str) -> list[float]:
    try:
        values = [float(word) for word in words[:count]]
    except ValueError:
        values = []
    if len(values) < count or not np.isfinite(values).all():
        raise InputError(f"expected {count} numbers", where=where, do=_REDO)
    return values


class _Obj:
    """What the lines of an OBJ add up to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Numbers as they come, not words: a word costs six times as much.
        self.positions, self.uv, self.normals, self.colors = (array("d") for _ in range(4))
        self.libraries: list[str] = []
        self.groups: dict[str, tuple[list[int], list[tuple[int, int, int]]]] = {}
        self.faces = 0

    def read(self, lines: Iterable[list[str]]) -> None:
        material = ""
        for number, words in enumerate(lines):
            key = words[0]
            if key == "v":
                self._numbers(self.positions, words[1:4], 3, "v")
                if len(self.positions) > 3 * MAX_VERTICES:
                    raise self._too_many("vertices")
                if len(words) == 7:
                    self._numbers(self.colors, words[4:7], 3, "v")
            elif key == "vt":
                self._numbers(self.uv, words[1:3], 2, "vt")
            elif key == "vn":
                self._numbers(self.normals, words[1:4], 3, "vn")
            elif key == "f":
                self._face(words[1:], material, number)
            elif key == "usemtl":
                material = " ".join(words[1:])
            elif key == "mtllib" and len(words) > 1:
                self.libraries.append(" ".join(words[1:]))

    def _numbers(self, table: array[float], words: list[str], width: int, what: str) -> None:
        try:
            if len(words) < width:
                raise ValueError(f"{len(words)} numbers, expected {width}")
            table.extend(map(float, words))
        except ValueError as error:
            raise InputError(f"has a broken {what} line ({error})", where=self.path, do=_REDO) from None
        if len(table) > 3 * MAX_ROWS:
            raise self._too_many(f"{what} lines")

    def _too_many(self, what: str) -> InputError:
        most = MAX_VERTICES if what == "vertices" else MAX_ROWS
        return InputError(f"has more than {most} {what}", where=self.path, do="reduce the mesh")

    def _face(self, words: list[str], material: str, number: int) -> None:
        counts, corners = self.groups.setdefault(material, ([], []))
        if len(words) < 3:
            return
        counts.append(len(words))
        self.faces += len(words) - 2
        if self.faces > MAX_FACES or len(self.groups) > MAX_MATERIALS:
            raise InputError(f"has more than {MAX_FACES} faces", where=self.path, do="reduce the mesh")
        sizes = (len(self.positions) // 3, len(self.uv) // 2, len(self.normals) // 3)
        for word in words:
            try:
                parts = [int(p) if p else 0 for p in word.split("/")]
            except ValueError:
                parts = [0] * 4
            parts += [0] * (3 - len(parts))
            corner = [p + n if p < 0 else p - 1 for p, n in zip(parts, sizes, strict=False)]
            if len(parts) > 3 or corner[0] < 0:
                raise InputError(f"face {number} has the corner {word[:40]!r}", where=self.path, do=_REDO)
            corners.append((corner[0], corner[1], corner[2]))


def _table(values: array[float], width: int) -> np.ndarray:
    """Rows of numbers. [n, width] float64"""
    return np.frombuffer(values, dtype=np.float64).reshape(-1, width) if values else np.zeros((0, width))


def read_obj(path: Path) -> Model:
    """Read an OBJ.

    Raises:
        InputError: It is malformed, or a face names what isn't there.
    """
    source = _Obj(path)
    source.read(_lines(path))
    model = Model(path, [path.stem], np.array([-1], dtype=np.int32), [0], np.eye(4)[None], [])
    materials: dict[str, Material] = {}
    try:
        for library in _mtl_files(path, source.libraries):
            materials.update(_read_materials(library, model.warnings))
    except MissingFileError as error:
        model.warnings.append(f"{error.what}: shown without its materials")
    tables = (_table(source.positions, 3), _table(source.uv, 2), _table(source.normals, 3))
    tinted = len(source.positions) > 0 and len(source.colors) == len(source.positions)
    colors = _table(source.colors, 3) if tinted else None
    for name, (counts, corners) in source.groups.items():
        if counts:
            shade = 0.8 if colors is None else 1.0
            material = materials.get(name, Material(name, (shade, shade, shade, 1.0)))
            part = _part(path, name, np.array(counts), np.array(corners), tables, colors, material)
            if (part := clean_part(part, path)) is not None:
                model.parts.append(part)
    return model


def _part(
    path: Path,
    name: str,
    counts: np.ndarray,
    corners: np.ndarray,
    tables: tuple[np.ndarray, np.ndarray, np.ndarray],
    colors: np.ndarray | None,
    material: Material,
) -> Part:
    """One material's faces; a vertex for every different corner, in the order of first use."""
    for column, (table, what) in enumerate(zip(tables, ("vertex", "texture", "normal"), strict=True)):
        if corners[:, column].max() >= len(table):
            raise InputError(
                f"has a face with {what} {int(corners[:, column].max()) + 1} of {len(table)}",
                where=path,
                do=_REDO,
            )
    unique, vertex = unify_corners(corners)
    faces, _ = corner_faces(counts, vertex)
    uv = normals = None
    if material.texture is not None and len(tables[1]):
        flipped = np.stack([tables[1][:, 0], 1.0 - tables[1][:, 1]], axis=1)
        uv = np.where((unique[:, 1] >= 0)[:, None], flipped[unique[:, 1]], 0.0)
        uv = np.where(np.isfinite(uv), uv, 0.0)
    if len(tables[2]) and (unique[:, 2] >= 0).all():
        normals = tables[2][unique[:, 2]]
        normals = np.where(np.isfinite(normals), normals, 0.0)
    tint = None
    if colors is not None:
        # The de facto vertex colours of OBJ are display values.
        from studio_pipeline.media.srgb import srgb_to_linear

        tint = srgb_to_linear(np.clip(np.nan_to_num(colors[unique[:, 0]], nan=1.0), 0.0, 1.0), np.float64)
    return Part(
        name=name or path.stem, node=0, positions=tables[0][unique[:, 0]], faces=faces, material=material,
        normals=normals, uv=uv, colors=tint,
    )  # fmt: skip
