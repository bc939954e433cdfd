"""The official UniRig's command line, spoken to a small stand-in of its checkout: real scripts in real processes.

The scripts take the options of the official ones, run where those run, end with 0 and "done" whatever happened, and
leave what those leave: an FBX each, the skeleton's raw_data.npz (a list with None for parents, so pickled), a GLB.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trimesh

import studio_pipeline.stages.rig.unirig as unirig
from studio_pipeline.schema.errors import BackendUnavailable, InputError
from studio_pipeline.schema.records import Character, Rig
from studio_pipeline.stages.base import StageContext
from studio_pipeline.stages.character.load import load_character
from studio_pipeline.stages.delivery.rig_files import write_rig
from studio_pipeline.stages.rig import STAGE
from studio_pipeline.stages.rig.unirig import ask_unirig

SETTINGS = STAGE.backends["unirig"].settings
SCRIPT = """
while [[ "$#" -gt 0 ]]; do
    case $1 in
        {options}
        *) echo "Unknown parameter: $1"; exit 1 ;;
    esac
    shift
done
mkdir -p logs && echo "$0 in $PWD" >> logs/said
{before}
cmd="{python} work/{name}.py $PWD $input $source $target $output $seed"
eval $cmd
echo "done"
"""
OPTIONS = {
    "generate_skeleton": ("input", "output", "seed", "faces_target_count"),
    "generate_skin": ("input", "output", "seed", "data_name"),
    "merge": ("source", "target", "output"),
}
WORK = {
    "generate_skeleton": """
        here, given, output, seed = sys.argv[1:5]
        assert pathlib.Path(given).read_bytes()[:4] == b"glTF", "no GLB"
        pathlib.Path(output).write_text(seed)
    """,
    "generate_skin": """
        here, given, output, seed = sys.argv[1:5]
        assert pathlib.Path(given).read_text() == seed
        folder = pathlib.Path(given).with_suffix("")  # tmp/ joined with an absolute path is that path
        folder.mkdir()
        source = pathlib.Path(here) / "answers" / "raw_data.npz"
        if source.exists():
            shutil.copy(source, folder / "raw_data.npz")
        shutil.copy(given, output)
    """,
    "merge": """
        here, source, target, output = sys.argv[1:5]
        seed = pathlib.Path(source).read_text()
        shutil.copy(pathlib.Path(here) / "answers" / f"{seed}.glb", output)
    """,
}


class Bomb:
    """Unpickled, it leaves a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@dataclasses.dataclass
class Official:
    """The stand-in and what it is asked about."""

    folder: Path
    character: Character
    rig: Rig

    def script(self, name: str, *, before: str = "", work: str | None = None) -> None:
        """Write one launch script and what it runs."""
        options = "\n        ".join(f'--{o}) {o}="$2"; shift ;;' for o in OPTIONS[name])
        path = self.folder / "launch" / "inference" / f"{name}.sh"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(SCRIPT.format(options=options, before=before, python=sys.executable, name=name))
        (self.folder / "work").mkdir(exist_ok=True)
        body = "import pathlib, shutil, sys\n" + textwrap.dedent(WORK[name] if work is None else work)
        (self.folder / "work" / f"{name}.py").write_text(body)

    def answer(self, seed: int = 0, **changes) -> None:
        """What the merge step gives for a seed: the rig on the same shape, its vertices in another order."""
        order = np.random.default_rng(seed).permutation(len(self.character.vertices))
        parts = {n: getattr(self.character, n)[order] for n in ("vertices", "normals", "uv", "vertex_colors")}
        faces = np.argsort(order)[self.character.faces].astype(np.int32)
        mixed = dataclasses.replace(self.character, faces=faces, **parts)
        rig = dataclasses.replace(self.rig, weights=self.rig.weights[order], **changes)
        write_rig(mixed, rig, self.folder / "answers" / f"{seed}.glb")

    def npz(self, **changes) -> None:
        """The skeleton's raw_data.npz: Z up, in a box of two, float32, absent things None."""
        lay = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]) * 1.7
        parents = [None if p < 0 else int(p) for p in self.rig.parents]
        fields = {
            "vertices": None, "vertex_normals": None, "faces": None, "face_normals": None, "skin": None,
            "joints": (self.rig.heads @ lay.T + 0.3).astype(np.float32),
            "tails": (self.tails @ lay.T + 0.3).astype(np.float32),
            "parents": parents, "names": list(self.rig.names), "matrix_local": None, "no_skin": None,
            "path": None, "cls": None,
        }  # fmt: skip
        np.savez(self.folder / "answers" / "raw_data.npz", **(fields | changes))

    @property
    def tails(self) -> np.ndarray:
        """Ends of bones that no reader of the GLB could guess."""
        return self.rig.tails + np.array([0.013, -0.02, 0.03]) * np.arange(1, 6)[:, None]

    def ask(self, seed: int = 0, **settings) -> Rig:
        given = {"checkout": self.folder, "timeout_s": 60.0} | settings
        return ask_unirig(dataclasses.replace(self.character, seed=seed), SETTINGS(**given))


