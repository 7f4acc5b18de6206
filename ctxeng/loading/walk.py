"""Finds the files below a root: in fixed order, within limits, never out of the root."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ctxeng.errors import LoadError
from ctxeng.settings import LoadingSettings

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

NEVER = frozenset({".git", ".hg", ".svn", ".ctxeng", "__pycache__", "node_modules", ".venv"})
IGNORE_FILES = (".gitignore", ".ctxengignore")


@dataclass(frozen=True, slots=True)
class _Ignored:
    """The patterns of one folder's ignore files, matched against paths below it."""

    folder: Path
    patterns: GitIgnoreSpec

    def matches(self, path: Path, *, is_folder: bool) -> bool | None:
        """True: ignored; False: named as not ignored; None: not named."""
        relative = path.relative_to(self.folder).as_posix() + ("/" if is_folder else "")
        return self.patterns.check_file(relative).include


def walk(
    root: Path,
    *,
    settings: LoadingSettings | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> Iterator[Path | LoadError]:
    """Files below a root, or the file itself; what is refused is yielded as an error.

    Args:
        include: globs, as in .gitignore; where given, only files that match one.
        exclude: globs of files and folders to leave out.
    """
    from pathspec import GitIgnoreSpec

    limits = settings or LoadingSettings()
    if root.is_file():
        yield _within_size(root, limits)
        return
    wanted = GitIgnoreSpec.from_lines(include) if include else None
    unwanted = GitIgnoreSpec.from_lines(exclude)
    walker = _Walker(root.resolve(), limits, unwanted)
    for found in walker.below(root, (), 0):
        if (
            isinstance(found, LoadError)
            or wanted is None
            or wanted.match_file(found.relative_to(root).as_posix())
        ):
            yield found


class _Walker:
    def __init__(self, root: Path, limits: LoadingSettings, unwanted: GitIgnoreSpec) -> None:
        self._root = root
        self._limits = limits
        self._unwanted = unwanted
        self._visited: set[Path] = set()

    def below(
        self, folder: Path, ignored: tuple[_Ignored, ...], depth: int
    ) -> Iterator[Path | LoadError]:
        real = folder.resolve()
        if real in self._visited:
            return  # a loop of links, or two links to one folder
        self._visited.add(real)
        if depth > self._limits.max_depth:
            yield LoadError(str(folder), f"lies over {self._limits.max_depth} folders deep",
                            "Raise loading.max_depth")  # fmt: skip
            return
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            yield LoadError(str(folder), f"cannot be entered: {error.strerror}",
                            "Check its permissions")  # fmt: skip
            return
        ignored = (*ignored, *self._ignore_files(folder))
        for entry in entries:
            yield from self._entry(entry, Path(entry.path), ignored, depth)

    def _entry(
        self, entry: os.DirEntry[str], path: Path, ignored: tuple[_Ignored, ...], depth: int
    ) -> Iterator[Path | LoadError]:
        if entry.name in NEVER or (entry.name.startswith(".") and not self._limits.hidden):
            return
        is_folder = entry.is_dir()
        relative = path.relative_to(self._root) if path.is_relative_to(self._root) else path
        if self._unwanted.match_file(relative.as_posix() + ("/" if is_folder else "")):
            return
        if _is_ignored(path, ignored, is_folder=is_folder):
            return
        if entry.is_symlink() and not self._inside(path):
            yield LoadError(str(path), "is a link that leads out of the folder, or nowhere",
                            "Index its target by name if it is meant")  # fmt: skip
            return
        if is_folder:
            yield from self.below(path, ignored, depth + 1)
        elif entry.is_symlink():
            return  # its target lies in the root and is visited there
        elif entry.is_file():
            yield _within_size(path, self._limits)

    def _inside(self, path: Path) -> bool:
        try:
            return path.resolve(strict=True).is_relative_to(self._root)
        except (OSError, RuntimeError):
            return False

    def _ignore_files(self, folder: Path) -> Iterator[_Ignored]:
        from pathspec import GitIgnoreSpec

        if not self._limits.ignore_files:
            return
        for name in IGNORE_FILES:
            file = folder / name
            if file.is_file():
                lines = file.read_text("utf-8", "replace").splitlines()
                yield _Ignored(folder, GitIgnoreSpec.from_lines(lines))


def _is_ignored(path: Path, ignored: tuple[_Ignored, ...], *, is_folder: bool) -> bool:
    """The innermost file that names the path decides, as git has it."""
    for rules in reversed(ignored):
        verdict = rules.matches(path, is_folder=is_folder)
        if verdict is not None:
            return verdict
    return False


def _within_size(path: Path, limits: LoadingSettings) -> Path | LoadError:
    size = path.stat().st_size
    if size <= limits.max_file_bytes:
        return path
    return LoadError(
        str(path),
        f"has {size:,} bytes, more than loading.max_file_bytes ({limits.max_file_bytes:,})",
        "Raise that setting or split the file",
    )
