"""Patterns of file names, where the shell has not expanded them.

Python's ``glob`` takes letters of existing folders for a pattern, and walks in circles where links lead back.
"""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from jaxclnf.media.waste import is_waste

_ANY_DEPTH = "**"


def is_pattern(argument: str) -> bool:
    """Whether an argument is to be expanded: a name that exists is that file, whatever letters it has."""
    return not os.path.lexists(argument) and glob.has_magic(argument)


def expanded(pattern: str, unreadable: Callable[[OSError], object]) -> Iterator[Path]:
    """The files and folders that a pattern matches, each once.

    Its leading folders are taken as they stand where they exist. Then ``*``, ``?`` and ``[...]`` stand for
    letters of one name, ``**`` for folders at any depth, also linked ones; what begins with a dot has to be
    named so. A pattern that ends in ``/`` matches folders alone. ``unreadable`` is called with the error of
    each folder that cannot be searched.
    """
    parts = Path(pattern).parts
    n_there = 0
    while n_there < len(parts) - 1 and os.path.isdir(Path(*parts[: n_there + 1])):
        n_there += 1
    only_folders = pattern.endswith((os.sep, os.altsep or os.sep))
    search = _Search(unreadable)
    for path in dict.fromkeys(search.below(Path(*parts[:n_there]), parts[n_there:])):
        if not only_folders or os.path.isdir(path):
            yield path


class _Search:
    """The search for what parts of a pattern match."""

    def __init__(self, unreadable: Callable[[OSError], object]) -> None:
        self._unreadable = unreadable

    def below(self, folder: Path, parts: tuple[str, ...]) -> Iterator[Path]:
        """The files and folders in a folder that match."""
        if not parts:
            yield folder
        elif parts[0] == _ANY_DEPTH:
            for each in self._folders(folder):
                yield from self.below(each, parts[1:] or ("*",))
        else:
            for name in self._names(folder, parts[0]):
                if len(parts) == 1 or os.path.isdir(folder / name):
                    yield from self.below(folder / name, parts[1:])

    def _folders(self, folder: Path) -> Iterator[Path]:
        """A folder and those below it, each once."""
        seen, waiting = set(), [folder]
        while waiting:
            each = waiting.pop()
            known = identity(each, self._unreadable)
            if known is not None and known not in seen:
                seen.add(known)
                yield each
                below = [each / name for name in self._names(each, "*")]
                waiting += [path for path in reversed(below) if os.path.isdir(path)]

    def _names(self, folder: Path, pattern: str) -> list[str]:
        """Names in a folder that match; a folder that cannot be looked into has none."""
        try:
            if not glob.has_magic(pattern):
                os.lstat(folder / pattern)
                return [pattern]
            names = sorted(os.listdir(folder))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            self._unreadable(error)
            return []
        if not pattern.startswith("."):
            names = [name for name in names if not name.startswith(".") and not is_waste(name)]
        return fnmatch.filter(names, pattern)


def identity(folder: Path | str, unreadable: Callable[[OSError], object]) -> tuple[int, int] | None:
    """Identify a folder, through whatever links; None if that is impossible."""
    try:
        status = os.stat(folder)
    except OSError as error:
        unreadable(error)
        return None
    return status.st_dev, status.st_ino
