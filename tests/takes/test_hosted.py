"""The hosted service, spoken to by its own client over a real local server."""

from __future__ import annotations

import base64
import json
import logging
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.runway import PENDING, THROTTLED, Service, running, serving

from studio_pipeline.media.video import write_mp4
from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.errors import BackendUnavailable, InputError, StudioError
from studio_pipeline.stages.base import StageContext
from studio_pipeline.stages.takes import STAGE, hosted_download, hosted_runway
from studio_pipeline.stages.takes.hosted_run import ask_of, picture_uri
from studio_pipeline.stages.takes.hosted_runway import KEY, URL, available, model_rules
from studio_pipeline.stages.takes.hosted_settings import HostedSettings

pytest.importorskip("runwayml")

SECRET = "key_5up3r-s3cret-do-not-tell"
FRAMES, SIZE = 13, (96, 54)
MODEL = "gen4_turbo"
BUSY = (429, {"error": "Too many requests"}, {"retry-after": "0"})


def film(size: tuple[int, int] = (320, 180), count: int = 49, fps: int = 24) -> np.ndarray:
    """A disc that moves one pixel a frame on a picture twenty times as large as its radius."""
    frames = np.full((count, size[1], size[0], 3), 200, np.uint8)
    for index, frame in enumerate(frames):
        cv2.circle(frame, (100 + index, 90), 30, (180, 60, 40), -1)
    return frames


@pytest.fixture
def service(tmp_path: Path, monkeypatch):
    write_mp4(tmp_path / "made.mp4", film(), Fraction(24))
    made = Service(SECRET, video=(tmp_path / "made.mp4").read_bytes())
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    for module in (hosted_runway, hosted_download):
        monkeypatch.setattr(module, "PAUSE_S", 0.01)
    monkeypatch.setattr(hosted_runway, "POLL_S", 0.01)
    with serving(made):
        monkeypatch.setenv(KEY, SECRET)
        monkeypatch.setenv(URL, made.url)
        yield made
    assert made.problems == []
    assert all("authorization" not in headers for headers in made.fetched), "the key isn't sent to where videos lie"


@pytest.fixture
def take(inputs, shot, tmp_path: Path, caplog):
    """Runs the backend; afterwards the key is nowhere: no file, no message, no log line."""
    said: list[str] = []
    folder = tmp_path / "out"

    def run(**written):
        folders = inputs("ball", FRAMES, {"motion.performance": "walk", "vfx.element": "dust"})
        (folders["directives"] / "matches.json").write_text(
            json.dumps({"words": [{"field": "vfx.light", "value": "lens_flare", "negated": True}]})
        )
        picture = np.full((SIZE[1], SIZE[0], 3), 200, np.uint8)
        cv2.circle(picture, (30, 27), 9, (40, 60, 180), -1)
        cv2.imwrite(str(folders["canonical_view"] / "canonical.png"), picture)
        seen = shot(FRAMES)
        seen.resolution = SIZE
        folder.mkdir()
        backend = STAGE.backends["hosted"]
        assert backend.missing() == available() == ""
        context = StageContext(
            settings=backend.settings.model_validate({"model": MODEL, **written}), inputs=folders, shot=seen,
            out=folder, progress=lambda fraction, message="": said.append(message),
        )  # fmt: skip
        try:
            result = backend.load()(context)
        except StudioError as error:
            said.append(str(error))
            raise
        said.append(repr(result))
        return result, folder, said

    with caplog.at_level(logging.DEBUG):
        yield run
    written = [path.read_bytes() for path in folder.rglob("*") if path.is_file()] if folder.exists() else []
    for secret in (SECRET, "signed-address"):
        assert not any(secret.encode() in data for data in written)
        assert not any(secret in line for line in said)
    assert SECRET not in caplog.text
    assert not any("signed-address" in record.getMessage() for record in caplog.records if record.name == "httpx")


