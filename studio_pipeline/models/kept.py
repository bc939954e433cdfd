"""One large model may stay loaded between the steps of a worker; asking for another, or failing with it, lets it go."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

__all__ = ["keep_models", "kept_model", "stamp"]

Model = TypeVar("Model")

_keeping = False
_idle: tuple[Hashable, Any] | None = None


def keep_models(on: bool = True) -> None:
    """Whether this process keeps its last model. Off at first: other stages of the same process want the memory."""
    global _keeping
    _keeping = on
    if not on:
        _let_go()


@contextmanager
def kept_model(key: Hashable, load: Callable[[], Model]) -> Iterator[Model]:
    """The model for the block: the one that was kept, if it has this key, else a new one.

    The kept one goes before another is loaded, so that there is never more in memory than without keeping. After an
    error nothing is kept: it may have run out of memory.

    Args:
        key: All that decides what ``load`` gives; `stamp` of its files for one.
        load: Loads it.
    """
    global _idle
    if _idle is not None and _idle[0] == key:
        model, _idle = _idle[1], None
    else:
        _let_go()
        model = load()
    try:
        yield model
    except BaseException:
        del model
        _tidy()
        raise
    if _keeping:
        _let_go()  # a block inside this one may have left its own
        _idle = (key, model)


def stamp(source: Path | str) -> Hashable:
    """Names, sizes and times of a model's files, or its name where it is no folder of this machine."""
    folder = Path(source)
    if not folder.is_dir():
        return str(source)
    files = ((path, path.stat()) for path in sorted(folder.rglob("*")) if path.is_file())
    return str(folder), tuple((str(path), state.st_size, state.st_mtime_ns) for path, state in files)


def _let_go() -> None:
    global _idle
    if _idle is not None:
        _idle = None
        _tidy()


def _tidy() -> None:
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
