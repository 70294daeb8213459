"""Patterns of file names, where the shell has not expanded them.

Python's ``glob`` takes letters of existing folders for a pattern, and walks in circles where links lead back.
"""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Iterator
from pathlib import Path

_ANY_DEPTH = "**"


def is_pattern(argument: str) -> bool:
    """Whether an argument is to be expanded: a name that exists is that file, whatever letters it has."""
    return not os.path.lexists(argument) and glob.has_magic(argument)


def expanded(pattern: str) -> Iterator[Path]:
    """The files and folders that a pattern matches, each once.

    Its leading folders are taken as they stand where they exist. Then ``*``, ``?`` and ``[...]`` stand for
    letters of one name, ``**`` for folders at any depth, also linked ones; what begins with a dot has to be
    named so.
    """
    parts = Path(pattern).parts
    n_there = 0
    while n_there < len(parts) - 1 and os.path.isdir(Path(*parts[: n_there + 1])):
        n_there += 1
    yield from dict.fromkeys(_below(Path(*parts[:n_there]), parts[n_there:]))


def _below(folder: Path, parts: tuple[str, ...]) -> Iterator[Path]:
    if not parts:
        yield folder
    elif parts[0] == _ANY_DEPTH:
        for each in _folders(folder):
            yield from _below(each, parts[1:] or ("*",))
    else:
        for name in _names(folder, parts[0]):
            if len(parts) == 1 or (folder / name).is_dir():
                yield from _below(folder / name, parts[1:])


def _folders(folder: Path) -> Iterator[Path]:
    """A folder and those below it, each once."""
    seen, waiting = set(), [folder]
    while waiting:
        each = waiting.pop()
        status = os.stat(each)
        if (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            yield each
            below = [each / name for name in _names(each, "*")]
            waiting += [path for path in reversed(below) if path.is_dir()]


def _names(folder: Path, pattern: str) -> list[str]:
    """Names in a folder that match; a folder that cannot be looked into has none."""
    if not glob.has_magic(pattern):
        return [pattern] if os.path.lexists(folder / pattern) else []
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    shown = names if pattern.startswith(".") else [name for name in names if not name.startswith(".")]
    return fnmatch.filter(shown, pattern)
