"""Backend `unirig`: the official UniRig (Zhang et al. 2025), in a checkout of the user's, by its command line.

The character goes out as a GLB without a rig. Three of its launch scripts run in a folder of links to the checkout, so
that nothing is written there: the skeleton, the skin, and both merged into the GLB that went out. That GLB is read by
our own reader: tree, names and weights come from it, carried over by position. The ends of bones, which glTF doesn't
know, come from the skeleton's ``raw_data.npz``. Nothing is unpickled: its ``parents`` are (a list with None), so the
tree is the GLB's. The scripts end with code 0 whatever happened; what they should have written decides.
"""

from __future__ import annotations

import dataclasses
import re
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from studio_pipeline.schema.errors import BackendUnavailable, InputError, one_line
from studio_pipeline.schema.records import Character, Rig
from studio_pipeline.stages.base import StageContext, StageResult
from studio_pipeline.stages.rig.bounded import run_bounded
from studio_pipeline.stages.rig.provided import mirrors_itself, rig_from_file
from studio_pipeline.stages.rig.report import report
from studio_pipeline.stages.rig.settings import UniRigSettings

__all__ = ["bone_ends", "run"]

SETTING = "stages.rig.checkout"
LARGEST = 1 << 30  # bytes of a file that is read back
_SCRIPTS = ("generate_skeleton.sh", "generate_skin.sh", "merge.sh")
_LEFT_OUT = {".git", "tmp", "logs", "results", "lightning_logs"}  # of the checkout: what earlier runs wrote
_FITS = 0.01  # of the diagonal that the npz's joints may lie off the GLB's, once laid over them


def run(context: StageContext) -> StageResult:
    """Make the rig of the stage's character."""
    settings: UniRigSettings = context.settings
    character = Character.load(context.inputs["character"])
    rig = ask_unirig(character, settings, context.progress)
    rig.save(context.out)
    context.progress(0.95, "checks and preview")
    return report(character, rig, context.out, symmetric=mirrors_itself(rig, character))


def ask_unirig(character: Character, settings: UniRigSettings, progress=lambda *_: None) -> Rig:
    """Run the three scripts and read the result.

    Raises:
        BackendUnavailable: The checkout isn't one, or its command can't be started.
        InputError: A script fails, takes too long, or writes what can't be used.
    """
    checkout = settings.checkout
    if checkout is None or not (checkout / "run.py").is_file():
        raise BackendUnavailable("no checkout of UniRig", where=SETTING, do=_HOW)
    if missing := [name for name in _SCRIPTS if not (checkout / "launch" / "inference" / name).is_file()]:
        raise BackendUnavailable(f"{checkout} is no checkout of UniRig: launch/inference/{missing[0]} is missing",
                                 where=SETTING, do=_HOW)  # fmt: skip
    seed = character.seed if settings.seed is None else settings.seed
    with tempfile.TemporaryDirectory(prefix="studio-unirig-", ignore_cleanup_errors=True) as name:
        work = Path(name).resolve()
        if re.search(r"[^A-Za-z0-9._/+-]", str(work)):
            raise InputError(
                f"UniRig's scripts can't take the path {work}", where="TMPDIR", do="set one of plain letters"
            )
        tree = _linked(checkout, work / "checkout")
        given, skeleton, skin, rigged = (work / n for n in ("character.glb", "skeleton.fbx", "skin.fbx", "rigged.glb"))
        _write_plain(character, given)
        steps = (
            (0.05, "skeleton", skeleton, ("--input", given, "--output", skeleton, "--seed", seed)),
            (0.5, "skin", skin, ("--input", skeleton, "--output", skin, "--seed", seed)),
            (0.8, "merge", rigged, ("--source", skin, "--target", given, "--output", rigged)),
        )
        for (fraction, what, product, arguments), script in zip(steps, _SCRIPTS, strict=True):
            progress(fraction, f"UniRig: {what}")
            words = [*settings.command, f"launch/inference/{script}", *map(str, arguments)]
            said = run_bounded(
                words, folder=tree, timeout_s=settings.timeout_s, name=f"UniRig's {script}", setting=SETTING
            )
            _check_product(product, script, said)
        rig = _read(character, rigged)
        ends = bone_ends(work / "skeleton" / "raw_data.npz", rig, character.diagonal)
        return dataclasses.replace(rig, tails=rig.tails if ends is None else ends, backend="unirig")


