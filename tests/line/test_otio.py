"""Edits in and out, checked with OpenTimelineIO's own reader and with the media that it points to."""

from __future__ import annotations

import importlib
import json
from fractions import Fraction
from pathlib import Path

import av
import opentimelineio as otio
import pytest
from opentimelineio.opentime import RationalTime, TimeRange
from support.toys import Toy

from studio_pipeline.line.deliverable import Allowed, choose
from studio_pipeline.line.deliveries import leave
from studio_pipeline.line.otio_export import timeline_extra
from studio_pipeline.line.otio_import import Wanted, shots_of
from studio_pipeline.line.shots import read_shot_lists
from studio_pipeline.line.timelines import rate_fraction, read_timeline
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.shotlist import load_shots

NTSC = 24000 / 1001


def span(first: float, count: float, rate: float = NTSC) -> TimeRange:
    return TimeRange(RationalTime(first, rate), RationalTime(count, rate))


def clip(name: str, first: float, count: float, rate: float = NTSC, **more) -> otio.schema.Clip:
    return otio.schema.Clip(name, source_range=span(first, count, rate), **more)


def edit(*items, name: str = "toy") -> otio.schema.Timeline:
    timeline = otio.schema.Timeline(name)
    track = otio.schema.Track("a", kind=otio.schema.TrackKind.Video)
    track.extend(items)
    timeline.tracks.append(track)
    return timeline


def saved(timeline: otio.schema.Timeline, path: Path) -> Path:
    otio.adapters.write_to_file(timeline, str(path))
    return path


def dissolve(head: int, tail: int) -> otio.schema.Transition:
    return otio.schema.Transition(
        "x", "SMPTE_Dissolve", in_offset=RationalTime(head, NTSC), out_offset=RationalTime(tail, NTSC)
    )


def cut(tmp_path: Path) -> Path:
    """Two shots with a dissolve between them, a gap, a third with media of its own, and sound."""
    theirs = otio.schema.ExternalReference("file:///home/ana/secret/third.mov", available_range=span(900, 200))
    said = {"studio_pipeline": {"brief": "lands", "directives": {"motion.performance": "jump"}, "seed": 7}}
    timeline = edit(
        clip("0010", 1001, 6, metadata=said),
        dissolve(2, 3),
        clip("0020", 2001, 5, markers=[otio.schema.Marker("m", span(2002, 1))]),
        otio.schema.Gap(source_range=span(0, 10)),
        clip("third shot.mov", 1000, 4, media_reference=theirs, effects=[otio.schema.LinearTimeWarp(time_scalar=2.0)]),
    )
    timeline.tracks.append(otio.schema.Track("A1", kind=otio.schema.TrackKind.Audio))
    timeline.metadata["editor"] = {"project": "/home/ana/edit/cut.prproj", "frame": 12}
    return saved(timeline, tmp_path / "cut.otio")


