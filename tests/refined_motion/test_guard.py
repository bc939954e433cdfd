"""Physics within what the clip shows: flesh that a clip contradicts is led, what it shows or hides is left alone."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from studio_pipeline.evaluation.refine.creature import pouncer
from studio_pipeline.evaluation.refine.wobble import stop_dead, swing_of
from studio_pipeline.geometry.cameras import frame_points, project
from studio_pipeline.geometry.skinning import pose_vertices, skinning_transforms
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.records import CameraPath
from studio_pipeline.stages.refined_motion.fem import RefineResult, refine
from studio_pipeline.stages.refined_motion.guard import ClipView, Outline
from studio_pipeline.stages.refined_motion.judge import judge
from studio_pipeline.stages.refined_motion.settings import FemSettings

SIZE, FINE, FRAMES = 96, 4, 19
CREATURE = pouncer(0.06)
CHARACTER, RIG = CREATURE.character, CREATURE.rig
_WHOLE, STOP = stop_dead(RIG.joint_count)
MOTION = replace(_WHOLE, rotations=_WHOLE.rotations[:FRAMES], translations=_WHOLE.translations[:FRAMES])
SKINNED = pose_vertices(CHARACTER.vertices, RIG.weights, skinning_transforms(RIG, MOTION))
TAIL, EARS = RIG.names.index("tail"), [RIG.names.index(f"{side}_ear") for side in ("left", "right")]


def camera() -> CameraPath:
    return frame_points(SKINNED.reshape(-1, 3), width=SIZE, height=SIZE, azimuth=0.1, elevation=0.1, fill=0.8)


def drawn(surface: np.ndarray) -> np.ndarray:
    """Coverage [T, H, W] uint8 by OpenCV's polygons, which share no code with the renderer."""
    pixels = project(camera(), surface.reshape(1, -1, 3))[0].reshape(*surface.shape[:2], 2)
    frames = []
    for points in pixels:
        # OpenCV's pixel centres are whole numbers; ours lie at a half.
        corners = np.round((FINE * points - 0.5) * 16.0).astype(np.int32)[CHARACTER.faces]
        picture = np.zeros((FINE * SIZE, FINE * SIZE), np.uint8)
        for triangle in corners:
            cv2.fillConvexPoly(picture, triangle, 255, cv2.LINE_8, 4)
        frames.append(cv2.resize(picture, (SIZE, SIZE), interpolation=cv2.INTER_AREA))
    return np.stack(frames)


def iou(surface: np.ndarray, masks: np.ndarray) -> float:
    """Mean over the frames."""
    first, second = drawn(surface) > 127, masks > 127
    return float(((first & second).sum((1, 2)) / (first | second).sum((1, 2))).mean())


def physics(masks: np.ndarray | None = None, **settings: object) -> RefineResult:
    outline = None if masks is None else Outline(camera(), masks)
    return refine(CHARACTER, RIG, CREATURE.solid, MOTION, FemSettings(**settings), outline=outline)  # pyright: ignore


def overshoot(surface: np.ndarray, tip: str) -> float:
    vertex = CREATURE.tips[tip]
    return swing_of(surface[:, vertex], SKINNED[:, vertex], STOP)[1]


@pytest.fixture(scope="module")
def still() -> np.ndarray:
    """Masks of a clip in which flesh doesn't swing."""
    return drawn(SKINNED)


@pytest.fixture(scope="module")
def free() -> np.ndarray:
    return physics().points.points


def test_flesh_that_the_clip_contradicts_is_led(free: np.ndarray, still: np.ndarray) -> None:
    result = physics(still)
    skinned = iou(SKINNED, still)
    assert skinned - iou(free, still) > 0.008
    assert skinned - iou(result.points.points, still) <= 0.005
    verdict = {verdict.name: verdict for verdict in judge(result.report)}["keeps_image_fit"]
    assert verdict.passed and "tail" in verdict.message
    assert result.report.figures["clip_iou_drop_free"] > 0.005 >= result.report.figures["clip_iou_drop"]
    # Led, not nailed down.
    assert overshoot(result.points.points, "tail") > 0.0 and not result.points.fallback.any()


