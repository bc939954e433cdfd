"""What is secret, by its name or its place: variables of the environment, passwords and tokens in addresses."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

__all__ = ["HIDDEN", "hide_secrets", "is_secret_name", "known_secrets"]

HIDDEN = "(hidden)"

_NAME = re.compile(
    r"token|secret|passw|passphrase|api_?key|access_?key|credential|authorization|hook_?url|webhook", re.IGNORECASE
)
_USER = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@'\"]*:[^\s/@'\"]*@", re.IGNORECASE)
_PASSWORD = re.compile(r"://[^\s/@:]*:([^\s/@]+)@")
_SHORTEST = 8  # a shorter word may be any word


def is_secret_name(name: str) -> bool:
    """Whether what goes by this name (of a variable, of a setting) is a secret."""
    return _NAME.search(name) is not None


def known_secrets() -> list[str]:
    """The secrets of this process's environment, the longest first.

    Values of variables whose name says so, whole addresses with a password in them, and those passwords.
    """
    found: set[str] = set()
    for name, value in os.environ.items():
        passwords = _PASSWORD.findall(value) if "://" in value else []
        found.update(passwords)
        if is_secret_name(name) or any(len(word) >= _SHORTEST for word in passwords):
            found.add(value)
    return sorted((word for word in found if len(word) >= _SHORTEST), key=len, reverse=True)


def hide_secrets(text: str, instead: str = HIDDEN, *, known: Sequence[str] | None = None) -> str:
    """``text`` without what the environment keeps secret, and without user and password of any address in it.

    A library's error may quote what it was given.

    Args:
        text: Any text.
        instead: Stands where a secret stood.
        known: `known_secrets`, where many texts are gone through.
    """
    text = _USER.sub(rf"\1{instead}@", text)  # first: the rest of an address may stay
    for word in known_secrets() if known is None else known:
        text = text.replace(word, instead)
    return text
