"""Results of earlier runs, which the list ``jaxclnf.json`` in each output folder tells from inputs."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from jaxclnf.media.text_files import read_json

LIST = "jaxclnf.json"


def read_list(folder: Path) -> dict[str, Any]:
    """Read the list of an output folder: ``files`` by name (folders end in ``/``), ``done`` by source.

    It is empty if there is no list. Raises ValueError if the file of that name is not such a list.
    """
    path = folder / LIST
    if not os.path.lexists(path):
        return {"files": {}, "done": {}}
    with suppress(ValueError):
        said = read_json(path)
        if isinstance(said, dict) and _has(said, "files", str) and _has(said, "done", dict):
            return said
    raise ValueError(f"{path} is not a list of a run's files; remove it, or choose another folder")


def _has(said: dict[str, Any], name: str, kind: type) -> bool:
    """Tell whether a table of values of one kind stands under a name."""
    table = said.get(name)
    return isinstance(table, dict) and all(isinstance(value, kind) for value in table.values())


def is_result(path: Path) -> bool:
    """Tell whether a run wrote this file: a picture with landmarks, a crop, an annotated video."""
    folder, below = path.parent, path.name
    for _ in range(2):  # crops are one folder deeper
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
