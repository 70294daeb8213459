"""Boxes of faces from a table that comes with the photos."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxclnf.batch.box_rows import by_size
from jaxclnf.media.addresses import as_written
from jaxclnf.media.failures import Failure
from jaxclnf.media.input_tables import file_rows
from jaxclnf.media.text_files import read_json
from jaxclnf.regular_files import no_file

Boxes = Mapping[str, np.ndarray | Failure]
"""Boxes of files by their names, or why those of a file cannot be used."""


def read_boxes(path: Path, only_largest: bool = False) -> dict[str, np.ndarray | Failure]:
    r"""Boxes of files, in pixels: all of a file's, or only its largest.

    They are x, y, w, h (k, 4) or, where one is tilted, with their rolls (k, 5), as `fit_faces` takes them. A
    CSV or Parquet file has the columns file, x, y, w, h, perhaps roll, and a row a box; between the cells of
    a CSV are commas, tabs or semicolons (then numbers may have decimal commas). A JSON object maps each file
    to its box of four or five numbers, or to its list of boxes. Byte-order marks, Windows's line ends and
    ``\`` in paths do no harm.

    A row of empty cells, or an empty list, is of a file without faces. A file with a row of other things than
    numbers, or of more cells than the header has, has a `Failure`. Raises ValueError when the table is
    missing or of another shape.
    """
    if problem := no_file(path):
        raise ValueError(f"{path} {problem}; give a CSV (file,x,y,w,h), Parquet or JSON file of boxes")
    read = _from_json if path.suffix.lower() == ".json" else _from_table
    try:
        boxes = read(path)
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"{path} is not a table of boxes (file,x,y,w,h): {error}") from None
    known: dict[str, list[np.ndarray | Failure]] = defaultdict(list)
    for name, each in boxes.items():
        known[_known_as(name, path.parent)] += each
    return {name: _together(each, only_largest) for name, each in known.items()}


def _from_json(path: Path) -> dict[str, list[np.ndarray | Failure]]:
    table = read_json(path)
    if not isinstance(table, dict):
        raise ValueError("expected an object that maps files to boxes")
    return {name: [_box(name, box, _json_number) for box in _listed(boxes)] for name, boxes in table.items()}


def _listed(boxes: Any) -> list[Any]:
    """List what JSON says of a file: boxes, or one box that stands alone."""
    is_list = isinstance(boxes, list) and any(isinstance(box, list) for box in boxes)
    return boxes if is_list else [boxes]


def _json_number(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError("true and false are no numbers")
    return float(value)


def _from_table(path: Path) -> dict[str, list[np.ndarray | Failure]]:
    rows, number = file_rows(path, ("x", "y", "w", "h"), optional=["roll"])
    boxes = defaultdict(list)
    for row in rows:
        box = _box(row.file, list(row.cells), number, f" in {row.place}")
        problem = Failure(row.file, f"the box of {row.file}: {row.problem}")
        boxes[row.file].append(problem if row.problem else box)
    return boxes


def _box(
    name: str, cells: Any, number: Callable[[Any], float], place: str = ""
) -> Float[np.ndarray, "n_boxes 5"] | Failure:
    """Make a row x, y, w, h, roll of a box's cells, or none if they are empty."""
    try:
        with np.errstate(over="ignore"):  # infinity is no box either, which its status says
            box = np.reshape(np.array(_numbers(cells, number), np.float32), (-1, 5))
        if np.isnan(box).any() or np.isinf(box[:, 4]).any():
            raise ValueError
    except (ValueError, TypeError, OverflowError):
        came = [cell for cell in cells if cell is not None] if isinstance(cells, list) else cells
        wanted = "expected numbers x, y, w, h (and roll, if it is tilted), or none of them"
        return Failure(name, f"the box of {name}{place} is {came!r:.80}, {wanted}")
    return box


def _numbers(cells: Any, number: Callable[[Any], float]) -> list[float]:
    """Read the five numbers of a box, which is level if it has no roll; none where no cell is filled."""
    if cells is None or cells == []:
        return []
    if not isinstance(cells, list) or len(cells) not in (4, 5):
        raise ValueError
    *box, roll = cells if len(cells) == 5 else [*cells, None]
    if all(map(_is_empty, box)):
        return []
    return [*map(number, box), 0.0 if _is_empty(roll) else number(roll)]


def _is_empty(cell: Any) -> bool:
    """Tell whether a cell says that there is nothing, as tables of pandas, NumPy and polars write it."""
    return cell is None or str(cell).strip().lower() in ("", "nan")


def _together(boxes: list[np.ndarray | Failure], only_largest: bool) -> np.ndarray | Failure:
    """Put the boxes of a file together, without their rolls if all are level; one that failed fails all."""
    if failure := next((box for box in boxes if isinstance(box, Failure)), None):
        return failure
    rows = np.concatenate([box for box in boxes if not isinstance(box, Failure)])
    rows = rows[by_size(rows)[:1]] if only_largest else rows
    return rows if rows[:, 4].any() else rows[:, :4]


def _known_as(name: str, folder: Path) -> str:
    r"""A file's name as photos have it: without ``./`` and ``a/..``, with ``/`` where Windows wrote ``\``."""
    if "\\" in name and not (os.path.exists(name) or os.path.exists(folder / name)):
        name = name.replace("\\", "/")
    return os.path.normpath(name)


def boxes_of(
    path: Path,
    rgb: np.ndarray,
    boxes: Boxes,
    table: Path,
    unclear: Mapping[Path, str] = MappingProxyType({}),
) -> np.ndarray:
    """Look up the boxes that a table has of a photo.

    They are looked up by the photo's path as given, its path from the table's folder, its whole path, and its
    bare name.
    Raises ValueError if there are none, or no numbers, and for the photos that `unclear_photos` names.
    """
    photo, there = as_written(str(path)), as_written(str(table))
    if path in unclear:
        name = unclear[path]
        raise ValueError(f"{photo}: {name} in {there} may be another photo of the run; name its folder there")
    name = _name_in(boxes, path, table)
    if name is None:
        raise ValueError(f"{photo} has no box in {there}")
    found = boxes[name]
    if isinstance(found, Failure):
        raise ValueError(f"{there}: {found.reason}")
    return found


def _name_in(boxes: Boxes, path: Path, table: Path) -> str | None:
    return next((name for name in _names_of(path, table) if name in boxes), None)


def _names_of(path: Path, table: Path) -> tuple[str, ...]:
    """List the names under which a table may have a photo, the surest first."""
    whole, real = os.path.abspath(path), os.path.realpath(path)  # `Path.resolve` raises for links in a circle
    names = os.path.normpath(path), _relative(real, os.path.realpath(table.parent)), whole, real, path.name
    forms = (unicodedata.normalize(form, n) for n in names if not n.isascii() for form in ("NFC", "NFD"))
    return *names, *forms  # macOS writes accents in another form than other systems


def unclear_photos(boxes: Boxes, photos: Iterable[Path], table: Path) -> dict[Path, str]:
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


def names_of_others(boxes: Boxes, photos: Iterable[Path], table: Path) -> list[str]:
    """List the names in a table of boxes that none of the photos has: of other photos, or mistyped."""
    used = {_name_in(boxes, photo, table) for photo in photos}
    return [name for name in boxes if name not in used]


def boxes_without_photo(boxes: Boxes, table: Path) -> list[Failure]:
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
