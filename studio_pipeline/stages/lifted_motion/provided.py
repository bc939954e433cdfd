"""Backend `provided`: the joint motion that an animated file of the character carries, not one read off the clip.

It is held against the clip all the same; but whoever animated it may mean to leave the clip, so no difference blocks.

`studio retarget` writes such files, and so does a DCC that animated the rig which `studio rig` wrote.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from studio_pipeline.geometry.rotations import matrix_to_sixd
from studio_pipeline.geometry.skinning import pose_vertices, posed_world, rest_local, skinning_transforms
from studio_pipeline.media.strips import write_strip
from studio_pipeline.render.look import Look, render_frames
from studio_pipeline.render.raster import rasterize
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import CameraPath, Character, Motion, Observations, Rig
from studio_pipeline.schema.shot import CharacterRef
from studio_pipeline.stages.base import StageContext, StageResult
from studio_pipeline.stages.character.animation import JointMotion, animations, sample_joints
from studio_pipeline.stages.lifted_motion.lift import measure
from studio_pipeline.stages.lifted_motion.verdicts import LEAST_IOU, agreement, verdicts

__all__ = ["check_file", "motion_from_file", "run"]

_OFF = 0.01  # of the diagonal that a joint of the file may lie beside the rig's
_OWNS = 1e-4  # of all skin weight: a joint with less may be absent from the file


def run(context: StageContext) -> StageResult:
    """Take the motion that is there, at the clip's frames."""
    character = Character.load(context.inputs["character"])
    rig = Rig.load(context.inputs["rig"])
    camera = CameraPath.load(context.inputs["reference_clip"])
    clip = Clip.load(context.inputs["reference_clip"])
    file, name = context.settings.file, context.settings.animation
    motion = motion_from_file(character, rig, file, name, clip)
    motion.save(context.out)
    context.progress(0.6, "preview")
    observations = Observations.load(context.inputs["observations"])
    posed = pose_vertices(character.vertices, rig.weights, skinning_transforms(rig, motion))
    visible = rasterize(posed, character.faces, camera).face_ids
    frames = measure(character, camera, observations, posed, visible)
    picked = np.unique(np.linspace(0, motion.frame_count - 1, 8).round().astype(int))
    shown = render_frames(
        posed[picked], character, camera.at(picked), look=Look(shading="lambert"), background=(244, 243, 240)
    )
    write_strip(context.out / "preview.png", shown.rgb)
    turned = np.abs(motion.rotations - motion.rotations[:1]).max(axis=(0, 2)) > 1e-4
    apart = [{"frame": i, "explained": v} for i, v in enumerate(frames["iou"]) if v is not None and v < LEAST_IOU]
    unseen = int((~(observations.masks > 127).any((1, 2))).sum())
    return StageResult(
        figures={"frames": motion.frame_count, "joints_moving": int(turned.sum()), "source": Path(file).name}
        | agreement(frames),
        previews=("preview.png",),
        verdicts=verdicts(motion, frames, size=max(clip.size), unseen=unseen, doubted=apart, by_hand=True),
    )


def motion_from_file(character: Character, rig: Rig, path: Path, name: str | None, clip: Clip) -> Motion:
    """The animation ``name`` of a file, or its first, on a shot's rig and at a clip's frames.

    Joints are matched by name and must lie where the rig has them; their frames may differ, as they do after a DCC.

    Raises:
        InputError: The file has no such animation, is shorter than the clip, or carries another skeleton.
    """
    found = {item.name: item for item in animations(path)}
    if not found:
        raise InputError("has no animation", where=path, do="export the animated character as GLB")
    chosen = found.get(name) if name is not None else next(iter(found.values()))
    if chosen is None:
        raise InputError(f"has no animation {name!r}", where=path, do=f"choose one of: {', '.join(list(found)[:20])}")
    seconds = (clip.frame_count - 1) / float(clip.fps)
    if chosen.duration < seconds - 0.5 / float(clip.fps):
        raise InputError(
            f"plays for {chosen.duration:.3g} s, the shot for {seconds:.3g} s",
            where=path,
            do="animate the whole shot (studio retarget --frames)",
        )
    times = np.minimum(np.arange(clip.frame_count) / float(clip.fps), chosen.duration)
    theirs = sample_joints(path, chosen.name, times, height_m=character.height_m)
    match = _matched(rig, theirs.rig, character.diagonal, path)
    rotations, translations = _on(rig, theirs, match)
    return Motion(
        rotations=rotations.astype(np.float32),
        translations=translations.astype(np.float32),
        fps=clip.fps,
        first_frame=clip.first_frame,
    )


def _matched(rig: Rig, other: Rig, diagonal: float, path: Path) -> np.ndarray:
    """For each joint the one of the file, -1 for joints without skin that it lacks. [J]"""
    index = {name: joint for joint, name in enumerate(other.names)}
    mass = rig.weights.sum(0) / max(float(rig.weights.sum()), 1e-9)
    match = np.array([index.get(name, -1) for name in rig.names])
    for joint, theirs in enumerate(match):
        if theirs < 0 and mass[joint] > _OWNS:
            raise InputError(
                f"has no joint {rig.names[joint]!r}, which the shot's rig has",
                where=path,
                do="animate the shot's own rig (studio rig --out, or its delivery)",
            )
        off = float(np.linalg.norm(rig.heads[joint] - other.heads[theirs])) / diagonal if theirs >= 0 else 0.0
        if off > _OFF:
            raise InputError(
                f"has joint {rig.names[joint]!r} {off:.1%} of the diagonal beside the shot's rig, at most {_OFF:.0%}",
                where=path,
                do="animate the shot's own rig, in its rest pose",
            )
    return match


def _on(rig: Rig, theirs: JointMotion, match: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What moves the file's skin, said as deltas of the shot's rig: [T, J, 6] and [T, J, 3]."""
    moves = posed_world(theirs.rig, theirs.rotations, theirs.translations) @ np.linalg.inv(theirs.rig.rest_world)
    local = rest_local(rig.parents, rig.rest_world)
    posed = np.empty((len(moves), rig.joint_count, 4, 4))
    delta = np.empty_like(posed)
    for joint, parent in enumerate(rig.parents):
        base = posed[:, parent] @ local[joint] if parent >= 0 else np.tile(local[joint], (len(moves), 1, 1))
        posed[:, joint] = base if match[joint] < 0 else moves[:, match[joint]] @ rig.rest_world[joint]
        delta[:, joint] = np.linalg.solve(base, posed[:, joint])
    return matrix_to_sixd(delta[..., :3, :3]), delta[..., :3, 3]


def check_file(file: Path, reference: CharacterRef) -> None:
    """Refuse a file that can't animate a shot's character.

    Raises:
        InputError: It has no animation or no rig. Whether it is the shot's rig is seen when the stage runs.
    """
    found = animations(file)
    if not found:
        raise InputError("has no animation", where=file, do="export the animated character as GLB")
    sample_joints(file, found[0].name, np.zeros(1), height_m=reference.height_m)
