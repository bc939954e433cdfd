"""Editing code re-runs exactly the stages that use it: five real stages in a package of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import studio_pipeline

HELPER = '''
def shared(x):
    """Doubles."""
    return 2 * x

def other(x):
    return 3 * x
'''

STAGE = """
import json
{imports}

def run(context):
    from studio_pipeline.stages.base import StageResult
    total = sum(json.loads((f / "v.json").read_text()) for f in context.inputs.values()) + 1
    (context.out / "v.json").write_text(json.dumps({expression}))
    return StageResult(figures={{"v": total}})
"""

DRIVER = """
import json, sys
from pathlib import Path
import studio_pipeline.line.graph as graph
from studio_pipeline.stages.base import Backend, Stage
sys.path.insert(0, ".")
def stage(name, inputs):
    return Stage(name, 1, name, inputs, (), {"toy": Backend(run=f"toystudio.{name}:run")}, "toy")
graph._load = lambda: [stage("a", ()), stage("b", ("a",)), stage("c", ("a",)), stage("d", ("a",)), stage("e", ("a",))]
from studio_pipeline.line.make import make_stage
from studio_pipeline.line.shots import open_studio, read_shot_lists
store = open_studio("home")
(shot,) = read_shot_lists([Path("shots.yaml")])
if sys.argv[1:]:
    from studio_pipeline.line.accept import accept
    done = accept(store, shot, reason="a rounding that nobody sees", stages=sys.argv[1:])
    print(json.dumps({entry.stage: list(entry.changed) for entry in done.entries}))
else:
    print(json.dumps([name for name in graph.graph() if make_stage(store, shot, name).made]))
"""


def ran(folder: Path, *accepted: str) -> list[str] | dict[str, list[str]]:
    ours = str(Path(studio_pipeline.__file__).parents[1])  # the code under test, wherever it is installed
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(folder), ours))}
    done = subprocess.run(
        [sys.executable, "driver.py", *accepted], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_helper_of_two_stages(tmp_path: Path) -> None:
    package = tmp_path / "toystudio"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "helper.py").write_text(HELPER)
    uses = {"b": "shared", "d": "shared", "c": "other"}
    for name in "abcde":
        imports = f"from toystudio.helper import {uses[name]}" if name in uses else ""
        expression = f"{uses[name]}(total)" if name in uses else "total"
        (package / f"{name}.py").write_text(STAGE.format(imports=imports, expression=expression))
    (tmp_path / "driver.py").write_text(DRIVER)
    (tmp_path / "hero.obj").write_text("v 0 0 0\n")
    (tmp_path / "shots.yaml").write_text("- {show: t, sequence: a, shot: s1, character: hero.obj}\n")
    assert ran(tmp_path) == ["a", "b", "c", "d", "e"]
    assert ran(tmp_path) == []
    (package / "helper.py").write_text("# a comment\n" + HELPER.replace("Doubles", "Gives twice as much"))
    assert ran(tmp_path) == []
    edited = HELPER.replace("2 * x", "x + x")
    (package / "helper.py").write_text(edited)
    assert ran(tmp_path, "d") == {"d": ["toystudio.helper:shared"]}
    assert ran(tmp_path) == ["b"]  # d stands with a reason; that is about this edit only
    (package / "helper.py").write_text(edited.replace("x + x", "x + x + 0"))
    assert ran(tmp_path) == ["b", "d"]