def record_of(folder: Path, index: int = 0) -> dict:
    return json.loads((folder / "takes.json").read_text())["takes"][index]


def test_a_video_of_the_service_becomes_a_take(service: Service, take) -> None:
    service.looks = [PENDING, THROTTLED, running(0.25), running(0.75)]
    result, folder, said = take()
    clip, record = Clip.load(folder / "take_000"), record_of(folder)
    assert clip.frames.shape == (FRAMES, SIZE[1], SIZE[0], 3) and clip.fps == 24 and clip.source == "hosted"
    # The disc moves 1 px of 320 a frame in the film, so 12 * 96 / 320 px from the first frame to the last.
    columns = np.arange(SIZE[0]) + 0.5
    middles = [np.average(columns, weights=(frame[27, :, 2] < 120).astype(float) + 1e-9) for frame in clip.frames]
    assert middles[-1] - middles[0] == pytest.approx(12 * 96 / 320, abs=0.6)
    asked = service.created[0]
    assert asked["model"] == MODEL and asked["ratio"] == "1280:720" and asked["duration"] == 2 and asked["seed"] == 5
    assert "performance walk" in asked["promptText"] and "audio" not in asked and "negativePrompt" not in asked
    data = base64.b64decode(asked["promptImage"].removeprefix("data:image/png;base64,"))
    sent = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert (
        sent is not None and sent.shape == (720, 1280, 3) and abs(sent[360, 400].astype(int) - (40, 60, 180)).max() < 4
    )
    assert record["credits"] == 25 and record["task"] == "task-1" and record["seed_used"] and record["seed"] == 5
    assert record["model_size"] == [320, 180] and record["model_frames"] == 49 and record["time_stretch"] == 1.0
    assert result.figures["credits"] == 25 and result.figures["failed"] == 0 and result.figures["service_s"] > 0
    assert tuple(v.name for v in result.verdicts) == STAGE.checks and all(v.passed for v in result.verdicts)
    for status in ("pending", "throttled", "running", "fetching"):
        assert any(f"take 1 of 1: {status}" in line for line in said)
    assert service.cancelled == []


def test_other_models_are_asked_as_they_want(service: Service, take) -> None:
    result, folder, _ = take(model="veo3.1_fast", count=2)
    assert [asked["seed"] for asked in service.created] == [5, 6]
    asked = service.created[0]
    assert asked["duration"] == 4 and asked["audio"] is False and asked["negativePrompt"].startswith("lens flare, ")
    assert result.figures["takes"] == 2 and result.figures["credits"] == 50 and record_of(folder, 1)["seed"] == 6


def test_a_busy_service_is_asked_again(service: Service, take) -> None:
    service.creates = [BUSY, (503, {"error": "overloaded"}, {})]
    service.looks = [BUSY, (500, b"<html>", {}), running(0.5), (502, b"", {})]
    service.files = [(503, b"", {}), BUSY]
    take()
    assert len(service.created) == 1 and len(service.fetched) == 3


def test_patience_ends(service: Service, take) -> None:
    service.creates = [BUSY] * 50
    with pytest.raises(BackendUnavailable, match=r"busy or the day's limit is reached \(6 attempts"):
        take()
    assert len(service.creates) == 50 - hosted_runway.ATTEMPTS