def test_clips_become_shots_and_the_rest_is_told(tmp_path: Path) -> None:
    shots, told = shots_of(read_timeline(cut(tmp_path)), Wanted(characters={"": "mochi", "0020": "pip"}))
    first, second, third = shots
    assert first == {
        "show": "toy", "sequence": "a", "shot": "0010", "character": "mochi", "brief": "lands",
        "directives": {"motion.performance": "jump"}, "seed": 7, "fps": "24000/1001", "frames": [1001, 1006],
        "handles": 3,
    }  # fmt: skip
    assert (second["character"], second["frames"], second["handles"]) == ("pip", [2001, 2005], 2)
    assert (third["shot"], third["frames"], third["handles"]) == ("third-shot", [1000, 1003], 96)
    text = "\n".join(told)
    for words in ("1 track without pictures", "1 gap", "1 transition", "change of speed", "becomes shot third-shot"):
        assert words in text
    numbered, _ = shots_of(read_timeline(tmp_path / "cut.otio"), Wanted({"": "mochi"}, first_frame=101, handles=8))
    assert [(shot["frames"], shot["handles"]) for shot in numbered] == [
        ([101, 106], 8), ([101, 105], 8), ([101, 104], 8)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rate", "fraction"),
    [
        (24, 24), (25.0, 25), (23.976, "24000/1001"), (23.98, "24000/1001"), (23.976023976023978, "24000/1001"),
        (29.97, "30000/1001"), (59.94, "60000/1001"), (119.88, "120000/1001"), (12, 12), (23.5, None), (0, None),
        (1000, None), (float("nan"), None),
    ],
)  # fmt: skip
def test_rates_are_fractions(rate: float, fraction: object) -> None:
    assert rate_fraction(rate) == (None if fraction is None else Fraction(fraction))


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: edit(clip("", 1, 5)), "clip 1: has no name that could be a shot's code - name it"),
        (lambda: edit(clip("x", 1001, 5), clip("x", 1010, 5)), "clip 2 'x': becomes shot x as a, clip 1 'x' does"),
        (lambda: edit(clip("x", 1001.5, 5)), "begins or ends between two frames - conform the edit to whole frames"),
        (lambda: edit(clip("x", 1001, 5.25)), "begins or ends between two frames"),
        (lambda: edit(clip("x", 1001, 0)), "is 0 frames long"),
        (lambda: edit(clip("x", 1001, -4)), "is -4 frames long"),
        (lambda: edit(clip("x", 1001, 5, 23.5)), "has the rate 23.5"),
        (lambda: edit(clip("x", 1001, 5, 0)), "has the rate 0"),
        (lambda: edit(clip("x", -5, 5)), "begin before frame 0 - --first-frame 1001 numbers all cuts from there"),
        (lambda: edit(clip("x", 1001, 1e12)), "at most 2000 frames"),
        (lambda: edit(otio.schema.Clip("x")), "has no source range"),
        (lambda: edit(otio.schema.Gap(source_range=span(0, 9))), "has no clip that becomes a shot"),
        (lambda: edit(clip("x", 1, 5, metadata={"studio_pipeline": {"seed": "many"}})), "seed: "),
        (lambda: edit(clip("x", 1, 5, metadata={"studio_pipeline": {"shot": "../up"}})), "must match"),
        (lambda: otio.schema.Timeline("empty"), "has no clip that becomes a shot"),
    ],
)  # fmt: skip
def test_an_edit_that_cannot_be_made_is_refused_by_a_line(tmp_path: Path, made, said: str) -> None:
    with pytest.raises(InputError) as told:
        shots_of(read_timeline(saved(made(), tmp_path / "x.otio")), Wanted({"": "mochi"}))
    assert said in str(told.value) and "\n" not in str(told.value)


def test_nothing_that_names_files_or_commands_is_taken_from_an_edit(tmp_path: Path) -> None:
    said = {"stages": {"observations": {"backend": "external", "command": "rm -rf /"}}, "reference": "/etc/passwd",
            "character": "../../etc/x.glb"}  # fmt: skip
    path = saved(edit(clip("x", 1001, 5, metadata={"studio_pipeline": said})), tmp_path / "x.otio")
    with pytest.raises(InputError, match="has no character"):
        shots_of(read_timeline(path), Wanted())
    (shot,), told = shots_of(read_timeline(path), Wanted({"": "mochi"}))
    assert not {"stages", "reference"} & set(shot) and shot["character"] == "mochi"
    assert "reference, stages is not taken from a timeline" in "".join(told)


