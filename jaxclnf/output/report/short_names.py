"""Short names of files for the page, which shows their full paths on demand."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile
from pathlib import PurePath


def short_names(paths: Iterable[str]) -> dict[str, str]:
    """Shorten each path to what follows the folder that all of them lie in."""
    parts = {path: PurePath(path).parts or (path,) for path in paths}
    folders = [own[:-1] for own in parts.values()]
    n_common = sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, zip(*folders, strict=False)))
    return {path: str(PurePath(*own[n_common:])) if own[-1] else path for path, own in parts.items()}
