"""Short names of files for the page, which shows their full paths on demand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import PurePath


def short_names(paths: Iterable[str]) -> dict[str, str]:
    """Shorten each path to the file's name and the folders needed to tell it from the others."""
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