def nested(depth: int) -> str:
    inner = '{"OTIO_SCHEMA":"Stack.1","children":[' * depth + "]}" * depth
    return '{"OTIO_SCHEMA":"Timeline.1","tracks":' + inner + "}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not JSON"), ("[1, 2", "is not JSON"), ("[" * 200_000, "is not JSON (too deep)"),
        ("3", "holds no timeline"),
        ("[]", "holds no timeline"), ("{}", "holds no timeline"), ('{"OTIO_SCHEMA": "Clip.2"}', "holds no timeline"),
        ('{"OTIO_SCHEMA": "Timeline.99"}', "is no timeline"), ('{"OTIO_SCHEMA":"Timeline.1","tracks":null}', "tracks"),
        ('{"OTIO_SCHEMA":"Timeline.1","tracks":[1]}', "is no timeline"),
        ('{"OTIO_SCHEMA":"Timeline.1","x":1e999}', "not finite"),
        ('{"OTIO_SCHEMA":"Timeline.1","x":NaN}', "not finite"),
        ('{"OTIO_SCHEMA":"Timeline.1","x":' + "9" * 30 + "}", "too large"),
        ('{"OTIO_SCHEMA":"Timeline.1","x":' + "9" * 5000 + "}", "is not JSON"),
        ('{"OTIO_SCHEMA":"Timeline.1","OTIO_REF_ID":"a"}', "references"), (nested(80), "nested deeper"),
        ('{"OTIO_SCHEMA":"Timeline.1","name":"\\ud800"}', "not valid"),
    ],
    ids=range(17),
)  # fmt: skip
def test_hostile_files_are_refused_by_a_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "x.otio"
    path.write_text(text)
    with pytest.raises(InputError) as told:
        read_timeline(path)
    assert said in str(told.value) and "\n" not in str(told.value) and len(str(told.value)) < 600
    for name, content in (("a.otioz", b"PK"), ("b.otio", b"\xff\xfe"), ("c.edl", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError):
            read_timeline(tmp_path / name)
    with pytest.raises(InputError, match="no such file"):
        read_timeline(tmp_path / "none.otio")


def test_a_file_that_crashes_the_library_costs_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen with mutated edits: OpenTimelineIO's parser corrupts its memory and dies, now or a few files later."""
    import studio_pipeline.line.timelines as timelines

    (tmp_path / "dies.py").write_text("import os, signal\ndef dies(*_):\n    os.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(timelines, "written_again", importlib.import_module("dies").dies)
    with pytest.raises(InputError, match=r"breaks the timeline's reader \(signal 11\) - export the edit again"):
        read_timeline(cut(tmp_path))


LIST = """
- {show: toy, sequence: a, shot: '0010', character: hero.obj, fps: 24000/1001, frames: [1001, 1006], handles: 3,
   brief: lands, seed: 7}
- {show: toy, sequence: a, shot: '0020', character: hero.obj, fps: 24000/1001, frames: [2001, 2005], handles: 2}
"""


@pytest.fixture
def delivered(delivering: Toy, store, make_all, tmp_path: Path):
    """Deliver the list, with or without an edit; gives the folder and the timeline in it."""
    (tmp_path / "shots.yaml").write_text(LIST)
    chosen_shots = read_shot_lists([tmp_path / "shots.yaml"])
    for shot in chosen_shots:
        make_all(shot)

    def deliver(name: str, path: Path | None = None) -> tuple[Path, otio.schema.Timeline]:
        chosen = choose(store, chosen_shots, allowed=Allowed())
        folder = leave(store, chosen, name, tmp_path / "to", extras=timeline_extra(name, path)).folder
        return folder, otio.adapters.read_from_file(str(folder / f"{name}.otio"))

    return deliver


def check_media(folder: Path, one: otio.schema.Clip) -> None:
    """What the clip refers to lies there, and is as long and as fast as it says."""
    movie, pictures = one.media_references()["DEFAULT_MEDIA"], one.media_references()["frames"]
    assert one.media_reference.target_url == movie.target_url and not movie.target_url.startswith(("/", "file:"))
    available = one.available_range()
    with av.open(str(folder / movie.target_url)) as container:
        stream = container.streams.video[0]
        assert sum(1 for _ in container.decode(stream)) == available.duration.value
        assert float(stream.average_rate) == pytest.approx(available.duration.rate, abs=1e-9)
    assert pictures.number_of_images_in_sequence() == available.duration.value
    for index in range(pictures.number_of_images_in_sequence()):
        assert (folder / pictures.target_url_for_image_number(index)).is_file()
    shown = one.trimmed_range()
    assert available.start_time <= shown.start_time and available.end_time_exclusive() >= shown.end_time_exclusive()


def test_the_delivered_timeline_plays_what_was_delivered(delivered, tmp_path: Path) -> None:
    folder, timeline = delivered("first")
    clips = list(timeline.find_clips())
    assert [one.name for one in clips] == ["0010", "0020"]
    for one in clips:
        check_media(folder, one)
    assert clips[0].available_range() == span(998, 12) and clips[0].source_range == span(1001, 6)
    shots, _ = shots_of(read_timeline(folder / "first.otio"), Wanted({"": "hero.obj"}))
    for given, back in zip(load_shots(tmp_path / "shots.yaml"), shots, strict=True):
        shot = given.shot
        assert (back["show"], back["sequence"], back["shot"]) == (shot.show, shot.sequence, shot.shot)
        assert tuple(back["frames"]) == shot.frames and Fraction(back["fps"]) == shot.fps
        assert (back["handles"], back.get("brief", ""), back["seed"]) == (shot.handles, shot.brief, shot.seed)


def test_an_edit_comes_back_whole_with_our_media(delivered, tmp_path: Path) -> None:
    folder, timeline = delivered("second", cut(tmp_path))
    track = timeline.tracks[0]
    assert [type(item).__name__ for item in track] == ["Clip", "Transition", "Clip", "Gap", "Clip"]
    assert track[1].in_offset == RationalTime(2, NTSC) and track[3].duration() == RationalTime(10, NTSC)
    assert track[2].markers[0].name == "m" and timeline.tracks[1].kind == otio.schema.TrackKind.Audio
    for one in (track[0], track[2]):
        check_media(folder, one)
    assert track[0].metadata["studio_pipeline"]["delivered"]["version"] == "v001"
    lost = track[4]
    assert isinstance(lost.media_reference, otio.schema.MissingReference) and lost.available_range() == span(900, 200)
    assert lost.effects[0].time_scalar == 2.0
    text = (folder / "second.otio").read_text()
    assert "/home" not in text and json.loads(text)["metadata"]["editor"] == {"project": "cut.prproj", "frame": 12}
    assert otio.adapters.read_from_file(str(tmp_path / "cut.otio")).duration() == timeline.duration()


def test_a_renumbered_and_a_trimmed_clip_fit_and_another_does_not(delivered, tmp_path: Path) -> None:
    path = saved(edit(clip("toy_a_0010", 86400, 6), clip("0020", 2000, 3)), tmp_path / "x.otio")
    _, timeline = delivered("third", path)
    first, second = timeline.find_clips()
    assert first.source_range == span(1001, 6) and second.source_range == span(2000, 3)
    for items, said in (
        (
            (clip("0010", 1001, 20), clip("0020", 2001, 5)),
            "shows 20 frames from 1001 on, toy_a_0010 was delivered with 6",
        ),
        (
            (clip("0010", 1001, 6, 25), clip("0020", 2001, 5)),
            "runs at 25 in the edit, toy_a_0010 was made at 24000/1001",
        ),
        ((clip("0010", 1001, 6),), "the edit has no clip of toy_a_0020"),
    ):
        with pytest.raises(InputError, match=said):
            delivered("fourth", saved(edit(*items), tmp_path / "y.otio"))


def test_the_commands_go_from_an_edit_to_shots_that_check(hands, tmp_path: Path) -> None:
    cut(tmp_path)
    code, out, err = hands("import-otio", "cut.otio", "--character", "hero.obj", "--out", "lists/cut.yaml")
    assert code == 0 and "toy_a_0010  1001-1006 at 24000/1001, handles 3" in out and "1 gap stay" in err
    read = [item.shot for item in load_shots(tmp_path / "lists" / "cut.yaml")]
    assert [(shot.id, shot.frames, shot.fps) for shot in read] == [
        ("toy_a_0010", (1001, 1006), Fraction(24000, 1001)), ("toy_a_0020", (2001, 2005), Fraction(24000, 1001)),
        ("toy_a_third-shot", (1000, 1003), Fraction(24000, 1001)),
    ]  # fmt: skip
    assert read[0].brief == "lands" and read[0].character.file == "../hero.obj"
    again = hands("import-otio", "cut.otio", "--character", "hero.obj", "--out", "lists/cut.yaml")
    assert again[0] == 2 and "is there already" in again[2]
    assert hands("import-otio", "cut.otio", "--character", "x", "--out", "lists/cut.yaml", "--replace")[0] == 0
    assert hands("import-otio", "cut.otio", "--resolution", "big")[0] == 2
