"""The captioner's network, how its word joins the measures', and what a weights file must hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from studio_pipeline.models.caption import CaptionReader, load_reader
from studio_pipeline.models.caption.fusion import FieldReading, calibrated, joined, said_of
from studio_pipeline.models.caption.network import KIND, CaptionNet, Seen, field_slices
from studio_pipeline.models.caption.reader import logits_of, words_of
from studio_pipeline.models.files import write_weights
from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.evidence import Evidence

FIELDS = [["camera.move", ["fix", "pan_left"], False], ["vfx.impact", ["flash", "debris", "cracks"], True]]
CONFIG = {
    "fields": FIELDS, "signals": 6, "measures": 4, "frames": 12, "width": 16, "centre": [0.0, 1.0, 2.0, 3.0],
    "spread": [1.0, 1.0, 2.0, 1.0],
}  # fmt: skip


def net() -> CaptionNet:
    torch.manual_seed(0)
    return CaptionNet(CONFIG).eval()


def evidence(seed: int, windows: int = 2) -> Evidence:
    rng = np.random.default_rng(seed)
    thumbs, actors, details = (
        rng.integers(0, 255, (windows, k, 32, 32, c)).astype(np.uint8) for k, c in ((12, 3), (12, 4), (2, 3))
    )
    signals = rng.normal(size=(windows, 12, 6)).astype(np.float32)
    measures = np.array([0.5, np.nan, 2.0, 3.0], np.float32)
    return Evidence(thumbs=thumbs, actors=actors, details=details, signals=signals, measures=measures)


def test_probabilities_are_those_of_the_logits():
    given, said = evidence(1), {"camera.move": {"fix": 0.75}}
    words = words_of(FIELDS, said)
    assert words.tolist() == [0.75, 0.0, 0.0, 0.0, 0.0]
    rows = [np.repeat(array[None], 2, 0) for array in (given.measures, words)]
    arrays = (given.thumbs, given.actors, given.details, given.signals, *rows)
    with torch.no_grad():
        logits = net()(Seen(*(torch.from_numpy(a) for a in arrays))).numpy()
    assert np.allclose(logits_of(net(), given, *rows), logits, atol=1e-6)
    assert field_slices(FIELDS) == {"camera.move": slice(0, 2), "vfx.impact": slice(2, 5)}
    found = CaptionReader(net(), {}).chances(given, said)
    softmax = torch.softmax(torch.from_numpy(logits[:, :2]), 1).numpy()
    assert np.allclose(found["camera.move"], softmax.mean(0), atol=1e-5)  # windows are averaged ...
    assert np.allclose(found["vfx.impact"], (1.0 / (1.0 + np.exp(-logits[:, 2:]))).max(0), atol=1e-5)  # ... or searched


def test_every_logit_comes_from_the_trunk_of_its_axis():
    fields = [["vfx.impact", ["a", "b"], True], ["camera.move", ["c", "d"], False], ["vfx.light", ["e"], True]]
    made = CaptionNet(CONFIG | {"fields": fields}).eval()
    given = evidence(5)
    rows = [np.repeat(array[None], 2, 0) for array in (given.measures, np.zeros(5, np.float32))]
    before = logits_of(made, given, *rows)
    with torch.no_grad():
        made.trunks[0][-1].bias += 1.0  # pyright: ignore  # the camera's
    assert np.allclose(logits_of(made, given, *rows) - before, [[0.0, 0.0, 1.0, 1.0, 0.0]], atol=1e-5)


def test_a_missing_measure_is_not_a_measure_of_nothing():
    given = evidence(2)
    measures = given.measures.copy()
    measures[1] = 1.0  # its centre: the same number as a missing one is given
    reader = CaptionReader(net(), {})
    first, second = (reader.chances(e, {})["camera.move"] for e in (given, replace(given, measures=measures)))
    assert np.abs(first - second).max() > 1e-6


def test_sources_and_their_weight():
    values, network = ["fix", "pan_left"], np.array([0.4, 0.6])
    said = {"fix": 0.9}
    by = {source: joined(FieldReading(source=source), values, network, said, many=False) for source in
          ("network", "measured", "both")}  # fmt: skip
    assert by["network"].argmax() == 1 and by["measured"].tolist() == [0.9, 0.0] and by["both"].argmax() == 0
    assert by["both"].sum() == pytest.approx(1.0)
    silent = joined(FieldReading(source="both"), values, network, {}, many=False)
    assert silent == pytest.approx(network, abs=2e-3)  # a silent measure changes nothing
    many = joined(FieldReading(source="both", weight=0.5), ["a", "b"], network, {"a": 1.0}, many=True)
    assert many.tolist() == [0.5, 0.6]


def test_what_is_unsure_is_not_said():
    sure = FieldReading(threshold=0.6)
    assert said_of(sure, ["fix", "pan_left"], np.array([0.45, 0.55]), many=False) == {}
    assert list(said_of(sure, ["fix", "pan_left"], np.array([0.2, 0.8]), many=False)) == ["pan_left"]
    many = FieldReading(thresholds={"a": 0.3, "b": 0.7})
    assert set(said_of(many, ["a", "b", "c"], np.array([0.4, 0.6, 1.0]), many=True)) == {"a"}
    assert calibrated(FieldReading(slope=2.0, shift=0.0), 0.5) == pytest.approx(0.5)
    assert calibrated(FieldReading(slope=1.0, shift=np.log(3.0)), 0.5) == pytest.approx(0.75)


def test_weights_come_back_with_their_readings(tmp_path: Path):
    made = net()
    readings = {"camera.move": FieldReading(source="both", threshold=0.25).as_json()}
    tensors = dict(made.named_parameters())
    write_weights(tmp_path / "a.safetensors", tensors, {"kind": KIND, "config": CONFIG, "readings": readings})
    reader = load_reader(tmp_path / "a.safetensors")
    assert reader.readings["camera.move"] == FieldReading(source="both", threshold=0.25)
    assert reader.fields == ("camera.move", "vfx.impact")
    given = evidence(3)
    other = CaptionReader(made, {})
    assert np.allclose(reader.chances(given, {})["vfx.impact"], other.chances(given, {})["vfx.impact"])
    said = reader.read(given, {"camera.move": {"fix": 0.99}})
    assert said["camera.move"][1] == "model" and set(said) == {"camera.move", "vfx.impact"}


@pytest.mark.parametrize("broken", [{"readings": {"camera.move": {"sauce": 1}}}, {"config": CONFIG | {"centre": [0.0]}},
                                    {"kind": "skin"}, {"config": CONFIG | {"fields": [["a"]]}}])  # fmt: skip
def test_a_file_that_holds_something_else_is_refused(tmp_path: Path, broken: dict):
    described = {"kind": KIND, "config": CONFIG, "readings": {}} | broken
    write_weights(tmp_path / "b.safetensors", dict(net().named_parameters()), described)
    with pytest.raises(InputError):
        load_reader(tmp_path / "b.safetensors")


def test_the_shipped_weights_read_fields_of_the_taxonomy():
    from studio_pipeline.schema.assets import assets_folder
    from studio_pipeline.schema.taxonomy import load_taxonomy

    path = assets_folder() / "weights" / "caption" / "caption.safetensors"
    assert path.stat().st_size < 32e6 and (path.parent / "README.md").is_file()
    reader, taxonomy = load_reader(), load_taxonomy()
    for name, values, many in reader.net.config["fields"]:
        field = taxonomy.field(name)
        assert field is not None and field.many == many and set(values) <= set(field.values)
        assert name in reader.readings
