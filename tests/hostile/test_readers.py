"""Every reader of files from elsewhere meets every hostile file: nothing runs, nothing outside is touched, one line."""

from __future__ import annotations

import corpus_clips as clips
import corpus_files as files
import corpus_meshes as meshes
import corpus_usd as usd
import pytest
from cell import Cell

pytestmark = pytest.mark.slow

GROUPS = {
    "GLTF": ("character", meshes.GLTF), "OBJ": ("character", meshes.OBJ), "USD": ("character", usd.USD),
    "SPECIAL": ("character", meshes.SPECIAL), "YAML": ("shots", files.YAML), "VIDEO": ("clip", clips.VIDEO),
    "PICTURES": ("clip", clips.PICTURES), "BVH": ("bvh", files.BVH), "OTIO": ("timeline", files.OTIO),
}  # fmt: skip
HARMLESS = {
    # Read as what they say they are, or do without what is missing: told as warnings in the result.
    ("GLTF", "picture is a pipe"), ("USD", "package: count"), ("USD", "package: offset"),
    # The decoder goes by the stream, not by the container's word.
    ("VIDEO", "lies of its width"), ("VIDEO", "track of 2^31 pixels"), ("VIDEO", "chunks of 2^32"),
    ("PICTURES", "pixels without end"),
    # A name is made a code.
    ("OTIO", "name of escapes"),
    # A list of shots may say these; what they name is refused later, see test_doors.
    *(("YAML", name) for name in files.YAML if name.startswith(files.LATER)),
}  # fmt: skip
# Large to make and to read: with the full counts.
HEAVY = {
    ("OBJ", "lines of nothing"), ("OBJ", "only words"), ("YAML", "a million shots"), ("YAML", "laughs as keys"),
    ("USD", "array of a billion"), ("USD", "package: deflated bomb"), ("PICTURES", "profile bomb"),
    ("PICTURES", "honest bomb 30000 x 30000"), ("GLTF", "two million morph targets"), ("PICTURES", "text chunk bomb"),
    ("BVH", "many numbers, one frame"), ("BVH", "large"), ("OTIO", "text of megabytes"), ("USD", "package: size"),
    *(("USD", name) for name in usd.USD if name.endswith((" 2", "cut off", "absolute", "up", "file:", "package"))),
}  # fmt: skip
CASES = [(group, name) for group, (_, corpus) in GROUPS.items() for name in corpus]


def _marked(case: tuple[str, str]) -> object:
    return pytest.param(*case, id=": ".join(case), marks=[pytest.mark.soak] if case in HEAVY else [])


@pytest.mark.parametrize(("group", "name"), [_marked(case) for case in CASES])
def test_a_hostile_file_costs_a_line(cell: Cell, group: str, name: str) -> None:
    reader, corpus = GROUPS[group]
    path = corpus[name](cell.project, cell.listener.url, cell.outside)
    cell.seal()
    ended = cell.run("read", reader, path.name)
    if (group, name) == ("PICTURES", "links to secrets"):
        # A plate's pictures may be links, as studios have them; what is no picture is told by its name alone.
        cell.before = cell.seen()
    many = 120 if group == "YAML" else 1  # every mistake of a shot list has a line of its own
    if (group, name) in HARMLESS:
        assert ended.code in (0, 2) and not ended.late and ended.did == [] and len(ended.lines) <= many
        cell.check_untouched()
    else:
        cell.check_refused(ended, most=many)
        assert any(word in ended.lines[0] for word in (path.stem, "/proc/", "clip 1")), ended.lines


@pytest.mark.parametrize("name", files.WEIGHTS)
def test_hostile_weights_cost_a_line(cell: Cell, name: str) -> None:
    (cell.project / "skin.safetensors").write_bytes(files.WEIGHTS[name](cell.outside))
    cell.seal()
    cell.check_refused(cell.run("read", "weights", "skin.safetensors"), most=1)


@pytest.mark.parametrize("name", files.ARRAYS)
def test_hostile_arrays_cost_a_line(cell: Cell, name: str) -> None:
    (cell.project / "depth.npz").write_bytes(files.ARRAYS[name](cell.outside))
    cell.seal()
    cell.check_refused(cell.run("read", "arrays", "depth.npz"), most=1)


def test_a_record_of_jokes_costs_a_line(cell: Cell) -> None:
    jokes = {
        "deep": b"[" * 3_000_000,
        "wide": b"[" + b"[]," * 30_000_000 + b"[]]",
        "digits": b"9" * 100_000,
        "cut": b"{",
    }
    for name, data in jokes.items():
        (cell.project / f"{name}.json").write_bytes(data)
        cell.seal()
        cell.check_refused(cell.run("read", "json", f"{name}.json"), most=1)


def test_the_warden_sees_what_it_should(cell: Cell) -> None:
    """The measure itself: a reader that unpickles, writes elsewhere, calls somebody and takes memory is found out."""
    import json

    (cell.project / "evil.py").write_text(
        "import os, pickle, urllib.request, sys\n"
        "def read(path):\n"
        "    pickle.loads(open(path, 'rb').read())\n"
        f"    open({str(cell.outside / 'written')!r}, 'w').close()\n"
        f"    open({str(cell.outside / 'secret.txt')!r}).read()\n"
        "    os.environ['no_proxy'] = '*'\n"
        "    try:\n"
        f"        urllib.request.urlopen({cell.listener.url + '/x'!r})\n"
        "    except OSError:\n"
        "        pass\n"
        "    bytearray(1400 << 20)[:: 4096] = b'x' * ((1400 << 20) // 4096)\n"
    )
    (cell.project / "data.bin").write_bytes(files.pickle.dumps(files.Canary(cell.canary)))
    cell.seal()
    line = f"import sys; sys.path.insert(0, {str(cell.project)!r}); import evil; evil.read('data.bin')"
    ended = cell.run("python", line)
    kinds = {what for what, _ in ended.did}
    assert {"writes", "os.system", "socket.connect"} <= kinds, json.dumps(ended.did)
    assert cell.canary.exists() and cell.listener.visits == ["/x"]
    assert ended.resident > cell.warden.base + (1 << 30), ended
    with pytest.raises(AssertionError):
        cell.check_untouched()
