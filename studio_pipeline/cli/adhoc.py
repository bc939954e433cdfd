"""One asset for one file: the same stages under the same Dagster, in a home that lasts as long as the command."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from studio_pipeline.cli.watch import Terminal
from studio_pipeline.line.plan import ShotPlan, plan_shot, selection
from studio_pipeline.line.progress import watched_by
from studio_pipeline.line.resolve import ResolvedShot, resolve
from studio_pipeline.line.shots import open_studio, save_shot
from studio_pipeline.schema.errors import StudioError
from studio_pipeline.schema.shot import CharacterRef, Shot
from studio_pipeline.store import Store

__all__ = ["AssetFailed", "adhoc_shot", "made_in", "temporary_home"]

_HOMES = ("STUDIO_HOME", "DAGSTER_HOME", "STUDIO_STORE")


class AssetFailed(StudioError):
    """The asset, or one that it needs, could not be made."""


def adhoc_shot(
    asset: str,
    character: str,
    block: Mapping[str, Any],
    *,
    height_m: float | None = None,
    seed: int = 0,
    more: Mapping[str, Mapping[str, Any]] | None = None,
    fields: Mapping[str, Any] | None = None,
) -> ResolvedShot:
    """A shot that exists only to make ``asset`` of one character.

    Args:
        asset: The stage.
        character: A file, or a name in the asset library.
        block: The stage's settings as a shot list has them.
        height_m: See `CharacterRef`.
        seed: What the character's stages draw from.
        more: Settings of other stages.
        fields: More fields of the shot, as `Shot` has them.

    Raises:
        InputError: The file, the backend or a setting is wrong.
    """
    code = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(character).stem).strip("-_")[:48] or "character"
    shot = Shot(
        show=asset.replace("_", "-"),
        sequence="adhoc",
        shot=code,
        character=CharacterRef(file=character, height_m=height_m, seed=seed),
        stages={name: dict(given) for name, given in {**(more or {}), asset: block}.items()},
        **(fields or {}),
    )
    return resolve(shot, Path.cwd(), where=lambda field: "" if field == "character" else field)


@contextmanager
def temporary_home() -> Iterator[Store]:
    """A studio's home of its own, gone afterwards; the user's home and Dagster instance aren't touched."""
    before = {name: os.environ.pop(name, None) for name in _HOMES}
    try:
        with tempfile.TemporaryDirectory(prefix="studio-home-", ignore_cleanup_errors=True) as folder:
            yield open_studio(folder)
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def made_in(store: Store, shot: ResolvedShot, asset: str) -> ShotPlan:
    """Make ``asset`` and what it needs in one Dagster run; the plan that is returned holds their artifacts.

    Raises:
        AssetFailed: A stage failed, or a blocking gate kept the asset from being made.
    """
    from studio_pipeline.dag.launch import open_instance, register_shots, run_shot

    chosen = selection([asset], None)
    save_shot(store, shot)
    plan = plan_shot(store, shot, only=chosen)
    with open_instance(lasting=False) as instance:
        register_shots(instance, [shot.id])
        with _Progress(total=len(plan.stages)) as terminal, watched_by(terminal):
            broken = run_shot(instance, shot.id, plan.to_launch())
    plan = plan_shot(store, shot, only=chosen)
    if missing := [item for item in plan.stages if item.artifact is None]:
        first = missing[0]
        raise AssetFailed(first.failure or (first.reason if first.state == "waits" else "") or "; ".join(broken))
    return plan


class _Progress(Terminal):
    """Leaves it to the error's one line to say what failed."""

    def failed(self, shot: str, stage: str, line: str) -> None:
        """Say nothing."""
