"""Finds the files below a root: in fixed order, within limits, never out of the root."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ctxeng.errors import ConfigError, LoadError
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

    Links are not followed: what they lead to inside the root is met there by its own name.

    Args:
        include: globs, as in .gitignore; where given, only files that match one.
        exclude: globs of files and folders to leave out.
    """
    limits = settings or LoadingSettings()
    root = root.resolve()
    if root.is_file():
        yield _within_limits(root, limits)
        return
    wanted, unwanted = _globs(include), _globs(exclude)
    for found in _Walker(root, limits, unwanted).below(root, (), 0):
        if (
            isinstance(found, LoadError)
            or not include
            or wanted.match_file(found.relative_to(root).as_posix())
        ):
            yield found


def _globs(patterns: Sequence[str]) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec

    try:
        return GitIgnoreSpec.from_lines(patterns)
    except ValueError as error:
        raise ConfigError(f"{error}. Write globs as in .gitignore.") from error


class _Walker:
    def __init__(self, root: Path, limits: LoadingSettings, unwanted: GitIgnoreSpec) -> None:
        self._root = root
        self._limits = limits
        self._unwanted = unwanted

    def below(
        self, folder: Path, ignored: tuple[_Ignored, ...], depth: int
    ) -> Iterator[Path | LoadError]:
        if depth > self._limits.max_depth:
            yield LoadError(str(folder), f"lies over {self._limits.max_depth} folders deep",
                            "Raise loading.max_depth")  # fmt: skip
            return
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            yield LoadError(str(folder), f"cannot be entered: {error.strerror}",
                            "Check its permissions")  # fmt: skip
            return
        if self._limits.ignore_files:
            for name in IGNORE_FILES:
                rules = _rules(folder / name)
                if isinstance(rules, LoadError):
                    yield rules
                elif rules is not None:
                    ignored = (*ignored, rules)
        for entry in entries:
            yield from self._entry(entry, ignored, depth)

    def _entry(
        self, entry: os.DirEntry[str], ignored: tuple[_Ignored, ...], depth: int
    ) -> Iterator[Path | LoadError]:
        if entry.name in NEVER or (entry.name.startswith(".") and not self._limits.hidden):
            return
        path = Path(entry.path)
        is_folder = entry.is_dir(follow_symlinks=False)
        relative = path.relative_to(self._root).as_posix() + ("/" if is_folder else "")
        if self._unwanted.match_file(relative) or _is_ignored(path, ignored, is_folder=is_folder):
            return
        if entry.is_symlink():
            if not self._is_inside(path):
                yield LoadError(str(path), "is a link that leads out of the folder, or nowhere",
                                "Index its target by name if it is meant")  # fmt: skip
        elif not _is_unicode(entry.name):
            shown = os.fsencode(entry.path).decode("utf-8", "replace")
            yield LoadError(shown, "has a name that is not UTF-8", "Rename it")
        elif is_folder:
            yield from self.below(path, ignored, depth + 1)
        elif entry.is_file(follow_symlinks=False):
            yield _within_limits(path, self._limits)

    def _is_inside(self, path: Path) -> bool:
        try:
            return path.resolve(strict=True).is_relative_to(self._root)
        except (OSError, RuntimeError):  # it leads nowhere, or to itself
            return False


def _rules(file: Path) -> _Ignored | LoadError | None:
    """Those of an ignore file; None where there is none."""
    from pathspec import GitIgnoreSpec

    if not file.is_file():
        return None
    try:
        lines = file.read_text("utf-8", "replace").splitlines()
    except OSError as error:
        why = f"cannot be read, so that it ignores nothing: {error.strerror}"
        return LoadError(str(file), why, "Check its permissions")
    patterns = [line for line in lines if _is_pattern(line)]  # git passes over what is none
    return _Ignored(file.parent, GitIgnoreSpec.from_lines(patterns))


def _is_pattern(line: str) -> bool:
    from pathspec import GitIgnoreSpec

    try:
        GitIgnoreSpec.from_lines([line])
    except ValueError:
        return False
    return True


def _is_ignored(path: Path, ignored: tuple[_Ignored, ...], *, is_folder: bool) -> bool:
    """The innermost file that names the path decides, as git has it."""
    for rules in reversed(ignored):
        verdict = rules.matches(path, is_folder=is_folder)
        if verdict is not None:
            return verdict
    return False


def _is_unicode(name: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _within_limits(path: Path, limits: LoadingSettings) -> Path | LoadError:
    try:
        size = path.stat().st_size
    except OSError as error:  # gone since the folder was read
        return LoadError(str(path), f"cannot be read: {error.strerror}", "Try again")
    if size <= limits.max_file_bytes:
        return path
    return LoadError(
        str(path),
        f"has {size:,} bytes, more than loading.max_file_bytes ({limits.max_file_bytes:,})",
        "Raise that setting or split the file",
    )
