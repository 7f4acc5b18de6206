"""Keys: from the environment or the keyring, read at each request, shown nowhere."""

from __future__ import annotations

import importlib.util
import json
import os
from functools import cache
from urllib.parse import quote

import anyio

from ctxeng.generation.faults import TryError
from ctxeng.text.secrets import remember_key

SERVICE = "ctxeng"
"""Under this name the keyring holds the keys: ``keyring set ctxeng NAME``."""
SHORTEST = 4
"""What is shorter is no key, and would be found in any text."""


class Secret:
    """A key that shows itself in no repr, and takes itself out of texts."""

    __slots__ = ("_value",)

    def __init__(self, value: str = "") -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def hide(self, text: str) -> str:
        """The text without the key, as it is or as JSON or a URL would write it."""
        if len(self._value) < SHORTEST:
            return text
        for form in {self._value, json.dumps(self._value)[1:-1], quote(self._value, safe="")}:
            text = text.replace(form, "…")
        return text

    @property
    def unmistakable(self) -> bool:
        """No word that a text may hold by chance, as the keys that local servers are given are
        (``ollama``, ``EMPTY``, ``sk-no-key-required``).
        """
        letters = any(c.isalpha() for c in self._value)
        return len(self._value) >= 16 and letters and any(c.isdigit() for c in self._value)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return "Secret(…)" if self._value else "Secret()"

    def __reduce__(self) -> str:
        raise TypeError("a key is not pickled")


async def read_key(name: str, *, needed: bool) -> Secret:
    """The key called ``name``: the environment variable, or else the keyring's entry.

    Args:
        name: empty: there is none.
        needed: a missing one is an error.

    Raises:
        TryError: of kind ``auth``: it is missing, or what is there can be no key.
    """
    value, trouble = _of_environment(name), ""
    if name and not value and _has_keyring():
        value, trouble = await anyio.to_thread.run_sync(_ask_keyring, name, abandon_on_cancel=True)
    if not (value.isascii() and value.isprintable() and " " not in value):
        what = f"the key in {name} holds characters that no key has"
        raise TryError("auth", what, advice="Copy it again.")
    if needed and not value:
        advice = where_to_put(name)
        raise TryError("auth", f"there is no key{trouble}", advice=advice)
    remember_key(value)
    return Secret(value)


def has_key(name: str) -> bool:
    """Whether there is one now. May wait for the keyring."""
    return bool(_of_environment(name) or (_has_keyring() and _ask_keyring(name)[0]))


def where_to_put(name: str) -> str:
    return (
        f"Set the environment variable {name}, or put the key into the keyring with "
        f"`keyring set {SERVICE} {name}`."
    )


def _of_environment(name: str) -> str:
    return os.environ.get(name, "").strip() if name else ""


@cache
def _has_keyring() -> bool:
    return importlib.util.find_spec("keyring") is not None


def _ask_keyring(name: str) -> tuple[str, str]:
    """The entry, or empty, and why the keyring could not be asked, or empty."""
    import keyring
    import keyring.errors

    try:
        return (keyring.get_password(SERVICE, name) or "").strip(), ""
    except keyring.errors.NoKeyringError:
        return "", ""  # nobody put anything into it
    except keyring.errors.KeyringError as error:
        return "", f" (and the keyring could not be read: {type(error).__name__})"
