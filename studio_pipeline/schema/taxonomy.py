"""The production taxonomy as it is kept: closed vocabularies in YAML files, the shipped ones and a studio's own.

The shipped files (``assets/taxonomy/*.yaml``) have ``version``, ``axis``, ``fields`` and ``renamed``. A studio's own
file has ``studio`` (its name) and ``extends`` (the version that it was written for) beside them: its fields are new, or
give new values to fields that exist, and ``words`` gives more synonyms to tags that exist. It lies beside the shipped
files (then every shot sees it) or is named in a shot: ``stages: {directives: {taxonomy: ours.yaml}}``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from studio_pipeline.schema.assets import assets_folder
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.tags import Tag, Taxonomy, TaxonomyField, split_values
from studio_pipeline.schema.taxonomy_merge import AXES, Merge, SourceFile, read_source

__all__ = ["AXES", "Tag", "Taxonomy", "TaxonomyField", "load_taxonomy", "split_values", "taxonomy_problems"]


def load_taxonomy(folder: Path | None = None, *, own: Sequence[Path] = ()) -> Taxonomy:
    """Read and check every ``*.yaml`` of a taxonomy folder, and a studio's own files that lie elsewhere.

    Args:
        folder: Of the asset library when None.
        own: A studio's own files.

    Raises:
        InputError: A file is unreadable, or fields, values, synonyms or contradictions don't fit; the first problem.
    """
    try:
        stamps = tuple(
            (str(path), path.stat().st_mtime_ns, path.stat().st_size, kept)
            for paths, kept in ((_files(folder), True), (own, False))
            for path in paths
        )
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(error.filename)) from None
    taxonomy, problems = _load(stamps)
    if problems or taxonomy is None:
        raise InputError(problems[0] if problems else "holds no taxonomy")
    return taxonomy


def taxonomy_problems(folder: Path | None = None, *, own: Sequence[Path] = ()) -> list[str]:
    """Everything that is wrong with the files that `load_taxonomy` would read, one line each."""
    return _collect([(path, True) for path in _files(folder)] + [(path, False) for path in own])[1]


def _files(folder: Path | None) -> list[Path]:
    folder = folder or assets_folder() / "taxonomy"
    try:
        files = sorted(folder.glob("*.yaml"))
    except OSError as error:
        raise InputError(f"cannot be read ({error})", where=folder) from None
    if not files:
        raise InputError("holds no taxonomy (*.yaml)", where=folder)
    return files


@lru_cache(maxsize=16)
def _load(stamps: tuple[tuple[str, int, int, bool], ...]) -> tuple[Taxonomy | None, tuple[str, ...]]:
    taxonomy, problems = _collect([(Path(name), kept) for name, _, _, kept in stamps])
    return taxonomy, tuple(problems)


def _collect(paths: Sequence[tuple[Path, bool]]) -> tuple[Taxonomy | None, list[str]]:
    """The taxonomy of some files and its problems; each file with whether it may be a shipped one."""
    problems: list[str] = []
    sources: list[SourceFile] = []
    for path, may_be_shipped in paths:
        source, found = read_source(path, shipped=may_be_shipped)
        problems += found
        sources += [source] if source is not None else []
    merge = Merge(sources)
    problems += merge.problems
    return (merge.taxonomy() if not problems else None), problems
