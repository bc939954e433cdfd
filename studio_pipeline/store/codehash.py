"""The code that a function runs, as a digest: edit a helper and exactly those who call it change.

The digest covers the syntax trees (no comments, docstrings or formatting) of the function and, transitively, of every
function, class and module-level name inside its packages that it refers to: by name, through imports at the top or
inside functions, as ``module.attribute``, or as a string ``"package.module:function"`` (the convention of
`studio_pipeline.stages.base`). A reference that cannot be resolved to a definition covers the whole module. Statements
that act when a module is imported (a registry being filled, a global option being set) count for all who import it.

Not covered: installed packages (their versions are in the key), data files, code reached only through objects that a
caller passes in and no annotation names. A Python version may write syntax trees differently, so digests are compared
within one minor version of Python.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import sys
import uuid
from contextlib import suppress
from pathlib import Path

from studio_pipeline.schema.errors import InputError
from studio_pipeline.store.codeindex import CodeModule, Target, load_sources, references
from studio_pipeline.store.manifest import Corrupt, decode_record, encode_record

__all__ = ["CodeIndex", "code_digest", "code_units", "remember_in"]

PACKAGE = "studio_pipeline"
_MOST_KEPT = 20  # states of the sources whose digests are remembered
_ALL, _IMPORT, _EFFECTS = "*", "<import>", "<effects>"

Unit = tuple[str, str]  # module and name, or one of the marks above


def code_digest(target: str, *, packages: tuple[str, ...] = (PACKAGE,)) -> str:
    """Digest of what ``"package.module:function"`` runs, 64 hex digits. Sources are read once per process.

    Args:
        target: The function; a module alone means all of it.
        packages: Packages whose code counts; the target's own is always among them.

    Raises:
        InputError: There is no such module.
    """
    return _index(packages, target.partition(".")[0].partition(":")[0]).digest(target)


def code_units(target: str, *, packages: tuple[str, ...] = (PACKAGE,)) -> dict[str, str]:
    """Digest by ``"module:name"`` of every definition behind `code_digest`: to tell *which* function changed."""
    return _index(packages, target.partition(".")[0].partition(":")[0]).units(target)


_folder: list[Path] = []


def remember_in(folder: Path) -> None:
    """Keep digests in files of this folder, so that the next process with the very same sources need not parse them."""
    _folder[:] = [folder]


@functools.cache
def _index(packages: tuple[str, ...], own: str) -> CodeIndex:
    return CodeIndex(*dict.fromkeys((*packages, own)))


class CodeIndex:
    """The sources of some packages as they are now."""

    def __init__(self, *packages: str) -> None:
        self._sources = {name: source for package in packages for name, source in load_sources(package).items()}
        self._modules: dict[str, CodeModule] = {}
        self._nodes: dict[Unit, tuple[str, frozenset[Unit]]] = {}
        self._digests: dict[str, str] = {}
        self._read_from: Path | None = None

    def digest(self, target: str) -> str:
        """See `code_digest`."""
        place = self._place() if _folder else None
        if place != self._read_from:
            self._read_from = place
            self._digests |= _remembered(place) if place else {}
        if target not in self._digests:
            listing = "\n".join(f"{name} {digest}" for name, digest in sorted(self.units(target).items()))
            self._digests[target] = hashlib.sha256(f"{target}\n{listing}".encode()).hexdigest()
            if place:
                _remember(place, self._digests)
        return self._digests[target]

    def _place(self) -> Path:
        return _folder[0] / f"{self._fingerprint}.json"

    @functools.cached_property
    def _fingerprint(self) -> str:
        """Digest of everything that a digest is worked out from: the sources, the code that does it among them."""
        total = hashlib.sha256(sys.version.encode())
        for name, source in sorted(self._sources.items()):
            data = source.text if isinstance(source.text, bytes) else source.text.encode()
            total.update(f"\n{name} {source.is_package} {len(data)}\n".encode() + data)
        return total.hexdigest()

    def units(self, target: str) -> dict[str, str]:
        """See `code_units`."""
        module, _, name = target.partition(":")
        if module not in self._sources:
            raise InputError(f"there is no module {module!r}", where=target)
        pending = list(self._resolve_target(Target(module, name.partition(".")[0]), ()))
        seen: set[Unit] = set()
        while pending:
            unit = pending.pop()
            if unit not in seen and unit[0] in self._sources:
                seen.add(unit)
                pending += self._node(unit)[1]
        return {f"{unit[0]}:{unit[1]}": digest for unit in seen if (digest := self._node(unit)[0])}

    def _module(self, name: str) -> CodeModule:
        if name not in self._modules:
            self._modules[name] = CodeModule(self._sources[name])
        return self._modules[name]

    def _node(self, unit: Unit) -> tuple[str, frozenset[Unit]]:
        """A unit's own digest (empty when it has no code of its own) and the units that it refers to."""
        if unit not in self._nodes:
            self._nodes[unit] = self._import_node(unit[0]) if unit[1] == _IMPORT else self._code_node(unit)
        return self._nodes[unit]

    def _import_node(self, name: str) -> tuple[str, frozenset[Unit]]:
        """What happens when a module is imported: its parents' and imports' effects, and its own."""
        module = self._module(name)
        parents = {name.rpartition(".")[0]} if "." in name else set()
        refs = {(other, _IMPORT) for other in module.imported | parents if other in self._sources}
        return "", frozenset(refs | {(name, _EFFECTS)})

    def _code_node(self, unit: Unit) -> tuple[str, frozenset[Unit]]:
        name, part = unit
        module = self._module(name)
        if part == _ALL:
            statements = list(module.tree.body)
        elif part == _EFFECTS:
            statements = module.effects + [item for item in module.decorated if self._registers(name, item)]
            if not statements:
                return "", frozenset()
        else:
            statements = module.definitions[part]
        found = references(statements, module.source)
        lines, refs = [], {(name, _IMPORT)}
        for chain in found.chains:
            units = self._resolve(name, chain, frozenset())
            if chain[0] != part or len(chain) > 1:  # a recursive function doesn't depend on its own name
                lines += [f"{'.'.join(chain)} = {other}" for other in sorted(units)]
            refs |= units
        for target, rest in found.targets:
            units = self._resolve_target(target, rest)
            lines += [f"{target.module}.{target.attribute} {rest} = {other}" for other in sorted(units)]
            refs |= units
        for text in found.strings:
            refs |= self._resolve_string(text)
        refs |= {(other, _IMPORT) for other in found.imported if other in self._sources}
        code = [ast.dump(statement) for statement in statements]
        digest = hashlib.sha256("\n".join([*code, *sorted(lines)]).encode("utf-8", "surrogatepass")).hexdigest()
        return digest, frozenset(refs - {unit})

    def _resolve(self, name: str, chain: tuple[str, ...], seen: frozenset[Unit]) -> set[Unit]:
        """Units that ``chain`` means inside a module; empty when the module doesn't know its first name.

        Names from outside the packages are given as units of unknown modules: they matter to the meaning of the code
        that uses them, but are not followed.
        """
        first, rest = chain[0], chain[1:]
        if (name, first) in seen:
            return set()
        seen |= {(name, first)}
        module = self._module(name)
        units: set[Unit] = set()
        if first in module.definitions:
            units.add((name, first))
        for target in module.imports.get(first, ()):
            units |= self._resolve_target(target, rest, seen)
        if not units and f"{name}.{first}" in self._sources and module.source.is_package:
            units |= self._resolve_target(Target(f"{name}.{first}"), rest, seen)
        if not units:
            for star in module.stars:
                units |= self._resolve(star, chain, seen) if star in self._sources else set()
        return units

    def _resolve_target(self, target: Target, rest: tuple[str, ...], seen: frozenset[Unit] = frozenset()) -> set[Unit]:
        """Units that an import's name means; the whole module when the definition isn't to be found."""
        name = target.module
        if name not in self._sources:
            return {(name, target.attribute)}
        chain = (target.attribute, *rest) if target.attribute else rest
        if not chain:
            return {(name, _ALL)}
        if units := self._resolve(name, chain, seen):
            return units
        return {(name, "__getattr__" if "__getattr__" in self._module(name).definitions else _ALL)}

    def _resolve_string(self, text: str) -> set[Unit]:
        module, _, attribute = text.partition(":")
        if module not in self._sources:
            return set()
        return self._resolve_target(Target(module, attribute.partition(".")[0]), ())

    def _registers(self, name: str, statement: ast.stmt) -> bool:
        """Whether a definition may do something when its module is imported: its decorator or its base is ours."""
        assert isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        inner = statement.body if isinstance(statement, ast.ClassDef) else []
        decorators = [d for node in [statement, *inner] for d in getattr(node, "decorator_list", ())]
        if any(unit[0] in self._sources for unit in self._units_of(name, decorators)):
            return True
        bases = self._units_of(name, statement.bases if isinstance(statement, ast.ClassDef) else [])
        return any(self._has_subclass_hook(unit) for unit in bases)

    def _units_of(self, name: str, expressions: list[ast.expr]) -> set[Unit]:
        roots = [item.func if isinstance(item, ast.Call) else item for item in expressions]
        found = references([ast.Expr(root) for root in roots], self._module(name).source)
        return {unit for chain in found.chains for unit in self._resolve(name, chain, frozenset())}

    def _has_subclass_hook(self, unit: Unit) -> bool:
        if unit[0] not in self._sources:
            return False
        for statement in self._module(unit[0]).definitions.get(unit[1], ()):
            if any(
                isinstance(node, ast.FunctionDef) and node.name == "__init_subclass__" for node in ast.walk(statement)
            ):
                return True
            if isinstance(statement, ast.ClassDef) and any(
                base != unit and self._has_subclass_hook(base) for base in self._units_of(unit[0], statement.bases)
            ):
                return True
        return False


def _remembered(path: Path) -> dict[str, str]:
    with suppress(OSError, Corrupt, AttributeError):
        found = decode_record(path.read_bytes(), str(path)).get("digests") or {}
        return {str(target): str(digest) for target, digest in found.items()}
    return {}


def _remember(path: Path, digests: dict[str, str]) -> None:
    """Write the file whole or not at all; where that can't be done the next process works them out again."""
    fresh = path.with_name(f".{uuid.uuid4().hex}")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            fresh.write_bytes(encode_record({"digests": digests}))
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)
        kept = sorted(path.parent.glob("*.json"), key=lambda item: item.stat().st_mtime)
        for old in kept[:-_MOST_KEPT]:
            old.unlink(missing_ok=True)
