"""``status`` and ``doctor``: what is there, and whether it is well."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ctxeng.cli import output
from ctxeng.cli.options import (
    DEFAULT_WORKSPACE,
    AsJson,
    Config,
    Workspace,
    has_workspace,
    open_to_read,
)

if TYPE_CHECKING:
    from ctxeng.types import Check


def status(
    workspace: Workspace = DEFAULT_WORKSPACE,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Say what is in the workspace and how far its vectors are.

    Also beside a process that is writing it.

    For example:

      ctxeng status

      ctxeng status --workspace elsewhere --json
    """
    with open_to_read(workspace, config) as engine:
        found = engine.status()
    if as_json:
        output.emit(found.model_dump(mode="json"))
        return output.OK
    rows: list[tuple[str, object]] = [
        ("workspace", found.workspace),
        ("sources", f"{found.sources}{_failures(found.failed)}"),
        ("documents", found.documents),
        ("chunks", found.chunks),
        *(
            (
                "vectors",
                f"{tier.model}: {tier.done} of {tier.total}{', searched' if tier.searched else ''}",
            )
            for tier in found.vectors
        ),
        ("dense search", found.dense),
        ("lexical index", _up_to_date(found.changes_behind)),
    ]
    output.table(["", ""], rows)
    return output.OK


def _failures(count: int) -> str:
    return f", of which {count} could not be read: `ctxeng index` says why" if count else ""


def _up_to_date(changes_behind: int) -> str:
    return f"{changes_behind} changes behind" if changes_behind else "up to date"


def doctor(
    workspace: Workspace = DEFAULT_WORKSPACE,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Say what is installed, whether the workspace is healthy, and what to do.

    Works without a workspace and with a damaged one.

    For example:

      ctxeng doctor
    """
    checks = _examine(workspace, config)
    healthy = all(check.ok for check in checks)
    if as_json:
        rows = [check.model_dump(mode="json") for check in checks]
        output.emit({"ok": healthy, "checks": list(rows)})
    else:
        output.table(
            ["", "what", "found", "what to do"],
            [["ok" if c.ok else "!!", c.name, c.found, c.advice] for c in checks],
        )
    return output.OK if healthy else output.SOME_FAILED


def _examine(workspace: Path, config: Path | None) -> list[Check]:
    from ctxeng.engine.doctor import examine_installation
    from ctxeng.errors import WorkspaceError
    from ctxeng.settings import load_settings
    from ctxeng.types import Check

    settings = load_settings(config)
    absent = Check(
        name="workspace", ok=True, found=f"none at {workspace}", advice="Run `ctxeng index PATH`."
    )
    if not has_workspace(workspace):
        return [*examine_installation(settings), absent]
    try:
        with open_to_read(workspace, config) as engine:
            return engine.doctor()
    except WorkspaceError as error:
        broken = Check(name="workspace", ok=False, found=str(error))
        return [*examine_installation(settings), broken]
