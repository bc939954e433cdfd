"""A function whose answers are laid out beforehand."""

from __future__ import annotations

from collections.abc import Callable, MutableSequence
from typing import Any

__all__ = ["in_turn"]


def in_turn(answers: MutableSequence[Any]) -> Callable[..., Any]:
    """A function that gives the next of ``answers`` at every call, whatever it gets; exceptions are raised."""

    def answer(*_arguments: object) -> Any:
        given = answers.pop(0)
        if isinstance(given, Exception):
            raise given
        return given

    return answer
