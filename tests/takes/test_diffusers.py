"""Image-to-video pipelines from tiny random checkpoints, through the stage that a user's own model goes through."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from studio_pipeline.schema.clip import Clip
from studio_pipeline.schema.errors import BackendUnavailable, InputError
from studio_pipeline.stages.base import StageContext
from studio_pipeline.stages.takes import STAGE
from studio_pipeline.stages.takes.diffusers_loading import available

pytest.importorskip("diffusers")
pytestmark = pytest.mark.slow  # diffusers alone takes seconds to import

WAN = "WanImageToVideoPipeline"
FRAMES, SIZE = 10, (96, 64)
# Pipeline, how it is saved, and how many frames at which rate it makes for 10 frames at 24 a second (0.375 s).
PIPELINES = {
    "wan": (WAN, "save_wan", {}, 9, 16),  # 4 k + 1 frames, 7 needed
    "wan22-ti2v": (WAN, "save_wan", {"expand": True}, 13, 24),
    "wan22-a14b": (WAN, "save_wan", {"two": True}, 9, 16),
    "skyreels": ("SkyReelsV2ImageToVideoPipeline", "save_skyreels", {}, 13, 24),
    "skyreels-df": ("SkyReelsV2DiffusionForcingImageToVideoPipeline", "save_skyreels_forcing", {}, 13, 24),
    "ltx": ("LTXImageToVideoPipeline", "save_ltx", {}, 13, 24),  # takes the shot's own rate
    "cogvideox": ("CogVideoXImageToVideoPipeline", "save_cogvideox", {}, 9, 8),
    "cogvideox-fixed": ("CogVideoXImageToVideoPipeline", "save_cogvideox", {"learned": True}, 9, 8),
    "cogvideox15": ("CogVideoXImageToVideoPipeline", "save_cogvideox", {"pairs": True}, 9, 16),
    "hunyuan": ("HunyuanVideoImageToVideoPipeline", "save_hunyuan", {}, 13, 24),  # of 17, four are dropped
    "hunyuan-skyreels": ("HunyuanSkyreelsImageToVideoPipeline", "save_hunyuan_skyreels", {}, 13, 24),
    "svd": ("StableVideoDiffusionPipeline", "save_svd", {}, 5, 7),
    "sana": ("SanaImageToVideoPipeline", "save_sana", {}, 9, 16),
}
ONLY_SIZES = {"cogvideox-fixed": (32, 16)}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    from support import tiny_video

    made: dict[str, Path] = {}

    def save(name: str) -> Path:
        if name not in made:
            _, how, options, _, _ = PIPELINES[name]
            made[name] = getattr(tiny_video, how)(tmp_path_factory.mktemp("models") / f"{name}-tiny", **options)
        return made[name]

    return save


@pytest.fixture
def take(inputs, shot, tmp_path: Path):
    """Runs the backend as the line does; returns result, payload folder and what progress said."""

    def run(name: str, out: str = "out", *, directives: dict[str, str] | None = None, colour: int = 90, **written):
        folders = inputs("ball", FRAMES, directives or {"motion.performance": "walk", "camera.move": "pan_left"})
        picture = np.full((SIZE[1], SIZE[0], 3), 200, np.uint8)
        cv2.circle(picture, (48, 32), 20, (colour, 60, 180), -1)
        cv2.imwrite(str(folders["canonical_view"] / "canonical.png"), picture)
        seen = shot(FRAMES)
        seen.resolution = SIZE
        folder = tmp_path / out
        folder.mkdir()
        size = {} if name in ONLY_SIZES else {"size": [128, 64] if name == "svd" else [96, 64]}
        written = {"pipeline": PIPELINES[name][0], "steps": 2, **size, **written} if name in PIPELINES else written
        backend = STAGE.backends["diffusers"]
        assert backend.missing() == ""
        told: list[tuple[float, str]] = []
        context = StageContext(
            settings=backend.settings.model_validate(written), inputs=folders, shot=seen, out=folder,
            progress=lambda fraction, message="": told.append((fraction, message)),
        )  # fmt: skip
        return backend.load()(context), folder, told

    return run


def frames_of(folder: Path, index: int = 0) -> np.ndarray:
    return Clip.load(folder / f"take_{index:03d}").frames


def record_of(folder: Path, index: int = 0) -> dict:
    return json.loads((folder / "takes.json").read_text())["takes"][index]


@pytest.mark.parametrize("name", PIPELINES)
def test_a_model_s_clip_becomes_the_shot_s(name: str, model, take, tmp_path: Path) -> None:
    result, folder, told = take(name, model=model(name))
    clip, record = Clip.load(folder / "take_000"), record_of(folder)
    assert clip.frames.shape == (FRAMES, SIZE[1], SIZE[0], 3) and clip.fps == 24 and clip.first_frame == 1001
    assert clip.source == "diffusers" and clip.alpha is None
    pipeline, _, _, count, rate = PIPELINES[name]
    assert record["pipeline"] == pipeline and record["model"] == f"{name}-tiny" and record["seed"] == 5
    assert record["model_frames"] == count and Fraction(record["model_fps"]) == rate
    assert tuple(record["model_size"]) == tuple(record["asked_size"])
    if name in ONLY_SIZES:
        assert tuple(record["asked_size"]) == ONLY_SIZES[name]
    if name == "svd":
        assert record["prompt"] == "" and result.figures["prompt_limit"] == 0
    else:
        assert "move pan left" in record["prompt"] and "performance walk" in record["prompt"]
        assert 0 < result.figures["prompt_tokens"] <= result.figures["prompt_limit"]
    assert tuple(v.name for v in result.verdicts) == STAGE.checks and (folder / "take_000.mp4").stat().st_size > 0
    assert str(tmp_path) not in (folder / "takes.json").read_text()
    shares = [fraction for fraction, _ in told]
    assert shares == sorted(shares) and len(shares) >= 4 and shares[-1] <= 1.0


def test_seeds_give_different_takes_and_the_same_bytes_again(model, take) -> None:
    _, first, _ = take("wan", "first", model=model("wan"), count=2)
    assert [record_of(first, index)["seed"] for index in (0, 1)] == [5, 6]
    assert not np.array_equal(frames_of(first, 0), frames_of(first, 1))
    _, again, _ = take("wan", "again", model=model("wan"), count=2)
    files = [{str(p.relative_to(f)): p.read_bytes() for p in f.rglob("*") if p.is_file()} for f in (first, again)]
    assert files[0] == files[1]


def test_picture_words_and_settings_reach_the_model(model, take) -> None:
    plain = frames_of(take("wan", "plain", model=model("wan"))[1])
    others = {
        "picture": {"colour": 250},
        "words": {"directives": {"motion.performance": "run", "camera.move": "fix"}},
        "steps": {"steps": 3},
        "guidance": {"guidance": 1.0},
        "dtype": {"dtype": "bfloat16"},
    }
    for what, changed in others.items():
        assert not np.array_equal(frames_of(take("wan", what, model=model("wan"), **changed)[1]), plain), what


def test_options_of_a_pipeline(model, take) -> None:
    plain = take("ltx", "plain", model=model("ltx"))[1]
    other = take("ltx", "other", model=model("ltx"), options={"guidance_rescale": 0.9})[1]
    assert not np.array_equal(frames_of(plain), frames_of(other))
    assert record_of(other)["options"] == {"guidance_rescale": 0.9}
    for name in ("no_such", "num_frames", "generator"):
        with pytest.raises(InputError, match=f"no option '{name}'.*guidance_rescale"):
            take("ltx", f"bad_{name}", model=model("ltx"), options={name: 1})


def test_longer_shots_than_the_model_makes_are_slowed_down(model, take) -> None:
    _, folder, _ = take("wan", model=model("wan"), most_frames=6, retime="blend")
    record = record_of(folder)
    assert record["model_frames"] == 5 and record["time_stretch"] == pytest.approx(9 * 16 / 24 / 4) == 1.5
    assert record["retime"] == "blend" and len(frames_of(folder)) == FRAMES


def test_the_shot_s_shape_and_the_model_s_area(model) -> None:
    from studio_pipeline.stages.takes.diffusers_loading import load_pipeline
    from studio_pipeline.stages.takes.diffusers_run import ask_of
    from studio_pipeline.stages.takes.diffusers_settings import DiffusersSettings

    written = DiffusersSettings(pipeline=WAN, model=model("wan"))
    pipe, dtype = load_pipeline(written)
    ask = ask_of(pipe, written, (1920, 1080), Fraction(24), 97)
    assert ask.fit.size == (848, 480) and ask.frames == 65 and ask.fps == 16 and dtype == "float32"
    assert ask_of(pipe, written, (1920, 1080), Fraction(24), 500).frames == 81
    assert not any(part.training for part in pipe.components.values() if hasattr(part, "training"))


@pytest.mark.parametrize(
    ("name", "written", "said"),
    [
        ("wan", {"size": [90, 64]}, r"multiples of 16, not 90 x 64.*size: \[96, 64\]"),
        ("ltx", {"size": [96, 80]}, "multiples of 32"),
        ("wan", {"frames": 10}, r"4 k \+ 1 frames, not 10.*frames: 9"),
        ("svd", {"frames": 7}, "makes 5 frames"),
        ("cogvideox-fixed", {"size": [96, 64]}, "32 x 16 only"),
    ],
)
def test_impossible_sizes_and_counts_are_told(name: str, written: dict, said: str, model, take) -> None:
    with pytest.raises(InputError, match=said):
        take(name, model=model(name), **written)


def test_models_that_are_not_there(model, take, tmp_path: Path, monkeypatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    (tmp_path / "empty").mkdir()
    for index, source in enumerate((tmp_path / "nowhere", tmp_path / "empty", "nobody/such-model-here@v1")):
        with pytest.raises(BackendUnavailable, match="set model") as caught:
            take("wan", str(index), model=source)
        assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(BackendUnavailable, match="pipeline is the class that the model was made for|set model"):
        take("ltx", "other", model=model("wan"), size=[96, 64])


def test_a_vocabulary_of_sentencepiece_alone_is_read(model, take, tmp_path: Path) -> None:
    """LTX-Video and CogVideoX come with spiece.model and no tokenizer.json."""
    import sentencepiece

    copy = tmp_path / "model"
    shutil.copytree(model("ltx"), copy)
    shutil.rmtree(copy / "tokenizer")
    (copy / "tokenizer").mkdir()
    (tmp_path / "text.txt").write_text("the camera pans left and a bear walks in the rain: subject motion\n" * 50)
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / "text.txt"), model_prefix=str(copy / "tokenizer" / "spiece"), vocab_size=60,
        hard_vocab_limit=False, pad_id=0, eos_id=1, unk_id=2, bos_id=-1, minloglevel=2,
    )  # fmt: skip
    signs = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>", "extra_ids": 0, "model_max_length": 128}
    (copy / "tokenizer" / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "T5Tokenizer", **signs}))
    index = json.loads((copy / "model_index.json").read_text())
    index["tokenizer"] = ["transformers", "T5Tokenizer"]
    (copy / "model_index.json").write_text(json.dumps(index))
    result, folder, _ = take("ltx", model=copy)
    assert record_of(folder)["prompt"] and 50 < result.figures["prompt_tokens"] <= 128


def test_pickled_weights_are_refused(model, take, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    for part, name in (("transformer", "diffusion_pytorch_model"), ("text_encoder", "model")):
        copy = tmp_path / part
        shutil.copytree(model("wan"), copy)
        weights = copy / part / f"{name}.safetensors"
        torch.save(load_file(weights), copy / part / f"{'pytorch_model' if name == 'model' else name}.bin")
        weights.unlink()
        with pytest.raises(BackendUnavailable, match="safetensors.*set model"):
            take("wan", f"out_{part}", model=copy)


@pytest.mark.parametrize("foreign", ["module", "file", "pipeline"])
def test_code_beside_a_model_is_never_run(foreign: str, model, take, tmp_path: Path, monkeypatch) -> None:
    copy = tmp_path / "model"
    shutil.copytree(model("wan"), copy)
    marker = tmp_path / "ran"
    evil = f"open({str(marker)!r}, 'w').close()\nclass Evil: pass\n"
    (tmp_path / "evil_installed.py").write_text(evil)
    (copy / "scheduler" / "evil.py").write_text(evil)
    (copy / "evil.py").write_text(evil)
    monkeypatch.syspath_prepend(str(tmp_path))
    index = json.loads((copy / "model_index.json").read_text())
    if foreign == "pipeline":
        index["_class_name"] = ["evil", "Evil"]
    else:
        index["scheduler"] = ["evil" if foreign == "file" else "evil_installed", "Evil"]
    (copy / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(BackendUnavailable, match=r"wants code that is not diffusers' or transformers'.*evil"):
        take("wan", model=copy)
    assert not marker.exists()


def test_only_listed_pipelines_are_looked_up() -> None:
    kind = STAGE.backends["diffusers"].settings
    for name in ("DiffusionPipeline", "StableDiffusionPipeline", "utils", "__import__"):
        with pytest.raises(ValidationError, match="WanImageToVideoPipeline"):
            kind.model_validate({"pipeline": name, "model": "a/b"})


def test_missing_packages_are_named_with_the_extra(monkeypatch) -> None:
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "diffusers" else found(name))
    assert available() == "diffusers not installed; pip install 'studio_pipeline[models]'"


def test_a_kept_pipeline_makes_the_bytes_that_a_fresh_one_makes(model, take, monkeypatch: pytest.MonkeyPatch) -> None:
    import studio_pipeline.stages.takes.diffusers_loading as loading
    from studio_pipeline.models.kept import keep_models

    loads: list[str] = []
    real = loading.load_pipeline
    monkeypatch.setattr(loading, "load_pipeline", lambda settings: loads.append(settings.pipeline) or real(settings))
    _, fresh, _ = take("wan", "fresh", model=model("wan"))
    keep_models()
    try:
        take("wan", "other", model=model("wan"), steps=3, colour=20)
        _, kept, _ = take("wan", "kept", model=model("wan"))
        assert loads == [WAN, WAN], "the second and the third are one"
        assert np.array_equal(frames_of(fresh), frames_of(kept))
        take("wan", "tiled", model=model("wan"), tiling=True)
        assert len(loads) == 3, "it is loaded in another way"
    finally:
        keep_models(False)
