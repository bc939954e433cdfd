"""Taking out of a record what must not leave the house: folders, machines' names, secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from studio_pipeline.schema.secrets import hide_secrets, is_secret_name, known_secrets

__all__ = ["REMOVED", "redact", "scrub"]

REMOVED = "(removed)"

_WHOLE_PATH = re.compile(r"(?:~?[\\/]|~[^/\s]*/|[A-Za-z]:[\\/])")
_PATH = re.compile(r"(?<![\w:/.\\])(?:~[\w.-]*|[A-Za-z]:)?[\\/](?:[^\s\\/'\":,;()]+[\\/])+([^\s\\/'\":,;()]*)")
_FILE_URL = re.compile(r"file://[^\s'\"]*/([^\s/'\"]*)")
_URL_EXTRAS = re.compile(r"(\b[a-z][a-z0-9+.-]*://)(?:[^\s/@'\"]+@)?([^\s?#'\"]*)(?:[?#][^\s'\"]*)?")


def scrub(value: Any, *, hosts: Iterable[str] = ()) -> tuple[Any, list[str]]:
    """``value`` (JSON values) without them, and the dotted places that were changed.

    Paths keep their last part, addresses lose user, password and query; text under names such as ``api_key``, and
    the values of this process's environment variables of such names, are replaced.

    Args:
        value: What is to leave the house.
        hosts: Names of machines.
    """
    words = [re.compile(rf"(?<![\w-]){re.escape(host)}(?![\w-])") for host in {*hosts} if len(host) > 2]
    secrets = known_secrets()
    changed: list[str] = []

    def clean(item: Any, place: str, name: str) -> Any:
        if isinstance(item, dict):
            return {key: clean(inner, f"{place}.{key}" if place else key, key) for key, inner in item.items()}
        if isinstance(item, list | tuple):
            return [clean(inner, f"{place}.{index}", name) for index, inner in enumerate(item)]
        if not isinstance(item, str):
            return item
        new = REMOVED if item and is_secret_name(name) else _text(item, words, secrets)
        if new != item:
            changed.append(place)
        return new

    return clean(value, "", ""), changed


def redact(text: str) -> str:
    """``text`` without secrets; paths and machines' names stay, for people of the house.

    Addresses lose user, password and query.
    """
    return _URL_EXTRAS.sub(r"\1\2", hide_secrets(text, REMOVED))


def _text(text: str, words: list[re.Pattern[str]], secrets: list[str]) -> str:
    text = hide_secrets(text, REMOVED, known=secrets)
    for word in words:
        text = word.sub(REMOVED, text)
    if _WHOLE_PATH.match(text) and "\n" not in text:
        return (PureWindowsPath if "\\" in text else PurePosixPath)(text).name
    text = _FILE_URL.sub(r"\1", text)
    text = _URL_EXTRAS.sub(r"\1\2", text)
    return _PATH.sub(r"\1", text)
