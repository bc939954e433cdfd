"""Clips and pictures that other programs wrote, whole and broken."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from studio_pipeline.media.images import read_image
from studio_pipeline.media.reading import read_clip
from studio_pipeline.media.strips import write_strip
from studio_pipeline.media.video import write_mp4
from studio_pipeline.schema.errors import InputError

COLOURS = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200], [250, 250, 250], [8, 8, 8], [128, 90, 60]], np.uint8)
FRAMES = np.broadcast_to(COLOURS[:, None, None], (6, 64, 96, 3)).copy()


def encode(
    path: Path, codec: str, pix_fmt: str, *, matrix: int | None = None, full: bool = False, fps: int = 25
) -> Path:
    """Write FRAMES with a matrix of our own making, so that the reader's conversion has something to be held to."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height, stream.pix_fmt = 96, 64, pix_fmt
        if codec.startswith("libx264"):
            stream.options = {"crf": "1"}
        if matrix is not None:
            stream.codec_context.colorspace = matrix
            stream.codec_context.color_range = 2 if full else 1
        for colour in COLOURS:
            container.mux(stream.encode(_frame(colour, pix_fmt, matrix, full)))
        container.mux(stream.encode())
    return path


def _frame(colour: np.ndarray, pix_fmt: str, matrix: int | None, full: bool) -> av.VideoFrame:
    if matrix is None:
        return av.VideoFrame.from_ndarray(np.broadcast_to(colour, (64, 96, 3)).copy(), format="rgb24").reformat(
            format=pix_fmt
        )
    kr, kb = {1: (0.2126, 0.0722), 5: (0.299, 0.114)}[matrix]
    r, g, b = colour / 255.0
    y = kr * r + (1 - kr - kb) * g + kb * b
    chroma = (b - y) / (2 * (1 - kb)), (r - y) / (2 * (1 - kr))
    luma = 255 * y if full else 16 + 219 * y
    u, v = (128 + (255 if full else 224) * c for c in chroma)
    planes = np.concatenate([np.full(64 * 96, luma), np.full(32 * 48, u), np.full(32 * 48, v)])
    return av.VideoFrame.from_ndarray(np.round(planes).astype(np.uint8).reshape(96, 96), format="yuv420p")


def centre(frames: np.ndarray) -> np.ndarray:
    return frames[:, 32, 48].astype(int)


@pytest.mark.parametrize(("matrix", "full"), [(1, False), (1, True), (5, False), (5, True)])
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_matrix_and_range_are_followed(tmp_path: Path, ending: str, matrix: int, full: bool) -> None:
    clip = read_clip(encode(tmp_path / f"a.{ending}", "libx264", "yuv420p", matrix=matrix, full=full))
    assert np.abs(centre(clip.frames) - COLOURS).max() <= 3
    assert clip.fps == 25 and clip.alpha is None and clip.frames.shape == (6, 64, 96, 3)


def test_what_we_write_we_read(tmp_path: Path) -> None:
    write_mp4(tmp_path / "a.mp4", FRAMES, Fraction(24000, 1001))
    clip = read_clip(tmp_path / "a.mp4", expect_frames=6, expect_size=(96, 64))
    assert clip.fps == Fraction(24000, 1001) and np.abs(centre(clip.frames) - COLOURS).max() <= 3


def test_opencv_and_gif(tmp_path: Path) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "a.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 30, (96, 64))
    for frame in FRAMES:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()
    clip = read_clip(tmp_path / "a.mp4")
    assert clip.fps == 30 and np.abs(centre(clip.frames) - COLOURS).max() <= 8
    images = [Image.fromarray(frame) for frame in FRAMES]
    images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:], duration=50)
    clip = read_clip(tmp_path / "a.gif")
    assert clip.fps == 20 and np.array_equal(centre(clip.frames), COLOURS)


def folder(path: Path, frames: np.ndarray = FRAMES, *, first: int = 1001, ending: str = "png") -> Path:
    path.mkdir(exist_ok=True)
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(path / f"walk.{first + index:04d}.{ending}")
    return path


def test_folders_keep_pixels_order_and_alpha(tmp_path: Path) -> None:
    alpha = np.arange(6 * 64 * 96).reshape(6, 64, 96).astype(np.uint8)
    made = folder(tmp_path / "a", np.concatenate([FRAMES, alpha[..., None]], axis=-1), first=8)
    (made / "notes.txt").write_text("not a picture")
    clip = read_clip(made, expect_frames=6)
    assert np.array_equal(clip.frames, FRAMES) and clip.alpha is not None and np.array_equal(clip.alpha, alpha)
    assert clip.fps is None
    assert read_clip(folder(tmp_path / "b", ending="jpg")).alpha is None


