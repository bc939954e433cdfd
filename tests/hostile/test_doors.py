"""Every command that takes a file, a name or a place from outside: one line, its exit code, nothing else."""

from __future__ import annotations

from pathlib import Path

import corpus_clips as clips
import corpus_files as files
import corpus_meshes as meshes
import corpus_usd as usd
import pytest
from cell import SECRET, Cell, Ended

pytestmark = pytest.mark.slow

SHOT = files.HEAD + "  character: %s\n"
TOLD = (1, 2)  # 2: refused before any work; 1: the stage that met the file failed, and says so in one line


def refused(cell: Cell, ended: Ended, *, codes: tuple[int, ...] = TOLD, most: int = 1) -> None:
    cell.check_refused(ended, codes=codes, most=most)


def shots(cell: Cell, text: str) -> None:
    (cell.project / "shots.yaml").write_text(text)


def corpus(*named: tuple[str, dict[str, meshes.Maker], tuple[str, ...]]) -> list[object]:
    """Cases of several corpora: those that are named always, the others with the full counts."""
    return [
        pytest.param(made, id=f"{group}: {name}", marks=[] if name in always else [pytest.mark.soak])
        for group, cases, always in named
        for name, made in cases.items()
        if name not in ("picture is a pipe", "package: count", "package: offset")
    ]


CHARACTERS = corpus(
    ("GLTF", meshes.GLTF, ("buffer by link", "picture 60000 x 60000")),
    ("USD", usd.USD, ("reference up", "deep prims")),
    ("OBJ", meshes.OBJ, ("index beyond",)),
    ("SPECIAL", meshes.SPECIAL, ("pipe.glb", "loop.glb")),
)


@pytest.mark.parametrize("make", CHARACTERS)
def test_rig(cell: Cell, make: meshes.Maker) -> None:
    path = make(cell.project, cell.listener.url, cell.outside)
    cell.seal()
    refused(cell, cell.run("rig", path.name, "--out", "rigged.glb", seconds=120))
    assert not (cell.project / "rigged.glb").exists()


@pytest.mark.parametrize("make", CHARACTERS)
def test_check_and_run(cell: Cell, make: meshes.Maker) -> None:
    """`check` reads what a file refers to; `run` reads the file. One of them at the latest says what is wrong."""
    path = make(cell.project, cell.listener.url, cell.outside)
    shots(cell, SHOT % path.name)
    cell.seal()
    checked = cell.run("check", "shots.yaml")
    if checked.code:
        refused(cell, checked, codes=(2,))
        return
    ended = cell.run("run", "shots.yaml", "--stage", "character", seconds=120)
    refused(cell, ended, most=2)
    assert not list(cell.root.glob("home/store/artifacts/*/*/*/manifest.json"))


@pytest.mark.parametrize("make", CHARACTERS)
def test_override(cell: Cell, make: meshes.Maker) -> None:
    path = make(cell.project, cell.listener.url, cell.outside)
    known_shot(cell)
    cell.seal()
    refused(cell, cell.run("override", "bad_a_0010", "rig", path.name))
    assert not list(cell.root.glob("home/store/pins/*"))


def known_shot(cell: Cell) -> None:
    """A shot that the home knows, without a stage of it being made."""
    from studio_pipeline.line.resolve import to_record
    from studio_pipeline.line.shots import read_shot_lists
    from studio_pipeline.store import open_store

    shots(cell, SHOT % "pip")
    shot = read_shot_lists([cell.project / "shots.yaml"])[0]
    open_store(str(cell.root / "home" / "store")).shots.save_shot_record(shot.id, to_record(shot))


@pytest.mark.parametrize(
    "make",
    corpus(("VIDEO", clips.VIDEO, ("times of 2^32",)), ("PICTURES", clips.PICTURES, ())),
)
def test_caption_and_plate(cell: Cell, make: meshes.Maker, request: pytest.FixtureRequest) -> None:
    path = make(cell.project, cell.listener.url, cell.outside)
    shots(
        cell, SHOT % "pip" + f"  stages: {{takes: {{backend: plate, file: {path.name}}}}}\n  reference: {path.name}\n"
    )
    cell.seal()
    harmless = request.node.callspec.id.endswith(
        ("lies of its width", "track of 2^31 pixels", "chunks of 2^32", "pixels without end")
    )
    for words in (["caption", path.name], ["run", "shots.yaml", "--stage", "takes"]):
        ended = cell.run(*words, seconds=200)
        if "links to secrets" in request.node.callspec.id:
            cell.before = cell.seen()
        if not harmless:
            refused(cell, ended, most=3)
        assert SECRET not in ended.out and not ended.late and ended.did == []
        if not request.node.get_closest_marker("soak"):
            return  # the second way reads by the same function


@pytest.mark.parametrize("make", corpus(("BVH", files.BVH, ("NaN", "a pipe", "/dev/zero"))))
def test_retarget(cell: Cell, make: meshes.Maker) -> None:
    path = make(cell.project, cell.listener.url, cell.outside)
    cell.seal()
    refused(cell, cell.run("retarget", path.name, "pip", "--out", "moved.glb"), codes=(2,))
    assert not (cell.project / "moved.glb").exists()


