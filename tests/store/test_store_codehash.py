"""Code digests: exactly the stages that run the edited code change, whatever way it is referred to."""

from __future__ import annotations

import re
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from studio_pipeline.schema.errors import InputError
from studio_pipeline.store import code_digest, code_units
from studio_pipeline.store.codehash import CodeIndex

# Five stages: a and b use the helper `smooth`, each in its own way; c, d and e don't.
FILES = {
    "__init__.py": '"""A package."""\n__version__ = "1"\n',
    "helpers.py": '''
        """Helpers."""
        import math
        from .numbers import RATE as SPEED

        LIMIT = 4

        def smooth(values):
            """Smooth."""
            # a comment
            return [min(v, LIMIT) * SPEED for v in values]

        def other(values):
            return sorted(values)
        ''',
    "numbers.py": "RATE = 2\nUNUSED = 3\n",
    "stages/__init__.py": "",
    "stages/a.py": """
        from house.helpers import smooth as softly

        def run(context):
            return softly(context)
        """,
    "stages/b.py": """
        def run(context):
            from house import helpers
            return helpers.smooth(context)
        """,
    "stages/c.py": """
        from house import helpers

        def run(context):
            return helpers.other(context)
        """,
    "stages/d.py": """
        from house.base import Backend, decorated
        from house.helpers import smooth

        def run(context):
            smooth = context.smooth
            return Backend().twice(smooth(1))

        def unused():
            return smooth(2)
        """,
    "stages/e.py": """
        import house.kernels

        BACKENDS = {"warp": "house.kernels:launch"}

        def run(context):
            return BACKENDS
        """,
    "base.py": """
        class Backend:
            def twice(self, x):
                return inner(x)

        def inner(x):
            return x + x

        def decorated(function):
            return function
        """,
    "kernels.py": """
        import warp as wp

        @wp.func
        def falloff(d: float):
            return 1.0 / d

        @wp.kernel
        def blur(x: wp.array(dtype=float)):
            x[wp.tid()] = falloff(x[wp.tid()])

        def launch(x):
            wp.launch(blur, dim=1, inputs=[x])
        """,
}
STAGES = {name: f"house.stages.{name}:run" for name in "abcde"}


class House:
    """A package on disk that nobody imports."""

    def __init__(self, root: Path) -> None:
        self.root = root / "house"
        for name, text in FILES.items():
            self.write(name, text)

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.root / name).read_text()
        assert old in text
        (self.root / name).write_text(text.replace(old, new))

    def digests(self) -> dict[str, str]:
        index = CodeIndex("house")
        return {name: index.digest(target) for name, target in STAGES.items()}


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.syspath_prepend(str(tmp_path))
    yield House(tmp_path)
    assert "house" not in sys.modules  # nothing was imported


@pytest.fixture
def changed(house: House) -> Callable[[], str]:
    """Which stages have changed since the test began, as a string of their letters."""
    before = house.digests()
    return lambda: "".join(name for name, digest in house.digests().items() if digest != before[name])


@pytest.mark.parametrize(
    ("file", "old", "new", "stages"),
    [
        ("helpers.py", "min(v, LIMIT)", "max(v, LIMIT)", "ab"),  # the helper itself
        ("helpers.py", "LIMIT = 4", "LIMIT = 5", "ab"),  # a constant that it uses
        ("numbers.py", "RATE = 2", "RATE = 7", "ab"),  # one from another module, renamed on import
        ("numbers.py", "UNUSED = 3", "UNUSED = 4", ""),
        ("helpers.py", "sorted(values)", "list(values)", "c"),  # its neighbour
        ("helpers.py", "import math", "import cmath as math", ""),  # nobody uses it
        ("base.py", "x + x", "2 * x", "d"),  # through a method of a class
        ("base.py", "return function", "return None", ""),  # imported, never used
        ("stages/d.py", "smooth(2)", "smooth(3)", ""),  # a neighbour of `run`
        ("kernels.py", "1.0 / d", "2.0 / d", "e"),  # kernel function, by kernel, by launcher, by a string
        ("kernels.py", "import warp as wp", "import warq as wp", "e"),  # the same code on another library
        ("__init__.py", '"1"', '"2"', ""),
        ("helpers.py", "# a comment", "# another comment", ""),
        ("helpers.py", '"""Smooth."""', '"""Smooth\n\n    very well."""', ""),
        ("helpers.py", '"""Helpers."""', "", ""),
        ("helpers.py", "[min(v, LIMIT) * SPEED for v in values]", "[ min( v,LIMIT )*SPEED\n     for v in values ]", ""),
    ],
)
def test_an_edit_reaches_exactly_the_stages_that_run_it(house: House, changed, file, old, new, stages):
    house.edit(file, old, new)
    assert changed() == stages


