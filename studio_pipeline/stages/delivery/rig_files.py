"""A rigged character as a file that a viewer or a DCC opens: GLB or USD, at rest, in the source file's own units."""

from __future__ import annotations

import math
import os
import tempfile
from pathlib import Path

from studio_pipeline import __version__
from studio_pipeline.schema.errors import InputError, StorageError
from studio_pipeline.schema.records import Character, Rig
from studio_pipeline.stages.character.source_usd_skel import JOINT_NAMES
from studio_pipeline.stages.delivery.glb_body import skinned_body
from studio_pipeline.stages.delivery.gltf import GlbBuilder
from studio_pipeline.stages.delivery.scene import RigScene
from studio_pipeline.stages.delivery.usd_body import extent_of, identifier, joint_names, skinned_mesh, surface_of

__all__ = ["EXCHANGE_INFLUENCES", "RIG_ENDINGS", "check_rig_path", "write_rig"]

EXCHANGE_INFLUENCES = 8  # all that a rig has: what comes back from a DCC shall be what went there
RIG_ENDINGS = (".glb", ".usd", ".usdc", ".usda")


def check_rig_path(path: Path) -> None:
    """Refuse an output file that `write_rig` could not write.

    Raises:
        InputError: Its ending is unknown, or it is a folder.
        StorageError: Its folder can't be made or written.
    """
    if path.suffix.lower() not in RIG_ENDINGS:
        raise InputError(f"has the unknown ending {path.suffix!r}", where=path, do=f"one of {', '.join(RIG_ENDINGS)}")
    if path.is_dir():
        raise InputError("is a folder", where=path, do="name a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise StorageError(f"the folder of {path} can't be written ({error.strerror})", do="choose another") from error


def write_rig(character: Character, rig: Rig, path: Path) -> list[Path]:
    """Write a character with its skeleton and skin; the file's ending chooses the format.

    A GLB is one file and carries a second set of joints and weights where a vertex needs more than four; a USD has
    its texture beside it in ``textures/``. The file at ``path`` is replaced whole or not at all.

    Returns:
        The files that were written, the rigged one first.

    Raises:
        InputError, StorageError: See `check_rig_path`; or the disk is full.
    """
    check_rig_path(path)
    scene = RigScene(character=character, rig=rig)
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".studio-", ignore_cleanup_errors=True) as name:
            fresh = Path(name) / path.name
            _write_glb(scene, fresh) if path.suffix.lower() == ".glb" else _write_usd(scene, fresh)
            extras = sorted(file for file in Path(name).rglob("*") if file.is_file() and file != fresh)
            # What the file refers to is there before the file is.
            placed = [_place(file, path.parent / file.relative_to(name)) for file in extras]
            return [_place(fresh, path), *placed]
    except OSError as error:
        raise StorageError(f"{path} can't be written ({error.strerror})", do="free space, then run again") from error


def _place(fresh: Path, path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    fresh.chmod(0o644)
    with fresh.open("rb") as stream:
        os.fsync(stream.fileno())
    fresh.replace(path)
    return path


def _write_glb(scene: RigScene, path: Path) -> None:
    extras = {"metres_per_unit": scene.character.unit_scale, "rig": scene.rig.backend}
    builder = GlbBuilder(f"studio_pipeline {__version__}", extras)
    joint_nodes, body = skinned_body(builder, scene, influences=EXCHANGE_INFLUENCES)
    if names := joint_names(scene.rig.names, scene.rig.parents):
        # A DCC that goes on to write USD loses the dots of arm.L; it keeps this, and our USD reader knows it.
        builder.document["nodes"][body]["extras"] = {JOINT_NAMES.rsplit(":", 1)[-1]: names}
    if scene.rig.stiffness is not None:
        for node, factor in zip(joint_nodes, scene.rig.stiffness.tolist(), strict=True):
            if math.isfinite(factor):
                builder.document["nodes"][node].setdefault("extras", {})["stiffness"] = factor
    name = scene.character.name
    builder.document["scene"] = builder.add("scenes", {"name": name, "nodes": [joint_nodes[0], body]})
    builder.write(path)


def _write_usd(scene: RigScene, path: Path) -> None:
    from pxr import Sdf, Usd, UsdGeom, UsdSkel

    stage = Usd.Stage.CreateInMemory()
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
    UsdGeom.SetStageMetersPerUnit(stage, scene.character.unit_scale)
    stage.GetRootLayer().customLayerData = {"generator": f"studio_pipeline {__version__}", "rig": scene.rig.backend}
    root = UsdSkel.Root.Define(stage, Sdf.Path(f"/{identifier(scene.character.name)}"))
    Usd.ModelAPI(root).SetKind("component")
    stage.SetDefaultPrim(root.GetPrim())
    surface = surface_of(stage, root.GetPath(), scene, path.parent, f"textures/{path.stem}_albedo.png")
    skinned_mesh(stage, root, surface)
    root.CreateExtentAttr(extent_of(scene.file_vertices))
    if not stage.GetRootLayer().Export(str(path)):
        raise OSError(0, f"OpenUSD refused {path.name}")
