"""Blender opens what we deliver: size, rate, frame range, up axis, and the silhouette through the shot camera.

See `support.blender` for where Blender comes from.
"""

from __future__ import annotations

import json
import subprocess
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from pxr import Sdf

from studio_pipeline.geometry.cameras import project
from studio_pipeline.geometry.skinning import pose_vertices, skinning_transforms
from studio_pipeline.schema.records import CameraPath
from studio_pipeline.stages.delivery.glb import write_refined_glb, write_skinned_glb
from studio_pipeline.stages.delivery.usd import write_usd

INDEX = 6


def look(blender: Path, file: Path, scene) -> tuple[dict, np.ndarray]:
    """What Blender reports of ``file`` and the coverage that it renders at `INDEX` [H, W]."""
    result = file.with_suffix(file.suffix + ".json")
    wanted = {
        "width": scene.camera.width,
        "height": scene.camera.height,
        "fps": str(scene.fps),
        "index": INDEX,
        "first_frame": scene.first_frame,
    }
    script = Path(__file__).with_name("blender_check.py")
    command = [str(blender), str(script), str(file), str(result), json.dumps(wanted)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and result.exists(), done.stderr[-2000:] + done.stdout[-2000:]
    picture = cv2.imread(str(result.with_suffix(".png")), cv2.IMREAD_UNCHANGED)
    return json.loads(result.read_text()), picture[..., 3] / 255.0


def silhouette(points: np.ndarray, faces: np.ndarray, camera: CameraPath, samples: int = 8) -> np.ndarray:
    """Coverage [H, W] of a posed surface, by filling its projected triangles with OpenCV."""
    pixels, _ = project(camera, points[None])
    large = np.zeros((camera.height * samples, camera.width * samples), np.uint8)
    for triangle in np.round((pixels[0] * samples - 0.5) * 16).astype(np.int32)[faces]:
        cv2.fillConvexPoly(large, triangle, 1, shift=4)
    return large.reshape(camera.height, samples, camera.width, samples).mean((1, 3))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["skinned_glb", "refined_glb", "skinned_usd", "refined_usd"])
def test_blender_sees_the_shot(make_scene, blender, tmp_path, kind, record_property):
    unit_scale, fps = (0.02, Fraction(30)) if kind.endswith("usd") else (0.5, Fraction(30))
    scene = make_scene(size=(192, 256), unit_scale=unit_scale, fps=fps, zoom=kind.endswith("usd"))
    file = tmp_path / f"a{'.usd' if kind.endswith('usd') else '.glb'}"
    if kind == "skinned_glb":
        write_skinned_glb(scene, file)
    elif kind == "refined_glb":
        write_refined_glb(scene, file, limit=240)
    else:
        write_usd(scene, file)
        layer = Sdf.Layer.FindOrOpen(str(file))
        layer.GetPrimAtPath(f"/{layer.defaultPrim}").variantSelections["motion"] = kind.removesuffix("_usd")
        layer.Save()
    points = scene.cache.points
    if kind.startswith("skinned"):
        points = pose_vertices(
            scene.character.vertices, scene.rig.weights, skinning_transforms(scene.rig, scene.motion)
        )
    report, seen = look(blender, file, scene)

    assert report["vertices"] == len(scene.character.vertices) and report["cameras"] == 1
    # Blender is Z up: our Y is its Z. It brings USD to metres and takes glTF's numbers as they are.
    scale = 1.0 if kind.endswith("usd") else 1.0 / unit_scale
    low, high = (points[INDEX].astype(float) * scale).min(0), (points[INDEX].astype(float) * scale).max(0)
    size = np.array(report["high"]) - np.array(report["low"])
    assert size[2] == pytest.approx(high[1] - low[1], rel=0.01)
    assert report["low"][2] == pytest.approx(low[1], abs=0.01 * float(high[1] - low[1]))
    assert size[0] == pytest.approx(high[0] - low[0], rel=0.01)
    assert size[1] == pytest.approx(high[2] - low[2], rel=0.01)
    first = scene.first_frame if kind.endswith("usd") else 0
    assert (report["first"], report["last"]) == (first, first + scene.frame_count - 1)
    assert report["fps"] == pytest.approx(30.0)  # set before the import; a wrong rate would show in GLB's frame range
    assert report["textures"]

    ours = silhouette(points[INDEX], scene.character.faces, scene.camera.at([INDEX]))
    iou = float(np.minimum(ours, seen).sum() / np.maximum(ours, seen).sum())
    record_property("iou", iou)
    print(f"{kind}: Blender {report['blender']}, height {size[2]:.4f}, silhouette IoU {iou:.4f}")
    assert iou >= 0.97