def test_a_registry_filled_on_import_counts_for_all_who_import_it(house: House):
    house.write("registry.py", "TABLE = {}\n\ndef register(function):\n    TABLE[function.__name__] = function\n")
    house.write(
        "plugins.py",
        """
        from house.registry import TABLE, register
        from house.helpers import other

        @register
        def first(x):
            return other(x)

        def second(x):
            return x

        TABLE["second"] = second

        def third(x):
            return x
        """,
    )
    house.edit("stages/c.py", "from house import helpers", "import house.plugins\nfrom house.registry import TABLE")
    house.edit("stages/c.py", "return helpers.other(context)", "return TABLE['first'](context)")
    before = house.digests()
    for old, new, moves in (
        ("return other(x)", "return other(-x)", True),
        ("return x\n\nTABLE", "return 2 * x\n\nTABLE", True),
        ("def third(x):\n    return x", "def third(x):\n    return 3 * x", False),
    ):
        house.edit("plugins.py", old, new)
        after = house.digests()
        assert (after["c"] != before["c"]) is moves and all(after[name] == before[name] for name in "abde")
        before = after


def test_a_class_that_registers_its_subclasses_counts(house: House):
    house.write("registry.py", "class Base:\n    def __init_subclass__(cls):\n        ALL.append(cls)\n\nALL = []\n")
    house.write("plugins.py", "from house.registry import Base\n\nclass One(Base):\n    x = 1\n")
    house.edit("stages/c.py", "from house import helpers", "import house.plugins\nfrom house.registry import ALL")
    house.edit("stages/c.py", "helpers.other(context)", "ALL")
    before = house.digests()
    house.edit("plugins.py", "x = 1", "x = 2")
    after = house.digests()
    assert [name for name in STAGES if after[name] != before[name]] == ["c"]


@pytest.mark.parametrize(
    "use",
    [
        "from house import helpers\n\ndef run(c):\n    return getattr(helpers, c.name)(c)\n",  # the module as an object
        "from house.helpers import *\n\ndef run(c):\n    return smooth(c)\n",
        "def run(c):\n    import house.helpers as h\n    return h.missing_or_made_later\n",
        "import importlib\n\ndef run(c):\n    return importlib.import_module('house.helpers')\n",
        "try:\n    from house.helpers import smooth\nexcept OSError:\n    smooth = 0\n\ndef run(c):\n    smooth(c)\n",
        "from .. import helpers as h\n\nclass Go:\n    def on(self):\n        h.smooth()\n\ndef run(c):\n    Go()\n",
        "import house.helpers\n\nrun = lambda c: [house.helpers.smooth(x) for x in c]\n",
        "from functools import partial\nfrom house.helpers import smooth\n\nrun = partial(smooth, 1)\n",
        "def run(c):\n    def go():\n        from house.helpers import smooth\n        smooth()\n    return go\n",
        "from house.helpers import smooth\n\ndef run(c, by=smooth):\n    return by(c)\n",
        "from house.door import smooth\n\ndef run(c):\n    return smooth(c)\n",  # re-exported
        "from house import door\n\ndef run(c):\n    return door.lazily(c)\n",  # module __getattr__ over a string
    ],
)
def test_every_way_of_referring_is_followed(house: House, use: str):
    house.write(
        "door.py",
        """
        from house.helpers import smooth

        _LAZY = {"lazily": "house.helpers:smooth"}

        def __getattr__(name):
            return _LAZY[name]
        """,
    )
    house.write("stages/c.py", use)
    before = house.digests()
    house.edit("helpers.py", "min(v, LIMIT)", "max(v, LIMIT)")
    after = house.digests()
    assert [name for name in STAGES if after[name] != before[name]] == ["a", "b", "c"]


