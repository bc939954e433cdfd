"""`studio taxonomy`: the vocabulary for people and for programs, without anything heavy behind it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.command import Command

from studio_pipeline.schema.taxonomy import load_taxonomy

TAXONOMY = load_taxonomy()


def test_the_committed_page_is_what_the_command_writes(studio: Command, tmp_path: Path, repository: Path) -> None:
    code, out, _ = studio("taxonomy", "docs", "--out", "made/taxonomy.md")
    assert code == 0 and "236 tags" in out
    committed = (repository / "docs" / "taxonomy.md").read_text(encoding="utf-8")
    hint = "run: studio taxonomy docs --out docs/taxonomy.md"
    assert (tmp_path / "made" / "taxonomy.md").read_text(encoding="utf-8") == committed, hint
    for field, tag in TAXONOMY.tags():
        assert f"| `{tag.value}` | {tag.meaning} |" in committed and f"### {field.field}\n" in committed


def test_list_shows_all_or_a_part(studio: Command) -> None:
    code, out, _ = studio("taxonomy", "list", "--json")
    told = json.loads(out)
    assert code == 0 and sum(len(field["tags"]) for field in told["fields"]) == sum(1 for _ in TAXONOMY.tags())
    for what, count in (("Camera", 6), ("camera", 6), ("camera.move", 1), ("move", 1), ("environment", 3)):
        assert len(json.loads(studio("taxonomy", "list", what, "--json")[1])["fields"]) == count
    assert "pan_left" in studio("taxonomy", "list", "camera.move")[1]
    code, _, err = studio("taxonomy", "list", "camera.mvoe")
    assert code == 2 and "camera.move" in err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("集中線", "vfx.impact=focus_lines"),
        ("オバケ", "vfx.optical=smear"),
        ("dolly in", "camera.move=truck_in"),
        ("PAN UP", "camera.move=tilt_up"),
        ("\uff26\uff29\uff38", "camera.move=fix"),
        ("halftone dots", "texture.surface=halftone"),
        ("god rays", "lighting.source=shafts"),
        ("squash and strech", "motion.accent=squash_stretch"),
        ("camera circles", "camera.move=orbit"),
        ("camera.move=whip_pan", "camera.move=whip_pan"),
    ],
)
def test_search_finds_terms_misspellings_and_descriptions(studio: Command, words: str, expected: str) -> None:
    code, out, _ = studio("taxonomy", "search", *words.split(), "--json")
    assert code == 0 and json.loads(out)["tags"][0]["tag"] == expected
    assert expected in studio("taxonomy", "search", words)[1]


def test_every_synonym_finds_its_tag_first(studio: Command) -> None:
    from studio_pipeline.schema.vocabulary import find_tags

    for field, tag in list(TAXONOMY.tags())[::20]:
        for word in tag.synonyms:
            hits = find_tags(word, TAXONOMY)
            assert hits[0].score == 1.0, word
            assert (field.field, tag.value) in [(hit.field.field, hit.tag.value) for hit in hits[:3]]
    assert studio("taxonomy", "search", "qqqqqq")[0] == 1


def test_explain_tells_all_and_knows_old_names(studio: Command) -> None:
    code, out, _ = studio("taxonomy", "explain", "environment.weather=snow")
    assert code == 0 and "environment.place=underwater" in out and "雪" in out and "white ground" in out
    told = json.loads(studio("taxonomy", "explain", "style.light=rim", "--json")[1])
    assert told["tag"] == "lighting.source=rim" and "style.light" in told["renamed"][0]
    assert json.loads(studio("taxonomy", "explain", "style.light", "--json")[1])["field"] == "lighting.source"
    code, _, err = studio("taxonomy", "explain", "camera.move=pan_lefft")
    assert code == 2 and "nearest: pan_left" in err and len(err.splitlines()) == 1


def test_validate_gives_a_line_a_problem(studio: Command, tmp_path: Path) -> None:
    assert studio("taxonomy", "validate")[0] == 0
    (tmp_path / "ours.yaml").write_text(
        'studio: kumo\nversion: "1.0"\nextends: "2.0"\nwords: {camera.move=fix: [zoom in], a.b=c: [x y]}\n'
    )
    code, out, err = studio("taxonomy", "validate", "ours.yaml")
    assert code == 2 and out == "" and len(err.splitlines()) == 2
    assert all(line.startswith("studio: ours.yaml:4: ") for line in err.splitlines())
    code, out, _ = studio("taxonomy", "validate", "ours.yaml", "--json")
    assert code == 2 and len(json.loads(out)["problems"]) == 2
    (tmp_path / "ours.yaml").write_text(
        'studio: kumo\nversion: "1.0"\nextends: "2.0"\nwords: {camera.move=fix: [据え置き]}\n'
    )
    assert studio("taxonomy", "validate", "ours.yaml")[0] == 0
    assert "camera.move=fix" in studio("taxonomy", "search", "据え置き", "--own", "ours.yaml")[1]
    assert studio("taxonomy", "validate", "nowhere.yaml")[0] == 2


def test_nothing_heavy_is_imported(repository: Path) -> None:
    code = (
        "import sys; from studio_pipeline.cli.main import app\n"
        "try: app(['taxonomy', 'search', 'pan'], standalone_mode=False)\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'warp', 'dagster', 'cv2', 'av', 'scipy', 'numpy', 'trimesh'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "camera.move=pan_right" in done.stdout