@pytest.fixture
def official(tmp_path: Path) -> Official:
    mesh = trimesh.creation.capsule(height=1.0, radius=0.15, count=[10, 10]).subdivide().subdivide()
    mesh.apply_transform(trimesh.transformations.rotation_matrix(-np.pi / 2, [1, 0, 0]))
    mesh.apply_translation([0.05, -mesh.bounds[0, 1], 0.0])
    mesh.export(tmp_path / "post.obj")
    character = load_character(tmp_path / "post.obj").character
    heads = np.array([[0.05, 0.1, 0], [0.05, 0.4, 0.02], [0.05, 0.8, 0], [0.14, 0.5, 0], [0.05, 0.5, 0.11]])
    rest = np.tile(np.eye(4), (5, 1, 1))
    rest[:, :3, 3] = heads
    distance = np.linalg.norm(character.vertices[:, None] - heads[None], axis=2)
    weights = 1.0 / distance**4
    weights[weights < np.sort(weights, axis=1)[:, -4:-3]] = 0.0  # the official merge keeps four
    folder = tmp_path / "UniRig"
    (folder / "answers").mkdir(parents=True)
    (folder / "run.py").write_text("# the official one is not needed here\n")
    rig = Rig(
        names=tuple(f"bone_{k}" for k in range(5)),
        parents=np.array([-1, 0, 1, 1, 1], dtype=np.int32),
        rest_world=rest,
        tails=(heads + np.array([0, 0.1, 0])).astype(np.float32),
        weights=(weights / weights.sum(1, keepdims=True)).astype(np.float32),
    )
    made = Official(folder, character, rig)
    for name in OPTIONS:
        made.script(name)
    made.answer()
    made.npz()
    return made


def contents(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_what_the_scripts_write_is_the_rig(official: Official, tmp_path: Path) -> None:
    before = contents(official.folder)
    folder, out = tmp_path / "character", tmp_path / "rig"
    folder.mkdir()
    out.mkdir()
    official.character.save(folder)
    told: list[str] = []
    context = StageContext(
        settings=SETTINGS(checkout=official.folder),
        inputs={"character": folder},
        shot=None,
        out=out,
        progress=lambda fraction, message="": told.append(message),
    )
    result = STAGE.backends["unirig"].load()(context)
    rig = Rig.load(out)
    assert rig.backend == "unirig" and set(rig.names) == set(official.rig.names)
    order = [rig.names.index(name) for name in official.rig.names]
    assert [rig.names[rig.parents[j]] if rig.parents[j] >= 0 else "" for j in order] == [
        "", "bone_0", "bone_1", "bone_1", "bone_1",
    ]  # fmt: skip
    assert np.abs(rig.heads[order] - official.rig.heads).max() < 1e-5
    assert np.abs(rig.tails[order] - official.tails).max() < 1e-4  # by the npz, never unpickled
    assert np.abs(rig.weights[:, order] - official.rig.weights).max() < 1e-5
    assert tuple(v.name for v in result.verdicts) == STAGE.checks and "UniRig: skin" in told
    assert contents(official.folder) == before  # its logs went elsewhere


def test_the_seed_is_the_characters_unless_set(official: Official) -> None:
    official.answer(7, names=tuple(f"seven_{k}" for k in range(5)))
    assert official.ask(seed=7).names[0] == "seven_0"
    asked = ask_unirig(official.character, SETTINGS(checkout=official.folder, seed=7))
    assert asked.names[0] == "seven_0"


def test_without_an_npz_ends_are_guessed(official: Official) -> None:
    (official.folder / "answers" / "raw_data.npz").unlink()
    rig = official.ask()
    assert np.isfinite(rig.tails).all() and np.linalg.norm(rig.tails - rig.heads, axis=1).min() > 1e-3
    official.npz(names=["other"] * 5)
    assert np.array_equal(official.ask().tails, rig.tails)
    draw = np.random.default_rng(0)
    official.npz(joints=draw.normal(size=(5, 3)))  # doesn't lie over the rig however it is turned
    assert np.array_equal(official.ask().tails, rig.tails)


def test_nothing_is_unpickled(official: Official, tmp_path: Path) -> None:
    bomb = np.array([Bomb(tmp_path / "ran"), 1, 2, 3, 4], dtype=object)
    official.npz(parents=bomb, cls=bomb)
    assert np.abs(official.ask().tails - official.rig.tails).max() > 0.01
    official.npz(joints=bomb)
    with pytest.raises(InputError, match="raw_data.npz of UniRig can't be read .*allow_pickle"):
        official.ask()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"joints": np.zeros((4, 3), np.float32)}, r"joints \(4, 3\)"),
        ({"tails": np.zeros(5, np.float32)}, r"tails \(5,\)"),
        ({"names": np.array("x")}, "1 names"),
        ({"joints": np.zeros((5, 3), "<U3")}, "no numbers"),
    ],
)
def test_an_npz_that_does_not_fit_together_is_refused(official: Official, changes: dict, told: str) -> None:
    official.npz(**changes)
    with pytest.raises(InputError, match=told) as error:
        official.ask()
    assert "\n" not in str(error.value)


