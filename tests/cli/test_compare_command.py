"""`studio compare`: the wipe shows both versions where it says, and the table says what differs."""

from __future__ import annotations

import hashlib
import json
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path

import av
import numpy as np
import pytest
from support.toys import Toy

from studio_pipeline.media.video import write_mp4
from studio_pipeline.media.wipe import STRIP, Footage, differences, split_at, wipe_frames

SHOT = "toy_a_0010"
FIRST = "  fps: 24000/1001\n  frames: [1001, 1006]\n  handles: 1\n"
SECOND = FIRST + "  stages: {delivery: {gain: 3}}\n"


@pytest.fixture
def two(delivering: Toy, shots, make_all) -> Toy:
    make_all(*shots(FIRST))
    make_all(*shots(SECOND))
    return delivering


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.sources += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.words += data.split()


def test_the_wipe_shows_both_versions_and_the_page_both(hands, two: Toy) -> None:
    code, out, _ = hands("compare", SHOT, "v001", "v2", "--out", "cmp", "--json")
    found = json.loads(out)
    assert code == 0 and sorted(path.name for path in Path("cmp").iterdir()) == [
        "compare.html", "compare.json", "wipe.mp4"
    ]  # fmt: skip
    with av.open("cmp/wipe.mp4") as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(stream)]
        assert stream.average_rate == Fraction(24000, 1001) and stream.codec_context.name == "h264"
    assert len(frames) % 8 == 0 and len(frames) >= 4 * 24000 / 1001  # whole loops
    height, width = frames[0].shape[:2]
    assert (width, height) == (512, 512 + STRIP)  # 64 pixels, enlarged eight times
    splits = []
    for index, frame in enumerate(frames):
        row = frame[-20, :, 1]  # below, beyond the white bar that grows with the frame number
        bar = 8 * (4 + (1000 + index % 8) % 32)
        split = split_at(index, len(frames), 1, width)
        splits.append(split)
        left, right = row[bar + 16 : max(split - 16, 0)], row[max(split, bar) + 16 :]
        assert left.size == 0 or np.abs(left - 60).max() < 12, index  # v001's grey
        assert right.size == 0 or np.abs(right - 180).max() < 12, index  # v002's
        assert frame[2 : STRIP - 2, 8:80].max() > 180 and frame[2 : STRIP - 2, -80:-8].max() > 180  # both labels
        assert frame[2 : STRIP - 2, 200:312].max() > 180  # the number
    assert max(splits) > 0.98 * width and min(splits) < 0.02 * width
    same, other = frames[0][:STRIP, 200:312], frames[8][:STRIP, 200:312]
    assert np.abs(same - other).max() < 40 < np.abs(same - frames[1][:STRIP, 200:312]).max()  # 1000 again, then 1001
    assert found["pictures"]["worst_mean"] > 60 and found["pictures"]["equal"] == 0
    assert (found["pictures"]["first"], found["pictures"]["last"]) == (1000, 1007)
    row = {"stage": "delivery", "ingredient": "settings.gain", "before": 1.0, "after": 3.0}
    assert found["ingredients"] == [row] and found["upstream"] == []
    assert next(row for row in found["figures"] if row["name"] == "value")["change"] == 4
    page = Page(Path("cmp/compare.html").read_text())
    assert page.sources == ["wipe.mp4"] and {"v001", "v002", "settings.gain", "sane"} <= set(page.words)
    assert json.loads(Path("cmp/compare.json").read_text())["files"]["same"] == 0


def test_a_difference_is_followed_to_where_it_comes_from(hands, two: Toy, shots, make_all) -> None:
    make_all(*shots(FIRST + "  brief: a longer story\n"))
    code, out, _ = hands("compare", SHOT, "v001", "v003", "--json")
    found = json.loads(out)
    assert code == 0 and [row["ingredient"] for row in found["ingredients"]] == ["inputs.reference_clip"]
    assert found["upstream"] == [
        {"stage": "directives", "ingredient": "shot.brief", "before": "", "after": "a longer story"}
    ]
    assert "directives shot.brief" in hands("compare", SHOT, "v001", "v003")[1]


def test_the_same_command_gives_the_same_bytes(hands, two: Toy) -> None:
    digests = []
    for folder in ("a", "b"):
        assert hands("compare", SHOT, "v001", "v002", "--out", folder)[0] == 0
        digests.append({p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(Path(folder).iterdir())})
    assert digests[0] == digests[1]