def test_flesh_that_swings_as_the_clip_has_it_is_left_alone(free: np.ndarray) -> None:
    result = physics(drawn(free))
    assert result.leading is not None and result.leading.rounds == 0 and result.leading.kept.drop < 0.0
    np.testing.assert_array_equal(result.points.points, free)
    assert all(overshoot(free, tip) > 1.0 for tip in CREATURE.tips)


def test_only_what_the_clip_contradicts_is_led(free: np.ndarray) -> None:
    stiff = np.zeros(RIG.joint_count)
    stiff[TAIL] = 1.0
    result = physics(drawn(free + (RIG.weights @ stiff)[:, None] * (SKINNED - free)))
    leading = result.leading
    assert leading is not None
    led = (leading.follow_hz > 2.0) | (leading.share < 1.0)
    assert led[TAIL] and not led[EARS].any()
    assert overshoot(result.points.points, "tail") < 0.8 * overshoot(free, "tail")
    for tip in ("ear", "belly"):
        assert overshoot(result.points.points, tip) == pytest.approx(overshoot(free, tip), rel=0.1)


def test_what_an_artist_painted_keeps_its_swing(still: np.ndarray) -> None:
    painted = {"tail": "soft"}
    alone, result = physics(stiffness=painted), physics(still, stiffness=painted)
    assert result.leading is not None
    assert result.leading.follow_hz[TAIL] == 2.0 and result.leading.share[TAIL] == 1.0
    assert overshoot(result.points.points, "tail") > 0.8 * overshoot(alone.points.points, "tail")
    verdict = {verdict.name: verdict for verdict in judge(result.report)}["keeps_image_fit"]
    assert verdict.passed and "painted" in verdict.message


def test_without_a_bound_nothing_is_led(free: np.ndarray, still: np.ndarray) -> None:
    result = physics(still, iou_drop=None)
    assert result.leading is None
    np.testing.assert_array_equal(result.points.points, free)


def test_a_loss_is_told_by_the_joint_whose_skin_it_is() -> None:
    few = SKINNED[:4]
    masks = drawn(few)
    view = ClipView(CHARACTER, RIG, Outline(camera(), masks), few)
    tail = np.zeros(RIG.joint_count)
    tail[TAIL] = 1.0
    moved = few + (RIG.weights @ tail)[:, None] * np.array([0.0, 0.05, 0.0])
    loss = view.loss(moved)
    assert loss.drop == pytest.approx(iou(few, masks) - iou(moved, masks), rel=0.15)
    assert loss.by_joint[TAIL] > 0.8 * loss.by_joint.sum()
    assert view.loss(few).drop == 0.0


def test_a_swing_does_not_hide_in_the_errors_of_the_masks() -> None:
    few = SKINNED[:6]
    masks = drawn(few)
    moved = few + np.array([0.0, 0.008, 0.0])  # under a pixel
    true = iou(few, masks) - iou(moved, masks)
    rng = np.random.default_rng(0)
    sure = masks > 127
    ring = np.stack([cv2.dilate(m, np.ones((3, 3))) - cv2.erode(m, np.ones((3, 3))) for m in sure.astype(np.uint8)]) > 0
    rough = 255 * (sure ^ (ring & (rng.random(masks.shape) < 0.25))).astype(np.uint8)
    assert iou(few, rough) - iou(moved, rough) < 0.7 * true
    assert ClipView(CHARACTER, RIG, Outline(camera(), rough), few).loss(moved).drop == pytest.approx(true, rel=0.25)
    # What moves by far more than masks err is theirs to say.
    far = few + np.array([0.0, 0.1, 0.0])
    assert (
        ClipView(CHARACTER, RIG, Outline(camera(), drawn(far)), np.concatenate([few[:1], few[1:]])).loss(far).drop < 0.0
    )


def test_masks_of_another_clip_are_refused() -> None:
    with pytest.raises(InputError, match="masks of 3 frames"):
        physics(drawn(SKINNED[:3]))