@pytest.mark.parametrize(
    "make", corpus(("OTIO", files.OTIO, ("a schema by module", "deep", "a pipe", "/dev/zero", "duration of 1e300")))
)
def test_import_otio(cell: Cell, make: meshes.Maker, request: pytest.FixtureRequest) -> None:
    path = make(cell.project, cell.listener.url, cell.outside)
    cell.seal()
    ended = cell.run("import-otio", path.name, "--character", "pip", "--out", "made.yaml")
    if request.node.callspec.id.endswith("name of escapes"):
        assert ended.code == 0 and "../" not in (cell.project / "made.yaml").read_text().split("shot:")[1]
        cell.check_untouched()
        return
    refused(cell, ended, codes=(2,))
    assert not (cell.project / "made.yaml").exists()


@pytest.mark.parametrize("make", corpus(("VOCABULARY", files.VOCABULARY, tuple(files.VOCABULARY))))
def test_taxonomy(cell: Cell, make: meshes.Maker) -> None:
    path = make(cell.project, cell.listener.url, cell.outside)
    cell.seal()
    refused(cell, cell.run("taxonomy", "validate", path.name), codes=(2,), most=8)


NAMED = [name for name in files.YAML if name.startswith(files.LATER)]


@pytest.mark.parametrize("name", [name for name in NAMED if name != "character of slashes"])
def test_what_a_shot_list_names(cell: Cell, name: str) -> None:
    files.YAML[name](cell.project, cell.listener.url, cell.outside)
    cell.seal()
    refused(cell, cell.run("check", "shots.yaml"), codes=(2,))


def test_a_shot_list_that_is_no_file(cell: Cell) -> None:
    import os

    os.mkfifo(cell.project / "pipe.yaml")
    (cell.project / "zero.yaml").symlink_to("/dev/zero")
    (cell.project / "folder.yaml").mkdir()
    cell.seal()
    for name in ("pipe.yaml", "zero.yaml", "folder.yaml", "nothing.yaml", "a" * 5000 + ".yaml", "a\nb.yaml"):
        refused(cell, cell.run("check", name), codes=(2,))


def test_the_homes_own_settings(cell: Cell) -> None:
    (cell.root / "home" / "studio.yaml").write_text(files.laughs(12))
    cell.seal()
    refused(cell, cell.run("status"), codes=(2,))
    (cell.root / "home" / "studio.yaml").write_text("store: !!python/object/apply:os.system ['touch ../outside/ran']\n")
    refused(cell, cell.run("status"), codes=(2,))


QUICK = ("up", "long", "surrogate")


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in QUICK else [pytest.mark.soak]) for n in files.NAMES])
def test_a_name_leads_nowhere(cell: Cell, name: str) -> None:
    """Ids, stages, versions and deliveries are looked up, never made into paths."""
    known_shot(cell)
    bad = files.NAMES[name]
    commands = [
        ["why", bad, "rig"], ["why", "bad_a_0010", bad], ["history", bad], ["status", "--shot", bad], ["takes", bad],
        ["select", bad, "0"], ["note", bad, "v001", "x"], ["note", "bad_a_0010", bad, "x"], ["review", bad],
        ["override", bad, "rig", "shots.yaml"], ["override", "bad_a_0010", bad, "shots.yaml"], ["unpin", bad, "rig"],
        ["compare", bad, "v001", "v002"], ["provenance", bad], ["deliver", "bad_a_0010", bad, "--to", "out"],
        ["accept", bad, "--reason", "x"], ["plan", "shots.yaml", "--shot", bad], ["plan", "shots.yaml", "--stage", bad],
        ["run", "shots.yaml", "--from-stage", bad], ["retarget", bad, "pip", "--out", "a.glb"],
        ["retarget", "walk", "pip", "--out", "a.glb", "--fps", bad], ["caption", "shots.yaml", "--fps", bad],
        ["rig", bad, "--out", "a.glb"], ["rig", "pip", "--out", "a.glb", "--backend", bad],
        ["caption", bad], ["import-otio", bad], ["taxonomy", "validate", bad],
    ]  # fmt: skip
    cell.seal()
    before = sorted(path for path in cell.root.rglob("*") if "told" not in path.parts)
    for words in commands:
        if (name, words[0]) in (("empty", "plan"), ("empty", "run"), ("empty", "taxonomy"), ("dots", "caption")):
            continue  # the same as not given; a folder of one's own choice
        ended = cell.run(*words)
        try:
            refused(cell, ended, codes=(1, 2), most=6)
        except AssertionError as error:
            raise AssertionError(f"{[word[:60] for word in words]}: {error}") from None
    made = [path for path in sorted(cell.root.rglob("*")) if "told" not in path.parts and path not in before]
    # "out" is what the command was told to deliver into.
    own = ("dagster", "scratch", "cache", "store/.locks", "store/leases")
    assert not [
        path
        for path in made
        if not any(path.is_relative_to(cell.root / "home" / part) for part in own) and path.name != "out"
    ], made
    assert not list(Path(cell.project).glob("ran"))
