"""Python packages as source text: which names a module defines, imports and refers to. Nothing is imported or run."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from studio_pipeline.schema.errors import InputError

__all__ = ["CodeModule", "References", "Target", "load_sources", "references"]

_target = re.compile(r"[A-Za-z_][\w.]*(:[A-Za-z_][\w.]*)?")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True)
class Target:
    """What an import binds a name to: a module, or an attribute of one."""

    module: str
    attribute: str = ""


@dataclass(frozen=True)
class Source:
    """One module's text."""

    module: str
    path: str
    text: bytes
    is_package: bool


def load_sources(package: str) -> dict[str, Source]:
    """The sources of a top-level package, or of a single module, by module name; read now, without importing it.

    Raises:
        InputError: There is no such package, or it isn't Python source.
    """
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise InputError(f"there is no Python package {package!r}")
    if not spec.submodule_search_locations:
        if not spec.origin or not spec.origin.endswith(".py"):
            raise InputError(f"the module {package!r} is no Python source")
        return {package: Source(package, spec.origin, Path(spec.origin).read_bytes(), False)}
    sources = {}
    for root in map(Path, spec.submodule_search_locations):
        for path in sorted(root.rglob("*.py")):
            parts = [package, *path.relative_to(root).with_suffix("").parts]
            is_package = parts[-1] == "__init__"
            name = ".".join(parts[:-1] if is_package else parts)
            sources[name] = Source(name, str(path), path.read_bytes(), is_package)
    return sources


@dataclass
class CodeModule:
    """One parsed module. A name's definition is every top-level statement that binds it."""

    source: Source
    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, set[Target]] = field(default_factory=dict)  # top-level names that imports bind
    stars: list[str] = field(default_factory=list)  # modules of ``from x import *``
    imported: set[str] = field(default_factory=set)  # modules that importing this one imports
    effects: list[ast.stmt] = field(default_factory=list)  # statements that do more than bind a name
    decorated: list[ast.stmt] = field(default_factory=list)  # definitions that may register themselves

    def __post_init__(self) -> None:
        for statement in self.tree.body:
            if self._bind(statement, statement):
                self.effects.append(statement)

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree without docstrings and other loose strings."""
        try:
            tree = ast.parse(self.source.text, self.source.path)
        except (SyntaxError, ValueError) as error:
            raise InputError(f"is no valid Python ({error})", where=self.source.path) from error
        _strip_strings(tree)
        return tree

    def _bind(self, statement: ast.stmt, whole: ast.stmt) -> bool:
        """Note what a top-level statement binds; True when it also does something else."""
        if isinstance(statement, ast.Import | ast.ImportFrom):
            for name, target in import_targets(statement, self.source):
                self._bind_import(name, target)
            if whole is not statement:  # a conditional import: the condition matters too
                for name, _ in import_targets(statement, self.source):
                    self._define(name, whole)
            return False
        if isinstance(statement, ast.If | ast.Try):
            if _is_main_guard(statement):
                return False
            blocks = [statement.body, statement.orelse]
            if isinstance(statement, ast.Try):
                blocks += [statement.finalbody, *(handler.body for handler in statement.handlers)]
            acts = False
            for child in (child for block in blocks for child in block):
                acts |= self._bind(child, whole)
            return acts
        if isinstance(statement, (*_FUNCTIONS, ast.ClassDef)):
            self._define(statement.name, whole)
            if statement.decorator_list or isinstance(statement, ast.ClassDef):
                self.decorated.append(statement)
            return False
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                self._define(node.id, whole)
        if isinstance(statement, ast.Assign):
            return not all(_is_plain_target(target) for target in statement.targets)
        if isinstance(statement, ast.AnnAssign | ast.AugAssign):
            return not isinstance(statement.target, ast.Name)
        return not isinstance(statement, ast.Pass) and type(statement).__name__ != "TypeAlias"

    def _bind_import(self, name: str, target: Target) -> None:
        self.imported.add(target.module)
        if target.attribute == "*":
            self.stars.append(target.module)
            return
        if target.attribute:
            self.imported.add(f"{target.module}.{target.attribute}")
        # ``import a.b`` binds only ``a``.
        self.imports.setdefault(name, set()).add(Target(name) if _is_dotted(name, target) else target)

    def _define(self, name: str, statement: ast.stmt) -> None:
        known = self.definitions.setdefault(name, [])
        if statement not in known:
            known.append(statement)


@dataclass
class References:
    """What a piece of code refers to outside itself."""

    chains: set[tuple[str, ...]] = field(default_factory=set)  # ("module", "attribute" ...) as seen from the module
    targets: set[tuple[Target, tuple[str, ...]]] = field(default_factory=set)  # through imports inside functions
    imported: set[str] = field(default_factory=set)  # modules imported inside functions
    strings: set[str] = field(default_factory=set)  # that look like "package.module" or "package.module:function"


def references(statements: Iterable[ast.stmt], source: Source) -> References:
    """Everything that some top-level statements refer to; names that a function binds itself are left out."""
    visitor = _Visitor(source)
    for statement in statements:
        visitor.visit(statement)
    return visitor.found


class _Visitor(ast.NodeVisitor):
    def __init__(self, source: Source) -> None:
        self.source = source
        self.found = References()
        self.scopes: list[dict[str, set[Target]]] = []  # name -> imports that bind it; empty set: a plain local

    def visit_Name(self, node: ast.Name) -> None:
        self._refer(node.id, ())

    def visit_Attribute(self, node: ast.Attribute) -> None:
        names: list[str] = []
        root: ast.expr = node
        while isinstance(root, ast.Attribute):
            names.append(root.attr)
            root = root.value
        if isinstance(root, ast.Name):
            self._refer(root.id, tuple(reversed(names)))
        else:
            self.visit(root)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and "." in node.value and _target.fullmatch(node.value):
            self.found.strings.add(node.value)

    def visit_Import(self, node: ast.Import) -> None:
        self._import(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self._import(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._function(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        arguments = node.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        outside: list[ast.AST | None] = [*arguments.defaults, *arguments.kw_defaults]
        if not isinstance(node, ast.Lambda):
            outside += [*node.decorator_list, node.returns, *getattr(node, "type_params", ())]
            outside += [argument.annotation for argument in every if argument]
        for item in outside:
            if item is not None:
                self.visit(item)
        body = [node.body] if isinstance(node, ast.Lambda) else node.body
        scope: dict[str, set[Target]] = {argument.arg: set() for argument in every if argument}
        self._inside(body, _bindings(body, self.source, scope))

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for item in [*node.decorator_list, *node.bases, *node.keywords, *getattr(node, "type_params", ())]:
            self.visit(item)
        # Names that a class body binds are not visible in its methods; only its imports are worth following.
        scope = {name: targets for name, targets in _bindings(node.body, self.source, {}).items() if targets}
        self._inside(node.body, scope)

    def generic_visit(self, node: ast.AST) -> None:
        if isinstance(node, _COMPREHENSIONS):
            names = [n.id for part in node.generators for n in ast.walk(part.target) if isinstance(n, ast.Name)]
            self.scopes.append({name: set() for name in names})
            super().generic_visit(node)
            self.scopes.pop()
        else:
            super().generic_visit(node)

    def _inside(self, body: Iterable[ast.AST], scope: dict[str, set[Target]]) -> None:
        self.scopes.append(scope)
        for item in body:
            self.visit(item)
        self.scopes.pop()

    def _refer(self, name: str, rest: tuple[str, ...]) -> None:
        for scope in reversed(self.scopes):
            if name in scope:
                self.found.targets |= {(target, rest) for target in scope[name]}
                return
        self.found.chains.add((name, *rest))

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        for _, target in import_targets(node, self.source):
            self.found.imported.add(target.module)
            if target.attribute == "*":
                self.found.targets.add((Target(target.module), ()))
            elif target.attribute:
                self.found.imported.add(f"{target.module}.{target.attribute}")


def import_targets(node: ast.Import | ast.ImportFrom, source: Source) -> Iterator[tuple[str, Target]]:
    """The name and target of each part of an import statement; relative ones made absolute."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.asname or alias.name.partition(".")[0], Target(alias.name)
        return
    base = node.module or ""
    if node.level:
        parts = source.module.split(".")
        parts = parts[: len(parts) - node.level + source.is_package]
        base = ".".join([*parts, *([base] if base else [])])
    for alias in node.names:
        yield alias.asname or alias.name, Target(base, alias.name)


