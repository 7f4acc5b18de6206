"""Models by their name on the hub, which only a name that the user gives asks."""

from __future__ import annotations

import re
from pathlib import Path

from ctxeng.errors import BackendError, ConfigError
from ctxeng.generation.extras import require

NEEDED_FILES = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")
_NAME = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


def is_hub_name(model: str) -> bool:
    """``owner/name`` or ``owner/name@revision``."""
    return _NAME.fullmatch(model) is not None


def from_hub(model: str) -> Path:
    """The model's folder in the hub's own cache; downloaded where it is not there yet.

    Raises:
        ConfigError: there is no such model, or the package is not installed.
        BackendError: it cannot be downloaded.
    """
    require("huggingface_hub", "local")
    import httpx
    from huggingface_hub import errors, snapshot_download

    name, _, revision = model.partition("@")

    def snapshot(*, cached: bool) -> Path:
        return Path(
            snapshot_download(
                name,
                revision=revision or None,
                allow_patterns=list(NEEDED_FILES),
                local_files_only=cached,
            )
        )

    try:
        try:
            return snapshot(cached=True)
        except errors.LocalEntryNotFoundError:
            return snapshot(cached=False)
    except (errors.HFValidationError, errors.RepositoryNotFoundError) as error:
        raise ConfigError(
            f"{model}: neither a folder nor a model on the hub. `ctxeng models` lists what there "
            "is."
        ) from error
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, httpx.HTTPError) as error:
        why = str(error).partition("\n")[0].rstrip(". ")
        raise BackendError(
            f"{model}: cannot be downloaded from the hub: {why}. A folder needs no network.",
            kind="unavailable",
            retryable=True,
        ) from error