_HOW = "git clone https://github.com/VAST-AI-Research/UniRig, install it and name its folder there"


def _linked(checkout: Path, folder: Path) -> Path:
    """A folder of links to what is in the checkout: its scripts write where they run."""
    folder.mkdir()
    for entry in checkout.resolve().iterdir():
        if entry.name not in _LEFT_OUT:
            (folder / entry.name).symlink_to(entry)
    return folder


def _write_plain(character: Character, path: Path) -> None:
    """The shape alone, every vertex as it is."""
    import trimesh

    trimesh.Trimesh(character.vertices, character.faces, process=False).export(path)


def _check_product(path: Path, script: str, said: str) -> None:
    why = f": {said}" if said else ""
    if path.is_symlink() or not path.is_file():
        raise InputError(f"UniRig's {script} wrote no {path.name}{why}", where=SETTING)
    if not 0 < path.stat().st_size <= LARGEST:
        raise InputError(f"UniRig's {script} wrote a {path.name} of {path.stat().st_size} bytes{why}", where=SETTING)


def _read(character: Character, path: Path) -> Rig:
    try:
        return rig_from_file(character, path)
    except InputError as error:
        raise InputError(f"UniRig's result {error.what}", where=SETTING) from None


def bone_ends(path: Path, rig: Rig, diagonal: float) -> np.ndarray | None:
    """Ends of bones by the npz that UniRig keeps of its skeleton, brought to where the rig's joints are.

    Args:
        path: Its ``raw_data.npz``: ``joints`` [J, 3], ``tails`` [J, 3] and ``names`` [J], in a frame of its own.
        rig: The rig whose joints have those names.
        diagonal: Of the character.

    Returns:
        [J, 3] float32, or None where the file isn't there or has no such arrays: older versions of UniRig.

    Raises:
        InputError: What is there can't be read without unpickling, doesn't fit together, or is absurdly large.
    """
    found = _arrays(path, ("joints", "tails", "names")) if path.is_file() else None
    if found is None:
        return None
    joints, tails, names = found["joints"], found["tails"], found["names"]
    count = names.size
    if joints.shape != (count, 3) or tails.shape != (count, 3) or names.ndim != 1:
        raise InputError(f"{path.name} of UniRig: joints {joints.shape}, tails {tails.shape}, {count} names",
                         where=SETTING)  # fmt: skip
    if not (np.issubdtype(joints.dtype, np.floating) and np.issubdtype(tails.dtype, np.floating)):
        raise InputError(f"{path.name} of UniRig: joints and tails that are no numbers", where=SETTING)
    place = {str(name): row for row, name in enumerate(names)}
    rows = [place.get(name, -1) for name in rig.names]
    if min(rows, default=-1) < 0 or not (np.isfinite(joints).all() and np.isfinite(tails).all()):
        return None
    here = np.column_stack([joints[rows].astype(np.float64), np.ones(len(rows))])
    there = np.column_stack([tails[rows].astype(np.float64), np.ones(len(rows))])
    # Its frame is the skeleton's own (unit box, Z up): the joints say how it lies over the character.
    if np.linalg.matrix_rank(here, tol=1e-6) < 4:
        return None
    over, *_ = np.linalg.lstsq(here, rig.heads, rcond=None)
    if np.abs(here @ over - rig.heads).max() > _FITS * diagonal:
        return None
    ends = there @ over
    short = np.linalg.norm(ends - rig.heads, axis=1) < 1e-3 * diagonal
    return np.where(short[:, None], rig.tails, ends).astype(np.float32)


def _arrays(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray] | None:
    """Some arrays of an npz, never unpickled; None when one isn't there."""
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(info.file_size for info in archive.infolist()) > LARGEST:
                raise InputError(f"{path.name} of UniRig unpacks to more than {LARGEST >> 20} MB", where=SETTING)
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in names} if set(names) <= set(archive.files) else None
    except InputError:
        raise
    except Exception as error:  # zip, zlib and NumPy raise many kinds on a hostile file
        raise InputError(f"{path.name} of UniRig can't be read ({one_line(error)[:200]})", where=SETTING) from None
