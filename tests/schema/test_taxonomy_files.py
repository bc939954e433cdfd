"""A studio's own vocabulary: what it may add, and one line for each thing that it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio_pipeline.schema.errors import InputError
from studio_pipeline.schema.taxonomy import load_taxonomy, taxonomy_problems

SHIPPED = load_taxonomy()
HEAD = 'studio: kumo\nversion: "1.0"\nextends: "2.0"\n'
TAG = "{{value: {value}, meaning: It is so, appearance: One sees it, synonyms: [{words}]{more}}}"


def tag(value: str, words: str = "", more: str = "") -> str:
    return TAG.format(value=value, words=words, more=more)


def own(tmp_path: Path, text: str) -> Path:
    (tmp_path / "ours.yaml").write_text(text, encoding="utf-8")
    return tmp_path / "ours.yaml"


def test_it_adds_values_fields_words_contradictions_and_renames(tmp_path: Path) -> None:
    text = HEAD + (
        "axis: Props\nfields:\n  - field: camera.move\n    tags:\n"
        f"      - {tag('spiral', 'spiral shot, 螺旋', ', contradicts: [camera.lens=fisheye]')}\n"
        f"  - field: prop.lantern\n    group: subjects\n    meaning: The lantern\n    default: dark\n    tags:\n"
        f"      - {tag('lit', 'lit lantern')}\n      - {tag('dark')}\n"
        "words:\n  camera.move=fix: [据え置き]\nrenamed:\n  - {old: prop.lamp, new: prop.lantern, since: '1.0'}\n"
    )
    grown = load_taxonomy(own=[own(tmp_path, text)])
    assert grown.version == f"{SHIPPED.version}+kumo-1.0"
    move, lantern = grown.field("camera.move"), grown.field("prop.lantern")
    assert move is not None and lantern is not None and lantern.axis == "Props" and lantern.default == "dark"
    assert move.values == (*SHIPPED.field("camera.move").values, "spiral")  # pyright: ignore
    assert "camera.move=spiral" in grown.tag("camera.lens=fisheye").contradicts  # pyright: ignore
    assert "据え置き" in grown.tag("camera.move=fix").synonyms  # pyright: ignore
    assert grown.migrate({"prop.lamp": "lit"})[0] == {"prop.lantern": "lit"}
    assert load_taxonomy() == SHIPPED  # nothing of it stays behind


def test_it_holds_for_every_shot_beside_the_shipped_files(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    shutil.copytree(repository / "assets" / "taxonomy", tmp_path / "taxonomy")
    # It comes before the shipped files in the alphabet, and is still read after them.
    text = HEAD + f"fields:\n  - field: camera.move\n    tags:\n      - {tag('spiral', 'spiral shot')}\n"
    (tmp_path / "taxonomy" / "a_studio.yaml").write_text(text)
    monkeypatch.setenv("STUDIO_ASSETS", str(tmp_path))
    assert load_taxonomy().tag("camera.move=spiral") is not None


FIELD = "fields:\n  - field: camera.move\n    tags:\n      - "
BOMB = "a: &a [x]\n" + "".join(f"{b}: &{b} [{f'*{a}, ' * 40}]\n" for a, b in ("ab", "bc", "cd", "de"))
BAD_FIELDS = {
    tag("fix"): r":7: the value 'fix' of camera\.move occurs twice, first at .*camera\.yaml:\d+",
    tag("spiral", "pan left"): r":7: .*'pan left' occurs twice, it means camera\.move=pan_left",
    tag("spiral", "", ", contradicts: [camera.move=fix]"): r":7: .*values of one field",
    tag("spiral", "", ", contradicts: [camera.zoom=fast]"): r":7: .*which is no tag",
    tag("spiral", "", ", contradicts: [anything]"): r":7: .*expected field=value",
    tag("spiral", "''"): r":7: .*1 to 80 characters",
    tag("spiral", "a"): r":7: .*is no word",
    "{value: spiral, meaning: It is so}": r":7: .*appearance: field required",
}
BAD_FILES = {
    HEAD + FIELD.replace("    tags", "    group: style\n    tags") + tag("spiral"): r":5: .*delete 'group'",
    HEAD + FIELD.replace("move", "mvoe") + tag("x1"): r":5: .*needs 'group'.*did you mean camera\.move",
    HEAD + "words: {camera.move=fixed: [x y]}\n": r":4: no tag is called 'camera\.move=fixed'",
    HEAD + "words: {camera.move=fix: [zoom in]}\n": r":4: .*'zoom in' occurs twice",
    HEAD + "renamed: [{old: camera.move, new: camera.lens, since: '1'}]\n": r":4: camera\.move is noted as renamed",
    HEAD + "renamed: [{old: a.b, new: c.d, since: '1'}]\n": r":4: .*nothing of this taxonomy",
    HEAD + "renamed: [{old: a.b, new: camera.move=fix, since: '1'}]\n": r":4: .*must both be",
    HEAD.replace('extends: "2.0"', 'extends: "1.0"'): r":3: extends taxonomy 1\.0, this is 2\.0",
    'version: "2.0"\naxis: Mine\n' + FIELD + tag("spiral"): r":1: lacks the field 'studio'",
    HEAD + "owner: me\n": r":4: owner: extra inputs",
    "": r":1: expected a mapping",
    "- a\n": r":1: expected a mapping",
    HEAD + "fields: [\n": r":\d: is not YAML",
    HEAD + "words: !!python/object/apply:os.system ['touch ran']\n": r":4: the tag .* is not allowed",
    BOMB: r"grows beyond",
    HEAD + "studio: twice\n": r":4: field 'studio' is given twice",
    HEAD + "# \x07\n": r"control character",
}


@pytest.mark.parametrize(
    ("text", "said"), [*((HEAD + FIELD + text, said) for text, said in BAD_FIELDS.items()), *BAD_FILES.items()]
)
def test_what_does_not_fit_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = own(tmp_path, text)
    with pytest.raises(InputError, match=r"ours\.yaml.*" + said) as refused:
        load_taxonomy(own=[path])
    assert "\n" not in str(refused.value)
    assert str(refused.value) in taxonomy_problems(own=[path])
    assert not (tmp_path / "ran").exists()


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    text = HEAD + FIELD + tag("fix") + "\n      - " + tag("spiral", "zoom in") + "\nwords: {a.b=c: [x y]}\n"
    lines = taxonomy_problems(own=[own(tmp_path, text), tmp_path / "none.yaml"])
    assert len(lines) == 4 and sum("ours.yaml" in line for line in lines) == 3
    assert any("no such file" in line for line in lines)


def test_two_studios_that_disagree_are_told_apart(tmp_path: Path) -> None:
    text = HEAD + FIELD + tag("spiral") + "\n"
    (tmp_path / "b.yaml").write_text(text.replace("kumo", "b"))
    (line,) = taxonomy_problems(own=[own(tmp_path, text), tmp_path / "b.yaml"])
    assert "b.yaml:7" in line and "ours.yaml:7" in line


def test_what_reads_a_tag_is_there(repository: Path) -> None:
    readers = {item.measured_by for _, item in SHIPPED.tags()} - {"", "network"}
    assert len(readers) >= 8
    for name in readers:
        source = (repository / "studio_pipeline" / "caption" / f"{name}.py").read_text()
        fields = {field.field for field, item in SHIPPED.tags() if item.measured_by == name}
        assert all(field in source for field in fields), name


def test_the_shipped_files_have_no_problems_and_both_sides_of_every_contradiction() -> None:
    assert taxonomy_problems() == []
    for field, item in SHIPPED.tags():
        assert item.meaning and item.appearance and len(item.appearance) > len(item.meaning)
        for other in item.contradicts:
            assert f"{field.field}={item.value}" in SHIPPED.tag(other).contradicts  # pyright: ignore