def test_swapping_two_imports_is_a_change(house: House):
    house.write("stages/c.py", "from house.helpers import smooth as p, other as q\n\ndef run(c):\n    return p(q(c))\n")
    before = house.digests()["c"]
    house.write("stages/c.py", "from house.helpers import other as p, smooth as q\n\ndef run(c):\n    return p(q(c))\n")
    assert house.digests()["c"] != before


def test_units_name_the_function_that_changed(house: House):
    before = CodeIndex("house").units(STAGES["a"])
    house.edit("numbers.py", "RATE = 2", "RATE = 7")
    after = CodeIndex("house").units(STAGES["a"])
    assert [unit for unit in after if after[unit] != before.get(unit)] == ["house.numbers:RATE"]
    assert set(after) == {"house.stages.a:run", "house.helpers:smooth", "house.helpers:LIMIT", "house.numbers:RATE"}


def test_a_plugins_own_package_counts_with_ours(house: House, tmp_path: Path):
    (tmp_path / "plug").mkdir()
    (tmp_path / "plug" / "__init__.py").write_text(
        "from house.helpers import smooth\n\ndef run(c):\n    return smooth(c)\n"
    )
    before = CodeIndex("house", "plug").digest("plug:run")
    house.edit("helpers.py", "min(v", "max(v")
    assert CodeIndex("house", "plug").digest("plug:run") != before


def test_cycles_and_recursion_end(house: House):
    house.write("stages/c.py", "import house.loop\n\ndef run(c):\n    return house.loop.even(c)\n")
    house.write("loop.py", "from house.pool import odd\n\ndef even(n):\n    return n == 0 or odd(n - 1)\n")
    house.write(
        "pool.py", "from house.loop import even, gone\nfrom house.pool import gone\n\ndef odd(n):\n    return even(n)\n"
    )
    before = house.digests()["c"]
    house.edit("pool.py", "return even(n)", "return not even(n)")
    assert house.digests()["c"] != before


def test_missing_modules_and_broken_files_are_told_in_one_line(house: House):
    with pytest.raises(InputError, match=r"no module 'house\.nowhere'"):
        CodeIndex("house").digest("house.nowhere:run")
    with pytest.raises(InputError, match="no Python package"):
        CodeIndex("no_such_package")
    house.write("stages/c.py", "def run(:\n")
    with pytest.raises(InputError, match="no valid Python"):
        CodeIndex("house").digest(STAGES["c"])


def test_the_real_stages_have_digests_quickly(repository: Path):
    found = {
        target
        for path in (repository / "studio_pipeline" / "stages").rglob("*.py")
        for target in re.findall(r'"(studio_pipeline\.stages\.[\w.]+:\w+)"', path.read_text())
    }
    existing = [t for t in sorted(found) if (repository / (t.partition(":")[0].replace(".", "/") + ".py")).exists()]
    if not existing:
        pytest.skip("no backend is here yet")
    code_digest.__globals__["_index"].cache_clear()
    started = time.process_time()
    digests = [code_digest(target) for target in existing]
    print(f"{len(existing)} backends in {time.process_time() - started:.2f} s")
    assert digests == [code_digest(target) for target in existing]
    assert all("studio_pipeline.dag" not in unit for target in existing for unit in code_units(target))
