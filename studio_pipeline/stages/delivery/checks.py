"""Do the delivered files open, say the right thing and conform? All are read back by other code than wrote them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from studio_pipeline.geometry.skinning import pose_vertices, skinning_transforms
from studio_pipeline.schema.errors import one_line
from studio_pipeline.stages.base import Verdict
from studio_pipeline.stages.delivery.glb_conform import glb_faults
from studio_pipeline.stages.delivery.glb_reading import GlbFile
from studio_pipeline.stages.delivery.scene import DeliveryScene, strongest_influences

__all__ = ["glb_conforms", "opens", "skin_error", "usd_conforms"]

TOLERANCE = 1e-4  # of the character's diagonal: float32 through a chain of joints, far below a pixel
# OpenUSD's errors are RuntimeErrors.
_UNREADABLE = (ValueError, KeyError, IndexError, StopIteration, OSError, RuntimeError)


def skin_error(scene: DeliveryScene, influences: int) -> np.ndarray:
    """Surface error of keeping ``influences`` joints a vertex: distance to the full skin. [T, V] float32 [m]"""
    transforms = skinning_transforms(scene.rig, scene.motion)
    joints, values = strongest_influences(scene.rig.weights, influences)
    fewer = np.zeros(scene.rig.weights.shape)
    np.add.at(fewer, (np.arange(len(joints))[:, None], joints), values)
    errors = np.empty((scene.frame_count, len(joints)), dtype=np.float32)
    for frame in range(scene.frame_count):
        at = transforms[frame : frame + 1]
        full = pose_vertices(scene.character.vertices, scene.rig.weights, at)[0]
        errors[frame] = np.linalg.norm(pose_vertices(scene.character.vertices, fewer, at)[0] - full, axis=1)
    return errors


def opens(scene: DeliveryScene, folder: Path, kept: np.ndarray, skin_slack_m: float) -> Verdict:
    """Re-open both GLBs and the USD: counts, frame range, and the surface at a middle frame.

    Args:
        scene: What was delivered.
        folder: Where the files are.
        kept: Indices that the refined GLB has morph targets for.
        skin_slack_m: How far four influences may leave the full skin at that frame [m].
    """
    middle = scene.frame_count // 2
    morph = int(kept[len(kept) // 2])
    faults: list[str] = []
    worst = 0.0
    try:
        wanted = _skinned(scene, middle)
        for name, index, target, slack in (
            (f"{scene.shot_id}.glb", middle, wanted, skin_slack_m * scene.units_per_metre),
            (f"{scene.shot_id}_refined.glb", morph, scene.file_points[morph], 0.0),
        ):
            error, found = _open_glb(scene, folder / name, index, target, slack)
            worst, faults = max(worst, error), faults + [f"{name}: {fault}" for fault in found]
        error, found = _open_usd(scene, folder / f"{scene.shot_id}.usd", middle, wanted)
        worst, faults = max(worst, error), faults + [f"{scene.shot_id}.usd: {fault}" for fault in found]
    except _UNREADABLE as error:
        faults.append(f"{type(error).__name__}: {one_line(error)[:200]}")
    good = f"all three re-read at frame {scene.first_frame + middle}: surface within {worst:.1e} of its size"
    return Verdict("opens", not faults, "; ".join(faults[:4]) or good)


def glb_conforms(scene: DeliveryScene, folder: Path) -> Verdict:
    """The structural rules of glTF 2.0 on both files."""
    faults = [fault for end in ("", "_refined") for fault in glb_faults(folder / f"{scene.shot_id}{end}.glb")]
    return Verdict("glb_conforms", not faults, "; ".join(faults[:4]) or "both files keep glTF 2.0's structural rules")


def usd_conforms(scene: DeliveryScene, folder: Path) -> Verdict:
    """All validators that OpenUSD ships, on both variants."""
    from pxr import Usd, UsdValidation

    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    errors, warnings = [], 0
    try:
        stage = Usd.Stage.Open(str(folder / f"{scene.shot_id}.usd"))
        for variant in ("skinned", "refined"):
            _choose(stage, variant)
            for issue in UsdValidation.ValidationContext(validators).Validate(stage):
                if issue.GetType() == UsdValidation.ValidationErrorType.Error:
                    errors.append(f"{variant}: {issue.GetName()}")
                else:
                    warnings += 1
    except _UNREADABLE as error:
        errors.append(f"cannot be read ({one_line(error)[:200]})")
    good = f"no errors and {warnings} warnings from {len(validators)} validators on both variants"
    return Verdict("usd_conforms", not errors, "; ".join(errors[:4]) or good)


def _skinned(scene: DeliveryScene, index: int) -> np.ndarray:
    transforms = skinning_transforms(scene.rig, scene.motion)[index : index + 1]
    return pose_vertices(scene.character.vertices, scene.rig.weights, transforms)[0] * scene.units_per_metre


def _size(scene: DeliveryScene) -> float:
    return scene.character.diagonal * scene.units_per_metre


def _open_glb(
    scene: DeliveryScene, path: Path, index: int, wanted: np.ndarray, slack: float
) -> tuple[float, list[str]]:
    file = GlbFile(path)
    posed = file.surface(float(scene.times[index]))
    rest = file.surface(None)
    if len(posed) != len(wanted):
        return 0.0, [f"has {len(posed)} vertices, expected {len(wanted)}"]
    faults = []
    first, last = file.duration()
    if first != 0.0 or abs(last - float(scene.times[-1])) > 1e-6:
        faults.append(f"plays from {first} to {last} s, expected 0 to {float(scene.times[-1])}")
    error = max(float(np.abs(posed - wanted).max()) - slack, 0.0) / _size(scene)
    still = float(np.abs(rest - scene.file_vertices).max()) / _size(scene)
    place = file.camera_to_world(float(scene.times[index])) - scene.file_camera[index if scene.camera_moves else 0]
    for what, value in (
        ("surface", error),
        ("rest surface", still),
        ("camera", float(np.abs(place).max()) / _size(scene)),
    ):
        if value > TOLERANCE:
            faults.append(f"{what} off by {value:.1e} of the character's size at index {index}")
    return max(error, still), faults


def _open_usd(scene: DeliveryScene, path: Path, index: int, wanted: np.ndarray) -> tuple[float, list[str]]:
    from pxr import Usd, UsdGeom

    stage = Usd.Stage.Open(str(path))
    code = scene.first_frame + index
    found = (stage.GetStartTimeCode(), stage.GetEndTimeCode(), stage.GetTimeCodesPerSecond())
    expected = (scene.first_frame, scene.last_frame, float(scene.fps))
    faults = [] if found == expected else [f"frame range and rate {found}, expected {expected}"]
    worst = 0.0
    for variant, target in (("skinned", wanted), ("refined", scene.file_points[index])):
        _choose(stage, variant)
        mesh = UsdGeom.Mesh(next(p for p in stage.Traverse() if p.IsA(UsdGeom.Mesh)))
        points = _skin_by_usd(stage, code) if variant == "skinned" else np.array(mesh.GetPointsAttr().Get(code))
        if points.shape != target.shape:
            faults.append(f"{variant} has {len(points)} vertices, expected {len(target)}")
            continue
        error = float(np.abs(points - target).max()) / _size(scene)
        worst = max(worst, error)
        if error > TOLERANCE:
            faults.append(f"{variant} surface off by {error:.1e} of the character's size at frame {code}")
    return worst, faults


def _choose(stage: Any, variant: str) -> None:
    if not stage.GetDefaultPrim():
        raise ValueError("the stage has no default prim")
    stage.SetEditTarget(stage.GetSessionLayer())
    stage.GetDefaultPrim().GetVariantSet("motion").SetVariantSelection(variant)


def _skin_by_usd(stage: Any, code: float) -> np.ndarray:
    """The skinned mesh's points as UsdSkel itself computes them."""
    from pxr import Usd, UsdGeom, UsdSkel

    root = UsdSkel.Root(next(prim for prim in stage.Traverse() if prim.IsA(UsdSkel.Root)))
    cache = UsdSkel.Cache()
    cache.Populate(root, Usd.PrimDefaultPredicate)
    (binding,) = cache.ComputeSkelBindings(root, Usd.PrimDefaultPredicate)
    skeleton, skin = cache.GetSkelQuery(binding.GetSkeleton()), binding.GetSkinningTargets()[0]
    points = UsdGeom.Mesh(skin.GetPrim()).GetPointsAttr().Get()
    if not skin.ComputeSkinnedPoints(skeleton.ComputeSkinningTransforms(code), points, code):
        raise ValueError("UsdSkel cannot skin the mesh")
    return np.array(points)