def test_a_request_that_may_have_cost_is_not_repeated(service: Service, take) -> None:
    service.creates = [(500, {"error": "internal"}, {})]
    with pytest.raises(BackendUnavailable, match=r"runway failed \(500, 1 attempts: internal"):
        take()
    assert service.created == []


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        ((401, {"error": f"bad key {SECRET}"}, {}), BackendUnavailable, rf"refuses the key.*\[key\].*check {KEY}"),
        (
            (400, {"error": "Validation of body failed", "issues": ["ratio"]}, {}),
            InputError,
            "refuses the request.*ratio",
        ),
        ((200, {}, {}), BackendUnavailable, "without the id"),
        ((200, b"<html>", {"content-type": "text/html"}), BackendUnavailable, "without the id|can't be read"),
        ((200, b"{", {"content-type": "application/json"}), BackendUnavailable, "can't be read"),
    ],
)
def test_refused_requests(answer, kind: type, said: str, service: Service, take) -> None:
    service.creates = [answer]
    with pytest.raises(kind, match=said) as caught:
        take()
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("task", "kind", "said"),
    [
        (
            {"status": "FAILED", "failure": "the prompt\nis indecent", "failureCode": "SAFETY.INPUT.TEXT"},
            InputError,
            "failed .SAFETY.INPUT.TEXT: the prompt is indecent, 3 credits",
        ),
        ({"status": "FAILED", "failure": "oops", "failureCode": "INTERNAL.X"}, BackendUnavailable, "INTERNAL.X: oops"),
        ({"status": "CANCELLED"}, BackendUnavailable, "cancelled"),
        ({"status": "SUCCEEDED", "output": []}, BackendUnavailable, "made no file"),
        ({"status": "SUCCEEDED", "output": [7]}, BackendUnavailable, "made no file"),
        ({"status": "SUCCEEDED"}, BackendUnavailable, "made no file"),
    ],
)
def test_failed_tasks(task: dict, kind: type, said: str, service: Service, take) -> None:
    service.looks = [running(0.5), {"cost": {"credits": 3}, **task}]
    with pytest.raises(kind, match=said):
        take()


def test_one_failed_take_does_not_throw_the_paid_ones_away(service: Service, take) -> None:
    service.looks = [{"status": "FAILED", "failure": "oops", "cost": {"credits": 0}}]
    result, folder, _ = take(count=2)
    assert result.figures["failed"] == 1 and "oops" in result.figures["failure"] and result.figures["takes"] == 1
    assert record_of(folder)["seed"] == 6


def test_a_task_that_takes_too_long_is_cancelled(service: Service, take) -> None:
    service.looks = [running(0.1)] * 500
    with pytest.raises(BackendUnavailable, match="longer than 0.2 s and was cancelled"):
        take(timeout_s=0.2)
    assert service.cancelled == ["task-1"]


def test_an_interrupted_wait_cancels_the_task(service: Service, take, monkeypatch) -> None:
    service.looks = [running(0.1)] * 500

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(hosted_runway.time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        take()
    assert service.cancelled == ["task-1"]


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (["http://example.com/clip.mp4"], "isn't https"),
        (["file:///etc/passwd"], "isn't https"),
        (["https://user:pass@example.com/clip.mp4"], "isn't https"),
        (["http://[bad"], "isn't https"),
        (["ftp://127.0.0.1/clip.mp4"], "isn't https"),
    ],
)
def test_unsafe_addresses_are_refused(output: list[str], said: str, service: Service, take) -> None:
    service.output = output
    with pytest.raises(BackendUnavailable, match=said):
        take()
    assert service.fetched == []


def playlist() -> bytes:
    return b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"