def test_a_version_with_itself_differs_nowhere(hands, two: Toy) -> None:
    code, out, _ = hands("compare", SHOT, "v001", "v001")
    assert code == 0 and "pictures: 0 of 8 frames differ\n" in out and "files: 11 the same, 0 differ" in out
    assert "the same pixels" in Path("compare", f"{SHOT}_delivery_v001_v001", "compare.html").read_text()


def test_a_stage_without_pictures_gets_the_table_alone(hands, two: Toy, shots, make_all) -> None:
    make_all(*shots(FIRST + "  stages: {rig: {gain: 2}}\n"))
    code, out, _ = hands("compare", SHOT, "v001", "v002", "--stage", "rig")
    folder = Path("compare", f"{SHOT}_rig_v001_v002")
    assert code == 0 and "settings.gain" in out and "pictures" not in out
    assert sorted(path.name for path in folder.iterdir()) == ["compare.html", "compare.json"]
    assert Page((folder / "compare.html").read_text()).sources == []


def test_one_of_several_takes_is_shown(hands, delivering: Toy, shots, make_all) -> None:
    def leave_takes(context) -> None:
        for take in range(2):  # the second version differs in its second take only
            grey = 100 if take == 1 and context.settings.gain == 2 else 20
            pixels = np.full((context.shot.frame_count, 32, 32, 3), grey, np.uint8)
            write_mp4(context.out / f"take_{take:03d}.mp4", pixels, context.shot.fps)

    delivering.during["delivery"] = leave_takes
    make_all(*shots(FIRST))
    make_all(*shots(FIRST + "  stages: {delivery: {gain: 2}}\n"))
    code, out, _ = hands("compare", SHOT, "v001", "v002")
    assert code == 0 and "take 000: 0 of 8 frames differ\n" in out
    code, out, _ = hands("compare", SHOT, "v001", "v002", "--take", "1")
    assert code == 0 and "take 001: 8 of 8 frames differ" in out
    assert Path("compare", f"{SHOT}_delivery_v001_v002_take_001", "wipe.mp4").exists()
    code, out, err = hands("compare", SHOT, "v001", "v002", "--take", "2")
    assert code == 2 and "has no take 2 - its takes: 0, 1" in err and err.count("\n") == 1
    code, _, err = hands("compare", SHOT, "v001", "v001", "--stage", "rig", "--take", "0")
    assert code == 2 and "leave --take out" in err
    assert len(list(Path("compare").iterdir())) == 2  # nothing is left of what was refused


def test_what_cannot_be_compared_is_said_in_a_line(hands, two: Toy) -> None:
    for words, said in (
        ((SHOT, "v001", "v009"), "has no version 'v009' - one of: v001, v002"),
        (("toy_a_0011", "v001", "v002"), "knows no shot"),
        ((SHOT, "v001", "v002", "--stage", "riggs"), "no stage is called 'riggs'"),
        ((SHOT, "v001", "v002", "--out", "shots.yaml"), "can't be written"),
    ):
        code, out, err = hands("compare", *words)
        assert code != 0 and said in err and err.count("\n") == 1 and out == ""
    victim = next((two.home / "store" / "artifacts").rglob("*.1003.png"))
    victim.chmod(0o644)
    victim.write_bytes(victim.read_bytes()[:-1])
    code, _, err = hands("compare", SHOT, "v001", "v002")
    assert code == 5 and "1003.png" in err


def footage(numbers: range, size: tuple[int, int], grey: int) -> Footage:
    return Footage(numbers, size, lambda number: np.full((size[1], size[0], 3), grey, np.uint8))


def test_frames_are_matched_by_their_numbers_and_sizes_by_the_first() -> None:
    a, b = footage(range(10, 20), (640, 360), 100), footage(range(15, 25), (320, 180), 130)
    found = differences(a, b)
    assert found is not None and (found.first, found.last, found.equal, found.mean) == (15, 19, 0, 30.0)
    pictures = list(wipe_frames(a, b, labels=("v001", "v002"), fps=Fraction(25)))
    assert len(pictures) == 100 and pictures[0].shape == (360 + STRIP, 640, 3)
    assert differences(a, footage(range(30, 40), (640, 360), 100)) is None
    small = footage(range(2), (501, 301), 0)
    odd = next(wipe_frames(small, small, labels=("a", "b"), fps=Fraction(1)))
    assert odd.shape == (334, 502, 3)