def _is_dotted(name: str, target: Target) -> bool:
    return not target.attribute and target.module.startswith(name + ".")


def _bindings(body: Iterable[ast.AST], source: Source, scope: dict[str, set[Target]]) -> dict[str, set[Target]]:
    """Names that a function's body binds, with the imports that bind them; nested functions keep theirs."""
    freed: set[str] = set()
    pending = list(body)
    while pending:
        node = pending.pop()
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            scope.setdefault(node.name, set())
            continue
        if isinstance(node, (ast.Lambda, *_COMPREHENSIONS)):
            continue
        if isinstance(node, ast.Global):
            freed |= set(node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            scope.setdefault(node.id, set())
        elif isinstance(node, ast.ExceptHandler) and node.name:
            scope.setdefault(node.name, set())
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for name, target in import_targets(node, source):
                if target.attribute != "*":
                    scope.setdefault(name, set()).add(Target(name) if _is_dotted(name, target) else target)
        pending += ast.iter_child_nodes(node)
    return {name: targets for name, targets in scope.items() if name not in freed}


def _strip_strings(node: ast.AST) -> None:
    """Remove docstrings and other strings that stand alone; statements only hold statements in these fields."""
    for name in ("body", "orelse", "finalbody", "handlers", "cases"):
        if isinstance(block := getattr(node, name, None), list) and block:
            kept = [item for item in block if not _is_loose_string(item)]
            setattr(node, name, kept or [ast.Pass()])
            for item in kept:
                _strip_strings(item)


def _is_loose_string(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_plain_target(node: ast.expr) -> bool:
    if isinstance(node, ast.Tuple | ast.List):
        return all(_is_plain_target(item) for item in node.elts)
    return isinstance(node.value if isinstance(node, ast.Starred) else node, ast.Name)


def _is_main_guard(node: ast.If | ast.Try) -> bool:
    return isinstance(node, ast.If) and any(isinstance(n, ast.Name) and n.id == "__name__" for n in ast.walk(node.test))
