"""What the captioner's network is taught by: balanced cases, truths, mirrors, calibration."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from studio_pipeline.caption.evidence import MEASURES, SIGNALS, gather
from studio_pipeline.caption.looking import look
from studio_pipeline.models.caption.fusion import calibrated
from studio_pipeline.schema.taxonomy import load_taxonomy
from studio_pipeline.training.caption.batches import batch_of, goals_of, mirrored_values
from studio_pipeline.training.caption.calibrating import _NEVER, _limit, balanced_recall, calibrate
from studio_pipeline.training.caption.cast import load_actor, painted
from studio_pipeline.training.caption.drawing import Case, draw_cases
from studio_pipeline.training.caption.examples import Examples, example_of
from studio_pipeline.training.caption.filming import film, what_previz_draws

FIELDS = [["camera.move", ["fix", "pan_left", "pan_right"], False], ["vfx.impact", ["flash", "debris"], True]]


def test_every_value_is_asked_for_about_equally_often_and_nothing_contradicts():
    taxonomy = load_taxonomy()
    drawable = what_previz_draws(taxonomy)
    cases = list(draw_cases(400, ["a", "b"], drawable, taxonomy, seed=3))
    assert cases == list(draw_cases(400, ["a", "b"], drawable, taxonomy, seed=3))
    counts = Counter((name, value) for case in cases for name, values in case.asked.items() for value in values)
    moves = [counts["camera.move", value] for value in drawable["camera.move"] if value != "fix"]
    assert min(moves) >= 5 and max(moves) - min(moves) <= 3
    performances = [counts["motion.performance", value] for value in drawable["motion.performance"]]
    assert max(performances) - min(performances) <= 1
    for case in cases:
        tags = [f"{name}={value}" for name, values in case.asked.items() for value in values]
        assert not any(other in taxonomy.tag(tag).contradicts for tag in tags for other in tags)  # pyright: ignore


def test_a_clip_is_filmed_with_its_truth():
    taxonomy = load_taxonomy()
    drawable = what_previz_draws(taxonomy)
    case = next(draw_cases(1, ["procedural:3"], drawable, taxonomy, seed=1))
    case = type(case)(
        actor="procedural:3", seed=4, size=(64, 64), frames=8,
        asked={"motion.performance": ("walk",), "motion.timing": ("twos",), "camera.move": ("pan_left",)},
    )  # fmt: skip
    filmed = film(case, taxonomy, drawable)
    assert filmed.clip.frames.shape == (8, 64, 64, 3)
    assert filmed.truth["camera.move"] == ("pan_left",) and filmed.truth["motion.timing"] == ("twos",)
    assert filmed.truth["vfx.impact"] == () and filmed.truth["camera.framing"] == ("full",)
    assert np.array_equal(film(case, taxonomy, drawable).clip.frames, filmed.clip.frames)
    example = example_of(filmed.clip, case.seed)
    assert example["measures"].shape == (len(MEASURES),) and example["signals"].shape[1] == len(SIGNALS)


def test_what_no_picture_tells_is_no_truth():
    taxonomy = load_taxonomy()
    drawable = what_previz_draws(taxonomy)

    def truth(**asked: str):
        values = {"motion.performance": ("idle",)} | {name.replace("_", ".", 1): (v,) for name, v in asked.items()}
        case = Case(actor="procedural:3", seed=4, size=(48, 48), frames=8, asked=values)
        return film(case, taxonomy, drawable).truth

    assert truth(camera_move="follow_pan")["camera.move"] is None  # it follows somebody who stays
    goes = truth(camera_move="follow_pan", motion_path="travel_left")
    assert goes["camera.move"] == ("follow_pan",) and goes["motion.path"] == ("travel_left",)
    hidden = truth(camera_angle="subjective")
    assert hidden["motion.performance"] is hidden["motion.path"] is hidden["camera.framing"] is None
    assert hidden["camera.angle"] == ("subjective",) and hidden["camera.move"] == ("fix",)


def test_a_value_is_said_from_where_recall_pays_and_never_where_it_errs():
    right = np.array([True, True, False, True, False, False, False, False])
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.2, 0.2, 0.1])
    said = [scores >= limit for limit in scores]
    f2 = [5 * (s & right).sum() / (4 * right.sum() + s.sum()) for s in said]
    limit, quality = _limit(scores, right)
    assert quality == pytest.approx(max(f2)) and (scores >= limit).sum() == said[int(np.argmax(f2))].sum()
    assert _limit(np.linspace(1.0, 0.1, 10), np.arange(10) == 9) == (_NEVER, 0.0)  # right in one of ten


def test_evidence_of_a_mirrored_clip_is_mirrored_evidence():
    actor = load_actor("procedural:3")
    taxonomy = load_taxonomy()
    case = next(draw_cases(1, [actor.name], {"camera.move": ("fix", "pan_left")}, taxonomy, seed=2))
    case = type(case)(actor=actor.name, seed=4, size=(64, 64), frames=12, asked={"camera.move": ("pan_left",)})
    clip = film(case, taxonomy, {"camera.move": ("fix", "pan_left")}).clip
    seen = [gather(look(f, 24, alpha=a)) for f, a in
            ((clip.frames, clip.alpha), (clip.frames[:, :, ::-1].copy(), clip.alpha[:, :, ::-1].copy()))]  # fmt: skip
    one = Examples(thumbs=seen[0].thumbs, actors=seen[0].actors, details=seen[0].details, signals=seen[0].signals,
                   measures=seen[0].measures[None], truths=[{}], said=[{}])  # fmt: skip
    words, swap = np.array([[0.1, 0.7, 0.0, 0.2, 0.3]], np.float32), mirrored_values(FIELDS)
    shown = batch_of(one, np.array([0]), np.array([True]), words, swap)
    thumbs, actors, _, signals, measures, said = (t.numpy() for t in shown)
    assert np.array_equal(thumbs, seen[1].thumbs)
    assert np.abs(actors.astype(int) - seen[1].actors).mean() < 6.0  # places are rounded to pixels
    assert np.allclose(said, [[0.1, 0.0, 0.7, 0.2, 0.3]])
    for name in ("left", "right", "area", "luma"):
        place = SIGNALS.index(name)
        assert np.allclose(signals[0, :, place], seen[1].signals[0, :, place], atol=0.02), name
    shift = SIGNALS.index("shift_x")
    assert np.sign(signals[0, :, shift].sum()) == np.sign(seen[1].signals[0, :, shift].sum()) != 0.0
    for name in ("subject_x_share", "subject_cut_left_share", "subject_cut_right_share", "subject_area_share"):
        place = MEASURES.index(name)
        assert measures[0, place] == pytest.approx(seen[1].measures[place], abs=0.02), name


def test_values_in_a_mirror_and_goals():
    assert mirrored_values(FIELDS).tolist() == [0, 2, 1, 3, 4]
    goals = goals_of([{"camera.move": ("pan_left",), "vfx.impact": ()}, {"camera.move": None}], FIELDS)
    assert goals.right.tolist() == [[0, 1, 0, 0, 0], [0] * 5]
    assert goals.known.tolist() == [[True] * 5, [False] * 5]
    assert goals.right.dtype == torch.float32


def test_colours_are_painted_and_shapes_stay():
    actor = load_actor("procedural:3")
    other = painted(actor, np.random.default_rng(5))
    assert np.array_equal(other.character.vertices, actor.character.vertices)
    assert np.abs(other.character.vertex_colors - actor.character.vertex_colors).max() > 0.05


def test_the_better_source_is_chosen_and_confidences_are_shares():
    rng = np.random.default_rng(0)
    truths, said, logits = [], [], np.zeros((600, 5), np.float32)
    values = FIELDS[0][1]
    for row in range(600):
        right = int(rng.integers(3))
        guess = right if rng.random() < 0.7 else int(rng.integers(3))  # the network is right in four of five
        logits[row, guess] += 6.0  # and boasts
        truths.append({"camera.move": (values[right],), "vfx.impact": ("flash",) if right == 1 else ()})
        said.append({"camera.move": {}, "vfx.impact": {"flash": 0.9} if right == 1 else {}})
    found = calibrate(FIELDS, logits, truths, said)
    move = found["camera.move"]
    assert move.source == "network"
    assert calibrated(move, float(np.exp(6.0) / (np.exp(6.0) + 2.0))) == pytest.approx(0.8, abs=0.05)
    assert found["vfx.impact"].source in ("both", "measured")
    assert balanced_recall(np.eye(2, dtype=bool), np.array([[True, False], [True, False]])) == 0.5