@pytest.mark.parametrize(
    ("video", "said"),
    [
        (b"", "corrupt|no video"),
        (b"<html>not found</html>", "corrupt"),
        (playlist(), "corrupt"),
        (b"cut", "corrupt"),
        (b"large", "larger than 0 MB"),
        (b"shape", "frames of 120 x 120, asked for 1280 x 720"),
    ],
)
def test_hostile_content_is_refused(
    video: bytes, said: str, service: Service, take, tmp_path: Path, monkeypatch
) -> None:
    if video == b"cut":
        video = service.video[: len(service.video) // 2]
    elif video == b"large":
        monkeypatch.setattr(hosted_download, "MOST_BYTES", 1000)
        video = service.video
    elif video == b"shape":
        write_mp4(tmp_path / "square.mp4", film((120, 120)), Fraction(24))
        video = (tmp_path / "square.mp4").read_bytes()
    service.video = video
    with pytest.raises(StudioError, match=said) as caught:
        take()
    assert "studio_hosted_" not in str(caught.value), "the scratch folder is nobody's business"


def test_redirects_are_followed_to_safe_addresses_only(service: Service, take) -> None:
    service.files = [(302, b"", {"location": "/files/elsewhere.mp4"}), (302, b"", {"location": "http://example.com/x"})]
    with pytest.raises(BackendUnavailable, match="isn't https"):
        take()
    assert len(service.fetched) == 2


def test_redirects_end(service: Service, take) -> None:
    service.files = [(302, b"", {"location": "/again"})] * 20
    with pytest.raises(BackendUnavailable, match="redirected more than 5 times"):
        take()


def test_without_a_key_nothing_is_asked(service: Service, take, monkeypatch) -> None:
    monkeypatch.delenv(KEY)
    with pytest.raises(BackendUnavailable, match=f"{KEY} is not set"):
        take()
    assert service.created == []


def test_the_key_is_not_sent_in_the_clear(service: Service, take, monkeypatch) -> None:
    monkeypatch.setenv(URL, "http://example.com")
    with pytest.raises(BackendUnavailable, match=f"{URL} must start with https"):
        take()


def test_a_service_that_is_not_there(service: Service, take, monkeypatch) -> None:
    monkeypatch.setenv(URL, "http://127.0.0.1:9")
    with pytest.raises(BackendUnavailable, match="can't be reached"):
        take()


def test_no_setting_holds_a_key_or_an_address() -> None:
    names = set(HostedSettings.model_fields)
    assert not any(word in name for name in names for word in ("key", "token", "secret", "url", "host"))


def test_what_models_take_is_read_from_the_client() -> None:
    turbo, veo = model_rules("gen4_turbo"), model_rules("veo3.1")
    assert "1280:720" in turbo.ratios and turbo.seconds == () and "seed" in turbo.accepts
    assert veo.seconds == (4, 6, 8) and {"negative_prompt", "audio"} <= veo.accepts
    with pytest.raises(InputError, match="no image-to-video model 'gen99'.*gen4_turbo"):
        model_rules("gen99")


def test_ratios_and_lengths_follow_the_shot() -> None:
    def ask(model: str, size: tuple[int, int], lasts: float, **settings):
        written = HostedSettings(model=model, **settings)
        return ask_of(written, model_rules(model), size, Fraction(lasts))

    assert ask("gen4_turbo", (512, 512), 3.2).ratio == "960:960" and ask("gen4_turbo", (512, 512), 3.2).seconds == 4
    assert ask("gen4_turbo", (1920, 800), 99).ratio == "1584:672" and ask("gen4_turbo", (1920, 800), 99).seconds == 10
    assert ask("veo3.1", (1920, 1080), 5).ratio == "1920:1080" and ask("veo3.1", (1280, 720), 5).seconds == 6
    assert ask("veo3.1", (1280, 720), 20).seconds == 8
    kept = ask("grok_imagine_1_5_lite", (640, 360), 3)
    assert kept.ratio == "auto_480p" and kept.fit.size == (640, 360)
    assert ask("hailuo3", (640, 360), 3).ratio == "16:9"
    with pytest.raises(InputError, match="has no ratio '1:1'"):
        ask("gen4_turbo", (64, 64), 1, ratio="1:1")
    with pytest.raises(InputError, match="makes no 5 s"):
        ask("veo3.1", (64, 64), 1, seconds=5)


def test_large_pictures_are_sent_as_jpeg() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (1080, 1920, 3), dtype=np.uint8)
    assert picture_uri(noise).startswith("data:image/jpeg;base64,") and len(picture_uri(noise)) <= 5_000_000


def test_the_missing_client_is_named_with_its_extra(monkeypatch) -> None:
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert available() == "runwayml not installed; pip install 'studio_pipeline[hosted]'"
