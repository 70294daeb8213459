"""Folders and patterns searched for files, in the order of their names; results of runs are left out."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from jaxclnf.media.earlier_results import LIST, is_result
from jaxclnf.media.patterns import expanded, identity
from jaxclnf.media.waste import is_waste

Unreadable = Callable[[OSError], object]
"""What is called with the error of each folder that cannot be searched."""


class Matches(NamedTuple):
    """What a pattern matches: files, and the files below each folder that are not among those before."""

    files: list[Path]
    in_folders: list[list[Path]]


def matches(pattern: str, unreadable: Unreadable) -> Matches:
    """List what a pattern matches; a folder stands for the files in it and in its sub-folders."""
    paths = in_order(expanded(pattern, unreadable))
    folders = [path for path in paths if os.path.isdir(path)]
    files = [path for path in paths if path not in set(folders) and _is_input(path)]
    places: dict[Path, str] = {}

    def place(path: Path) -> tuple[str, str]:  # the same for a file that is found through a linked folder
        if path.parent not in places:
            places[path.parent] = os.path.realpath(path.parent)
        return places[path.parent], path.name

    seen = {place(path) for path in files}
    in_folders = []
    for folder in folders:
        below = [path for path in files_below(folder, unreadable) if place(path) not in seen]
        seen.update(map(place, below))
        in_folders.append(below)
    return Matches(files, in_folders)


def files_below(folder: Path, unreadable: Unreadable) -> list[Path]:
    """List the files in a folder and its sub-folders; links are followed once."""
    return in_order(path for path in _below(folder, unreadable) if _is_input(path))


def files_in(folder: Path, unreadable: Unreadable) -> list[Path]:
    """List the files in a folder itself."""
    names = next(os.walk(folder, onerror=unreadable), ("", [], []))[2]
    return in_order(path for name in names if _is_input(path := folder / name))


def _below(folder: Path, unreadable: Unreadable) -> Iterator[Path]:
    seen: set[tuple[int, int]] = set()
    for place, folders, names in os.walk(folder, onerror=unreadable, followlinks=True):
        known = identity(place, unreadable)
        if known is None or known in seen:
            folders.clear()
            continue
        seen.add(known)
        folders[:] = [name for name in folders if not is_waste(name)]
        yield from (Path(place, name) for name in names)


def _is_input(path: Path) -> bool:
    return path.name != LIST and not is_waste(path.name) and not is_result(path)


def in_order(paths: Iterable[Path]) -> list[Path]:
    """Sort paths by name, with numbers by value: frame2 before frame10."""
    return sorted(paths, key=lambda path: [_by_number(part) for part in path.parts])


def _by_number(name: str) -> list[tuple[int, int, str]]:
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return [(0, int(p), p) if p[0] in "0123456789" and len(p) < 1000 else (1, 0, p) for p in parts]
