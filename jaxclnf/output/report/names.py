"""Short names of files, which their full ones stand behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import PurePath


def short_names(paths: Iterable[str]) -> dict[str, str]:
    """For each path its end: the file's name, with as many folders as tell it from the others."""
    parts = {path: PurePath(path).parts or (path,) for path in paths}
    names, length = {}, 1
    while left := [path for path in parts if path not in names]:
        ends = {path: "/".join(parts[path][-length:]) for path in left}
        shared = Counter(ends.values())
        for path, end in ends.items():
            if shared[end] == 1 or length >= len(parts[path]):
                names[path] = end
        length += 1
    return names
