"""What a run works on: photos named one by one, by folders, patterns and lists; boxes from a table."""

from __future__ import annotations

import glob
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxclnf.media.images import SUFFIXES


class Failure(NamedTuple):
    """Something a run could not use, and why, in one sentence."""

    source: str
    reason: str


def find_photos(arguments: Sequence[str], leave_out: Path | None = None) -> tuple[list[Path], list[Failure]]:
    """The photos that arguments stand for, each once and in order, and the arguments that stand for none.

    An argument is a photo, a folder (searched with its sub-folders for the usual suffixes), a pattern
    (``*.jpg``, ``**`` for folders at any depth) or a ``.txt`` file with a path a line. Nothing below the
    folder ``leave_out`` (a run's own pictures) is taken from folders and patterns.
    """
    photos: dict[Path, None] = {}
    failures = []
    for argument in arguments:
        try:
            photos.update(dict.fromkeys(_expand(argument, leave_out)))
        except ValueError as error:
            failures.append(Failure(argument, str(error)))
    return list(photos), failures


def _expand(argument: str, leave_out: Path | None) -> list[Path]:
    path = Path(argument)
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
        return _some(found, leave_out, f"{argument} holds no photos ({', '.join(SUFFIXES)})")
    if path.suffix.lower() == ".txt" and path.is_file():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            raise ValueError(f"{argument} is not a list of photos: it is no UTF-8 text") from None
        if not any(line.strip() for line in lines):
            raise ValueError(f"{argument} is an empty list; write the path of a photo on each line")
        return [Path(line) for line in lines if line.strip()]
    if not path.exists() and glob.has_magic(argument):
        found = sorted(map(Path, glob.glob(argument, recursive=True)))
        return _some(found, leave_out, f"{argument} matches no file")
    return [path]  # where it does not exist, reading it says so


def _some(paths: Iterable[Path], leave_out: Path | None, otherwise: str) -> list[Path]:
    own = leave_out.resolve() if leave_out else None
    found = [p for p in paths if p.is_file() and not (own and p.resolve().is_relative_to(own))]
    if not found:
        raise ValueError(otherwise)
    return found


def read_boxes(path: Path) -> dict[str, np.ndarray]:
    """Boxes (k, 4) of files: x, y, w, h in pixels.

    A CSV has the columns file, x, y, w, h and a row a box; a JSON object maps each file to its box or its
    list of boxes. Raises ValueError when the table is missing or of another shape.
    """
    if not path.is_file():
        raise ValueError(f"{path} does not exist; give a CSV (file,x,y,w,h) or JSON file of boxes")
    try:
        boxes = _boxes_from_json(path) if path.suffix.lower() == ".json" else _boxes_from_csv(path)
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"{path} is no table of boxes (file,x,y,w,h): {error}") from None
    wrong = next((name for name, rows in boxes.items() if rows.ndim != 2 or rows.shape[1] != 4), None)
    if wrong is not None:
        raise ValueError(f"{path}: the boxes of {wrong} have shape {boxes[wrong].shape}, expected (k, 4)")
    return boxes


def _boxes_from_json(path: Path) -> dict[str, np.ndarray]:
    table = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(table, dict):
        raise ValueError("expected an object that maps files to boxes")
    return {name: np.atleast_2d(np.array(rows, np.float32)) for name, rows in table.items()}


def _boxes_from_csv(path: Path) -> dict[str, np.ndarray]:
    import polars as pl

    try:
        table = pl.read_csv(path, schema_overrides={"file": pl.String})
        table = table.select("file", pl.col("x", "y", "w", "h").cast(pl.Float32))
    except pl.exceptions.PolarsError as error:
        raise ValueError(str(error).splitlines()[0]) from None
    return {
        str(name[0]): rows.drop("file").to_numpy()
        for name, rows in table.group_by("file", maintain_order=True)
    }


def boxes_of(path: Path, rgb: np.ndarray, boxes: Mapping[str, np.ndarray], table: Path) -> np.ndarray:
    """The boxes that a table has of a photo.

    They are looked up by the photo's path as given, its path from the table's folder, and its bare name.
    """
    for name in (str(path), _relative(path, table.parent), path.name):
        if name in boxes:
            return boxes[name]
    raise ValueError(f"{path} has no box in {table}")


def boxes_without_photo(boxes: Mapping[str, np.ndarray], table: Path) -> list[Failure]:
    """The files a table of boxes names that do not exist, seen from here or from the table's folder.

    Bare names may stand for photos anywhere and are not judged.
    """
    return [
        Failure(name, f"{name} has a box in {table} but does not exist")
        for name in boxes
        if len(Path(name).parts) > 1 and not Path(name).exists() and not (table.parent / name).exists()
    ]


def _relative(path: Path, folder: Path) -> str:
    path, folder = path.resolve(), folder.resolve()
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)
