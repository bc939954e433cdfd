"""Typed, bounded access to parsed JSON: a wrong type, index or number is an `InputError` that names the field."""

from __future__ import annotations

import math
from typing import Any

from studio_pipeline.schema.errors import InputError

__all__ = ["JsonObject"]

_REDO = "export the character again"


class JsonObject:
    """A JSON object together with its place in the file, e.g. ``fox.glb: accessors[3]``."""

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise InputError("is not a JSON object", where=where, do=_REDO)
        self._value: dict[str, Any] = value
        self.where = where

    def __contains__(self, key: str) -> bool:
        return key in self._value

    def place(self, key: str) -> str:
        """Where the field ``key`` is, for an error."""
        return f"{self.where} {key}" if self.where.endswith(":") else f"{self.where}.{key}"

    def error(self, what: str, key: str = "", do: str = _REDO) -> InputError:
        """An error about this object, or about its field ``key``."""
        return InputError(what, where=self.place(key) if key else self.where, do=do)

    def extra(self, name: str) -> Any:
        """A custom property (glTF's ``extras``), whatever it is; None when there is none."""
        extras = self._value.get("extras")
        return extras.get(name) if isinstance(extras, dict) else None

    def integer(self, key: str, default: int | None = None, *, low: int = 0, high: int = 2**53) -> int:
        """A whole number from ``low`` to ``high``; required when ``default`` is None."""
        value = self._value.get(key, default)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.error("is missing or no whole number", key)
        if not low <= value <= high:
            raise self.error(f"is {str(value)[:40]}, expected {low} to {high}", key)
        return value

    def index(self, key: str, count: int) -> int:
        """A required index into an array of ``count`` things."""
        if key not in self._value:
            raise self.error("is missing", key)
        return self._index(self._value[key], count, self.place(key))

    def optional_index(self, key: str, count: int) -> int | None:
        """An index into an array of ``count`` things, or None when the field is absent."""
        return self.index(key, count) if key in self._value else None

    def indices(self, key: str, count: int) -> list[int]:
        """A list of indices; empty when the field is absent."""
        return [self._index(v, count, f"{self.place(key)}[{i}]") for i, v in enumerate(self.items(key))]

    @staticmethod
    def _index(value: Any, count: int, where: str) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise InputError("is no index", where=where, do=_REDO)
        if not 0 <= value < count:
            raise InputError(f"is {str(value)[:40]}, but there are {count} of them", where=where, do=_REDO)
        return value

    def number(self, key: str, default: float) -> float:
        """A finite number."""
        return self._number(self._value.get(key, default), self.place(key))

    @staticmethod
    def _number(value: Any, where: str) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise InputError("is no number", where=where, do=_REDO)
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number) or abs(number) > 1e30:
            raise InputError("is not a finite number", where=where, do=_REDO)
        return number

    def numbers(self, key: str, count: int, default: tuple[float, ...] | None = None) -> list[float]:
        """``count`` finite numbers (any count when 0); ``default`` when absent, required when that is None."""
        if key not in self._value and default is not None:
            return list(default)
        values = self.items(key)
        if count and len(values) != count:
            raise self.error(f"has {len(values)} numbers, expected {count}", key)
        return [self._number(v, f"{self.place(key)}[{i}]") for i, v in enumerate(values)]

    def text(self, key: str, default: str | None = None) -> str:
        """A string; required when ``default`` is None."""
        value = self._value.get(key, default)
        if not isinstance(value, str):
            raise self.error("is missing or no text", key)
        return value

    def flag(self, key: str) -> bool:
        """True when the field is there and true."""
        return self._value.get(key) is True

    def items(self, key: str) -> list[Any]:
        """A list; empty when the field is absent."""
        value = self._value.get(key, [])
        if not isinstance(value, list):
            raise self.error("is no list", key)
        return value

    def keys(self) -> list[str]:
        """The names of the fields, in the file's order."""
        return list(self._value)

    def object(self, key: str) -> JsonObject:
        """An object; an empty one when the field is absent."""
        return JsonObject(self._value.get(key, {}), self.place(key))

    def objects(self, key: str) -> list[JsonObject]:
        """A list of objects; empty when the field is absent."""
        return [JsonObject(v, f"{self.place(key)}[{i}]") for i, v in enumerate(self.items(key))]
