"""Optional packages of this room."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from ctxeng.errors import ConfigError

LOCAL = ("torch", "transformers", "safetensors")
LLAMA = ("xllamacpp",)
ADAPTERS = ("peft",)


def missing(packages: Sequence[str]) -> list[str]:
    """Those that this Python does not have."""
    return [name for name in packages if find_spec(name) is None]


def require(package: str, extra: str) -> None:
    """Raises:
    ConfigError: it is not installed; names the extra that brings it.
    """
    if missing([package]):
        raise ConfigError(
            f"the package {package} is not installed. Run `pip install 'ctxeng[{extra}]'`, or "
            "choose another model (`ctxeng models` lists them)."
        )