def test_an_npz_that_is_too_large_is_refused(official: Official, monkeypatch: pytest.MonkeyPatch) -> None:
    size = (official.folder / "answers" / "0.glb").stat().st_size
    monkeypatch.setattr(unirig, "LARGEST", size + 1)
    rows = np.zeros((size, 4))
    np.savez_compressed(official.folder / "answers" / "raw_data.npz", joints=rows)
    with pytest.raises(InputError, match="unpacks to more than"):
        official.ask()


def write_nothing(official: Official) -> None:
    official.script("generate_skin", work="raise SystemExit('no GPU here')\n")


def write_garbage(official: Official) -> None:
    (official.folder / "answers" / "0.glb").write_bytes(b"glTF and so on")


def write_another_shape(official: Official) -> None:
    vertices = official.character.vertices * np.float32([1.0, 1.0, 1.4])
    write_rig(
        dataclasses.replace(official.character, vertices=vertices), official.rig, official.folder / "answers" / "0.glb"
    )


def write_no_skeleton(official: Official) -> None:
    trimesh.Trimesh(official.character.vertices, official.character.faces).export(official.folder / "answers" / "0.glb")


def write_a_link(official: Official) -> None:
    official.script("merge", work="import os\nos.symlink('/etc/passwd', sys.argv[4])\n")


def write_an_empty_file(official: Official) -> None:
    official.script("merge", work="pathlib.Path(sys.argv[4]).touch()\n")


@pytest.mark.parametrize(
    ("hostile", "told"),
    [
        (write_nothing, "UniRig's generate_skin.sh wrote no skin.fbx: no GPU here"),
        (write_garbage, "UniRig's result "),
        (write_another_shape, "UniRig's result is not the shape of character post"),
        (write_no_skeleton, "UniRig's result has no skeleton"),
        (write_a_link, "UniRig's merge.sh wrote no rigged.glb"),
        (write_an_empty_file, "UniRig's merge.sh wrote a rigged.glb of 0 bytes"),
    ],
)
def test_hostile_results_are_one_line(official: Official, hostile: Callable[[Official], None], told: str) -> None:
    hostile(official)
    with pytest.raises(InputError) as error:
        official.ask()
    assert told in str(error.value) and "\n" not in str(error.value) and "stages.rig.checkout" in str(error.value)
    assert "Traceback" not in str(error.value)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_what_takes_too_long_is_ended_with_all_it_started(official: Official, tmp_path: Path) -> None:
    note = tmp_path / "child"
    official.script("generate_skeleton", before=f"sleep 300 &\necho $! > {note}\necho thinking\nwait")
    began = time.monotonic()
    with pytest.raises(InputError, match=r"generate_skeleton.sh took longer than 2 s: thinking - set timeout_s"):
        official.ask(timeout_s=2.0)
    assert time.monotonic() - began < 60.0
    child = int(note.read_text())
    assert not alive(child)


def test_output_without_end_costs_nothing(official: Official) -> None:
    official.script("generate_skeleton", before="head -c 50000000 /dev/zero | tr '\\0' x; echo; echo over", work="")
    with pytest.raises(InputError, match="wrote no skeleton.fbx: over"):
        official.ask()


def test_a_script_that_fails_says_why(official: Official) -> None:
    official.script("merge", before="echo 'bpy is missing'; exit 3")
    with pytest.raises(InputError, match="UniRig's merge.sh failed with code 3: bpy is missing"):
        official.ask()


def test_a_checkout_that_is_none_names_the_setting(official: Official, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BackendUnavailable, match=r"stages.rig.checkout: no checkout of UniRig - git clone"):
        official.ask(checkout=tmp_path / "empty")
    with pytest.raises(BackendUnavailable, match=r"stages.rig.checkout: no-such-bash can't be started"):
        official.ask(command=("no-such-bash",))
    (official.folder / "launch" / "inference" / "merge.sh").unlink()
    with pytest.raises(BackendUnavailable, match=r"is no checkout of UniRig: launch/inference/merge.sh is missing"):
        official.ask()
    with pytest.raises(ValueError, match="unirig needs checkout"):
        SETTINGS()


def test_a_path_that_its_scripts_would_run_is_refused(official: Official, tmp_path: Path, monkeypatch) -> None:
    odd = tmp_path / "a b; touch ran"
    odd.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(odd))
    with pytest.raises(InputError, match="TMPDIR: UniRig's scripts can't take the path"):
        official.ask()
