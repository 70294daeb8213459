"""Boxes of faces from a table that comes with the photos."""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from jaxclnf.batch.box_rows import by_size
from jaxclnf.media.addresses import as_written
from jaxclnf.media.failures import Failure
from jaxclnf.media.input_tables import column_cells
from jaxclnf.media.text_files import read_json
from jaxclnf.regular_files import no_file

_COLUMNS = ("file", "x", "y", "w", "h")


def read_boxes(path: Path, only_largest: bool = False) -> dict[str, np.ndarray]:
    r"""Boxes of files, in pixels: all of a file's, or only its largest.

    They are x, y, w, h (k, 4) or, where one is tilted, with their rolls (k, 5), as `fit_faces` takes them. A
    CSV or Parquet file has the columns file, x, y, w, h, perhaps roll, and a row a box; between the cells of
    a CSV are commas, tabs or semicolons (then numbers may have decimal commas). A JSON object maps each file
    to its box of four or five numbers, or to its list of boxes. Byte-order marks, Windows's line ends and
    ``\`` in paths do no harm. Raises ValueError when the table is missing or of another shape.
    """
    if problem := no_file(path):
        raise ValueError(f"{path} {problem}; give a CSV (file,x,y,w,h), Parquet or JSON file of boxes")
    read = _from_json if path.suffix.lower() == ".json" else _from_table
    try:
        boxes = read(path)
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise ValueError(f"{path} is not a table of boxes (file,x,y,w,h): {error}") from None
    known: dict[str, list[np.ndarray]] = defaultdict(list)
    for name, each in boxes.items():
        known[_known_as(name, path.parent)] += each
    whole = {name: _rows(each) for name, each in known.items()}
    return {name: rows[by_size(rows)[:1]] for name, rows in whole.items()} if only_largest else whole


def _from_json(path: Path) -> dict[str, list[np.ndarray]]:
    table = read_json(path)
    if not isinstance(table, dict):
        raise ValueError("expected an object that maps files to boxes")
    return {name: [_box(name, box, float) for box in _listed(boxes)] for name, boxes in table.items()}


def _listed(boxes: Any) -> list[Any]:
    """List what JSON says of a file: boxes, one box that stands alone, or none."""
    is_list = isinstance(boxes, list) and (not boxes or any(isinstance(box, list) for box in boxes))
    return boxes if is_list else [boxes]


def _from_table(path: Path) -> dict[str, list[np.ndarray]]:
    rows, number = column_cells(path, _COLUMNS, optional=["roll"])
    boxes = defaultdict(list)
    for name, *cells in rows:
        boxes[name].append(_box(name, cells, number))
    return boxes


def _box(name: str, cells: Any, number: Callable[[str], float]) -> np.ndarray:
    """Make the numbers x, y, w, h, roll of a box's cells; raises ValueError, which names the file."""
    try:
        box = [number(cell) for cell in _five(cells)]
        with np.errstate(over="ignore"):  # infinity is no box either, which its status says
            return np.array(box, np.float32)
    except (ValueError, TypeError, OverflowError):
        wanted = "expected numbers x, y, w, h"
        raise ValueError(f"the box of {name} is {cells!r:.80}, {wanted}") from None


def _five(cells: Any) -> list[Any]:
    """Complete the cells of a box by that of its roll: a box without one is level."""
    match cells:
        case [x, y, w, h] | [x, y, w, h, "" | None]:
            return [x, y, w, h, "0"]
        case [_, _, _, _, _]:
            return list(cells)
    raise ValueError


def _rows(boxes: list[np.ndarray]) -> np.ndarray:
    """Lay out the boxes of a file as rows, without their rolls if all are level."""
    rows = np.reshape(boxes, (-1, 5)).astype(np.float32)
    return rows if rows[:, 4].any() else rows[:, :4]


def _known_as(name: str, folder: Path) -> str:
    r"""A file's name as photos have it: without ``./`` and ``a/..``, with ``/`` where Windows wrote ``\``."""
    if "\\" in name and not (os.path.exists(name) or os.path.exists(folder / name)):
        name = name.replace("\\", "/")
    return os.path.normpath(name)


def boxes_of(
    path: Path,
    rgb: np.ndarray,
    boxes: Mapping[str, np.ndarray],
    table: Path,
    unclear: Mapping[Path, str] = MappingProxyType({}),
) -> np.ndarray:
    """Look up the boxes that a table has of a photo.

    They are looked up by the photo's path as given, its path from the table's folder, its whole path, and its
    bare name.
    Raises ValueError if there are none, and for the photos that `unclear_photos` names.
    """
    if path in unclear:
        name = unclear[path]
        raise ValueError(f"{path}: {name} in {table} may be another photo of the run; name its folder there")
    name = _name_in(boxes, path, table)
    if name is None:
        raise ValueError(f"{path} has no box in {table}")
    return boxes[name]


def _name_in(boxes: Mapping[str, np.ndarray], path: Path, table: Path) -> str | None:
    return next((name for name in _names_of(path, table) if name in boxes), None)


def _names_of(path: Path, table: Path) -> tuple[str, ...]:
    """List the names under which a table may have a photo, the surest first."""
    whole, real = (
        os.path.abspath(path),
        os.path.realpath(path),
    )  # `Path.resolve` raises for links that go round
    return os.path.normpath(path), _relative(real, os.path.realpath(table.parent)), whole, real, path.name


def unclear_photos(boxes: Mapping[str, np.ndarray], photos: Iterable[Path], table: Path) -> dict[Path, str]:
    """Find photos whose name in a table may be another photo's, as a bare name's in several folders; with it.

    A name that is the path of one of them is that photo's alone.
    """
    of_name: dict[str, list[Path]] = defaultdict(list)
    for photo in photos:
        if (name := _name_in(boxes, photo, table)) is not None:
            of_name[name].append(photo)
    shared = {name: each for name, each in of_name.items() if len(each) > 1}
    return {
        photo: name for name, each in shared.items() for photo in _without_the_one_meant(name, each, table)
    }


def _without_the_one_meant(name: str, photos: list[Path], table: Path) -> list[Path]:
    """Drop the photo whose path a name is, if there is one, with links to it."""
    surest = min(_names_of(photo, table).index(name) for photo in photos)
    meant = {os.path.realpath(photo) for photo in photos if _names_of(photo, table).index(name) == surest}
    return [photo for photo in photos if len(meant) > 1 or os.path.realpath(photo) not in meant]


def names_of_others(boxes: Mapping[str, np.ndarray], photos: Iterable[Path], table: Path) -> list[str]:
    """List the names in a table of boxes that none of the photos has: of other photos, or mistyped."""
    used = {_name_in(boxes, photo, table) for photo in photos}
    return [name for name in boxes if name not in used]


def boxes_without_photo(boxes: Mapping[str, np.ndarray], table: Path) -> list[Failure]:
    """The files a table of boxes names that do not exist, seen from here or from the table's folder.

    Bare names may stand for photos anywhere and are not judged, nor are addresses.
    """
    return [
        Failure(name, f"{name} has a box in {table} but does not exist")
        for name in boxes
        if len(Path(name).parts) > 1 and "://" not in as_written(name)
        if not os.path.exists(name) and not os.path.exists(table.parent / name)
    ]


def _relative(path: str, folder: str) -> str:
    try:
        return os.path.relpath(path, folder)
    except ValueError:  # on another drive of Windows
        return path
