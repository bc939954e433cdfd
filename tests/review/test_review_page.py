"""The review page: complete, self-contained, safe, and the same every time."""

from __future__ import annotations

import shutil
from dataclasses import replace
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from studio_pipeline.schema.errors import InputError
from studio_pipeline.stages.base import StageResult
from studio_pipeline.stages.review import STAGE
from studio_pipeline.stages.review.embed import outside_references, video_within
from studio_pipeline.stages.review.measures import silhouette_iou
from studio_pipeline.stages.review.page import run


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words += data


@pytest.fixture(scope="module")
def reviewed(make_review) -> tuple[Path, StageResult]:
    context = make_review()
    return context.out, run(context)


def test_payload_is_what_the_stage_promises(reviewed):
    out, result = reviewed
    assert sorted(p.name for p in out.iterdir()) == [
        "contact_sheet.png",
        "review.html",
        "side_by_side.mp4",
        "turntable.mp4",
    ]
    assert tuple(v.name for v in result.verdicts) == STAGE.checks
    assert all(v.passed for v in result.verdicts)
    assert all((out / name).exists() for name in result.previews)


def test_page_fetches_nothing(reviewed):
    out, _ = reviewed
    page = _Page((out / "review.html").read_text())
    for tag, attributes in page.tags:
        for name in ("src", "href", "poster", "srcset"):
            value = attributes.get(name)
            assert not value or value.startswith("data:"), (tag, name, value[:60])
    assert "http://" not in (out / "review.html").read_text()
    assert "https://" not in (out / "review.html").read_text()
    assert not any(tag in ("link", "iframe", "object", "embed", "base") for tag, _ in page.tags)


def test_page_tells_the_shot(reviewed):
    out, result = reviewed
    words = _Page((out / "review.html").read_text()).words
    for expected in ("demo_010_0010", "orbit left", "0.82", "artist", "joints inside", "3 of 3 inside", "geometric"):
        assert expected in words
    assert "Lift: track error [px]" in words and "Lift convergence" in words
    assert "1 of 2 gates failed" in words
    assert result.figures["failed_gates"] == 1


def test_text_from_the_artist_is_never_markup(reviewed):
    out, _ = reviewed
    page = _Page((out / "review.html").read_text())
    assert "<script>alert(1)</script> bows & turns." in page.words
    assert "rgb 0.2 <b>above</b> 0.1" in page.words
    assert sum(tag == "script" for tag, _ in page.tags) == 1


def test_lift_that_equals_the_clip_scores_one(reviewed):
    _, result = reviewed
    # The clip was drawn from the lift itself; only the refinement differs.
    assert result.figures["iou_lift_mean"] == pytest.approx(1.0, abs=1e-3)
    assert 0.5 < result.figures["iou_refined_mean"] < 0.999
    # conftest's wobble is 0.02 sin(t) y (1, 0, 0.5), largest at t = 2 and the top of 1.2 m.
    expected = 0.02 * np.sin(np.arange(6)).__abs__().max() * 1.2 * np.hypot(1.0, 0.5) * 1e3
    assert result.figures["displacement_mm_max"] == pytest.approx(expected, rel=1e-3)


def test_side_by_side_shows_clip_lift_refinement(reviewed, make_review):
    out, _ = reviewed
    with av.open(str(out / "side_by_side.mp4")) as video:
        frames = [f.to_ndarray(format="rgb24") for f in video.decode(video=0)]
        assert video.streams.video[0].average_rate == Fraction(24)
    assert len(frames) == 6
    height, width = frames[0].shape[:2]
    assert (width, height) == (3 * 96 + 2 * 4, 128 + 28)
    corner = frames[3][40, [5, 105, 205]].astype(int)  # backgrounds: the clip's, then the review's own twice
    assert np.abs(corner[0] - (120, 140, 130)).max() < 12
    assert np.abs(corner[1:] - (236, 238, 242)).max() < 12


def test_turntable_holds_the_whole_character(reviewed):
    out, _ = reviewed
    with av.open(str(out / "turntable.mp4")) as video:
        frames = [f.to_ndarray(format="rgb24") for f in video.decode(video=0)]
    assert len(frames) == 48
    for frame in frames[::6]:
        drawn = np.abs(frame.astype(int) - (236, 238, 242)).max(-1) > 60
        assert drawn.any()
        assert not drawn[[0, -1]].any() and not drawn[:, [0, -1]].any()


def test_same_input_same_bytes(reviewed, make_review):
    out, _ = reviewed
    again = make_review()
    run(again)
    for path in out.iterdir():
        assert path.read_bytes() == (again.out / path.name).read_bytes(), path.name


def test_missing_stage_records_are_tolerated_but_a_short_clip_is_not(make_review):
    context = make_review(frames=4)
    for name in ("rig", "lifted_motion"):
        (context.inputs[name] / "stage.json").unlink()
    result = run(context)
    assert result.figures["failed_gates"] == 0
    for path in context.out.iterdir():
        path.unlink()
    other = make_review(frames=5)
    shutil.rmtree(context.inputs["reference_clip"])
    shutil.copytree(other.inputs["reference_clip"], context.inputs["reference_clip"])
    with pytest.raises(InputError, match="the clip has 5 frames"):
        run(context)


def test_videos_give_way_to_the_size_limit(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (12, 128, 256, 3), dtype=np.uint8)
    free = video_within(tmp_path / "a.mp4", noise, Fraction(24), 10**9, tmp_path)
    tight = video_within(tmp_path / "b.mp4", noise, Fraction(24), len(free) // 6, tmp_path)
    assert len(tight) <= len(free) // 6
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes() == free
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]


@pytest.mark.parametrize(
    "text",
    [
        '<img src="https://example.org/a.png">',
        '<link rel="stylesheet" href="style.css">',
        "<style>@import 'x.css';</style>",
        '<p style="background: url(picture.png)">',
        "<script>fetch('x')</script>",
        '<video poster="//example.org/p.jpg">',
    ],
)
def test_outside_references_are_found(text):
    assert outside_references(text)


def test_inside_references_are_fine():
    assert not outside_references(
        '<a href="#top"><img src="data:image/png;base64,AAAA"></a><style>a{color:red}</style>'
    )


def test_iou_by_hand():
    a, b = np.zeros((2, 2, 3, 3), bool)
    a[0, 0], b[0, :, 0] = True, True
    assert silhouette_iou(a, b).tolist() == [1 / 5, 1.0]


def test_contact_sheet_has_a_row_each(reviewed):
    sheet = cv2.imread(str(reviewed[0] / "contact_sheet.png"))
    assert sheet.shape[0] == 28 + 3 * (128 + 4) - 4
    assert sheet.shape[1] == 104 + 6 * (96 + 4) - 4


def test_wide_shots_shrink_to_the_panel(make_review):
    context = make_review(size=(320, 180), frames=3, fps=Fraction(24000, 1001), panel_px=160)
    context = replace(context)
    run(context)
    with av.open(str(context.out / "side_by_side.mp4")) as video:
        stream = video.streams.video[0]
        assert (stream.width, stream.height) == (3 * 160 + 8, 90 + 28)
        assert stream.average_rate == Fraction(24000, 1001)