def test_sixteen_bits_are_rounded(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 64 * 64, dtype=np.uint16).reshape(64, 64)
    cv2.imwrite(str(tmp_path / "a.png"), np.stack([values, values // 2, values // 3], axis=-1))
    rgb, alpha = read_image(tmp_path / "a.png")
    assert alpha is None
    for channel, truth in zip((2, 1, 0), (values, values // 2, values // 3), strict=True):
        assert np.array_equal(rgb[..., channel], np.floor(truth / 257.0 + 0.5).astype(np.uint8))
    cv2.imwrite(str(tmp_path / "g.png"), values)
    assert read_image(tmp_path / "g.png")[0].shape == (64, 64, 3)


def test_palettes_and_grey(tmp_path: Path) -> None:
    Image.fromarray(FRAMES[0]).convert("P").save(tmp_path / "p.png")
    Image.fromarray(FRAMES[0]).convert("LA").save(tmp_path / "la.png")
    assert read_image(tmp_path / "p.png")[0].shape == (64, 96, 3)
    rgb, alpha = read_image(tmp_path / "la.png")
    assert alpha is not None and (alpha == 255).all() and np.ptp(rgb, axis=-1).max() == 0


def refused(path: Path, words: str, **options: object) -> None:
    with pytest.raises(InputError, match=words) as caught:
        read_clip(path, **options)  # pyright: ignore
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_what_is_wrong_with_a_folder(tmp_path: Path) -> None:
    made = folder(tmp_path / "a")
    refused(made, "has 6 frames, expected 7", expect_frames=7)
    refused(made, "expected 64 x 64", expect_size=(64, 64))
    refused(made, "at most 32", max_pixels=32)
    refused(made, "at most 3 are allowed", max_frames=3)
    (made / "walk.1003.png").unlink()
    refused(made, "frame 1003 is missing")
    Image.fromarray(FRAMES[0, :32]).save(made / "walk.1003.png")
    refused(made, "walk.1003.png: is 96 x 32 pixels")
    Image.fromarray(FRAMES[0]).save(made / "run.1003.png")
    refused(made, "same frame number")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "holds no PNG or JPEG")
    (tmp_path / "empty" / "a.0001.exr").write_bytes(b"x")
    refused(tmp_path / "empty", "EXR")
    refused(tmp_path / "none", "no such file or folder")


def test_a_header_that_declares_gigabytes_is_refused_before_decoding(tmp_path: Path) -> None:
    made = folder(tmp_path / "a", FRAMES[:1])
    data = bytearray((made / "walk.1001.png").read_bytes())
    data[16:24] = (60000).to_bytes(4, "big") * 2
    (made / "walk.1001.png").write_bytes(bytes(data))
    with pytest.raises(InputError):
        read_clip(made)


def test_what_is_wrong_with_a_video(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", "libx264", "yuv420p")
    refused(path, "has 6 frames, expected 5", expect_frames=5)
    refused(path, "expected 64 x 64", expect_size=(64, 64))
    refused(path, "at most 64", max_pixels=64)
    refused(path, "at most 3", max_frames=3)
    mkv = encode(tmp_path / "a.mkv", "libx264", "yuv420p")  # says no count in its header
    refused(mkv, "expected 5", expect_frames=5)
    refused(mkv, "has 6 frames, expected 7", expect_frames=7)
    refused(mkv, "at most 3", max_frames=3)
    for name, data in (("b.mp4", b""), ("c.mp4", b"not a video" * 50), ("d.gif", b"GIF89a"), ("e.xyz", b"")):
        (tmp_path / name).write_bytes(data)
        refused(tmp_path / name, "corrupt|ending")


def test_a_playlist_called_mp4_opens_nothing(tmp_path: Path) -> None:
    encode(tmp_path / "real.mp4", "libx264", "yuv420p")
    for name, text in (("a.mp4", "#EXTM3U\nreal.mp4\n"), ("b.mkv", "ffconcat version 1.0\nfile real.mp4\n")):
        (tmp_path / name).write_text(text)
        refused(tmp_path / name, "truncated or corrupt")


def test_half_a_video_is_no_video(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (24, 64, 96, 3), dtype=np.uint8)
    write_mp4(tmp_path / "a.mp4", noise, Fraction(24))
    data = (tmp_path / "a.mp4").read_bytes()
    for share in (0.3, 0.6, 0.9, 0.99):
        (tmp_path / "b.mp4").write_bytes(data[: int(len(data) * share)])
        refused(tmp_path / "b.mp4", "truncated or corrupt")


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    where = tmp_path_factory.mktemp("samples")
    encode(where / "a.mp4", "libx264", "yuv420p")
    encode(where / "a.mkv", "libx264", "yuv420p")
    images = [Image.fromarray(frame) for frame in FRAMES]
    images[0].save(where / "a.gif", save_all=True, append_images=images[1:], duration=50)
    return {path.suffix: path.read_bytes() for path in where.iterdir()}


@pytest.mark.slow
@settings(max_examples=120, deadline=None)
@given(
    ending=st.sampled_from([".mp4", ".mkv", ".gif"]),
    cut=st.floats(0.0, 1.0),
    edits=st.lists(st.tuples(st.floats(0.0, 1.0), st.integers(0, 255)), max_size=4),
)
def test_damaged_videos_give_frames_or_a_clear_error(
    samples: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory, ending: str, cut: float,
    edits: list[tuple[float, int]],
) -> None:  # fmt: skip
    data = bytearray(samples[ending])
    for place, value in edits:
        data[int(place * (len(data) - 1))] = value
    path = tmp_path_factory.getbasetemp() / f"damaged{ending}"
    path.write_bytes(bytes(data if edits else data[: int(cut * len(data))]))
    try:
        clip = read_clip(path, expect_frames=6)
        # A damaged header may say another size or number; what comes is frames nevertheless.
        assert clip.frames.ndim == 4 and clip.frames.shape[-1] == 3 and clip.frames.dtype == np.uint8
    except InputError as error:
        assert str(path) in str(error)


def test_a_strip_shows_first_and_last(tmp_path: Path) -> None:
    write_strip(tmp_path / "s.png", FRAMES, count=4)
    sheet, _ = read_image(tmp_path / "s.png")
    assert sheet.shape == (128, 192, 3)
    assert np.array_equal(sheet[10, 10], COLOURS[0]) and np.array_equal(sheet[-10, -10], COLOURS[-1])
