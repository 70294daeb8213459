"""Results of earlier runs, told from inputs by the list ``jaxclnf.json`` in each output folder."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

LIST = "jaxclnf.json"


def read_list(folder: Path) -> dict[str, Any]:
    """Read the list of an output folder: ``files`` by name (folders end in ``/``), ``done`` by source.

    Empty where there is none. Raises ValueError for a file of that name which is something else.
    """
    path = folder / LIST
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(said["files"], dict) and isinstance(said["done"], dict):
            return said
    except FileNotFoundError:
        return {"files": {}, "done": {}}
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise ValueError(f"{path} is no list of a run's files; remove it, or choose another folder for results")


def is_result(path: Path) -> bool:
    """Whether a run wrote this file: a picture with landmarks on it, a crop, an annotated video."""
    folder, below = path.parent, path.name
    for _ in range(2):  # crops lie one folder deeper
        if below in _files(folder):
            return True
        folder, below = folder.parent, f"{folder.name}/"
    return False


@lru_cache(maxsize=1024)
def _files_of(folder: Path, _changed: int) -> frozenset[str]:
    try:
        return frozenset(read_list(folder)["files"])
    except ValueError:
        return frozenset()


def _files(folder: Path) -> frozenset[str]:
    try:
        return _files_of(folder, (folder / LIST).stat().st_mtime_ns)
    except OSError:
        return frozenset()
