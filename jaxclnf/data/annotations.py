"""Reading the annotations of a dataset, which are not yet checked.

A dataset is a folder that holds photos and either ``points.npz`` (``names`` of the photos, ``points``
(n, n_points, 2), optionally ``boxes`` (n, 4) as x, y, w, h) or a ``.pts`` file beside each photo.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jaxclnf.data.pts_files import read_pts
from jaxclnf.media.images import SUFFIXES
from jaxclnf.media.waste import is_waste
from jaxclnf.models.memory_budget import Budget
from jaxclnf.models.npz import read_arrays


@dataclass(frozen=True)
class Annotation:
    """One face's annotation as read, not yet checked."""

    photo: Path
    points: np.ndarray | None  # None: the annotation could not be read
    box: np.ndarray | None
    problem: str = ""


def read_annotations(source: Path) -> list[Annotation]:
    """Read annotated faces: points.npz, a folder with it, or a folder of photos with .pts files beside them.

    A face whose .pts file cannot be read, or that has no photo, is returned with its problem. Raises
    ValueError if there is no face to read, or the table is not one of faces.
    """
    table = source / "points.npz" if source.is_dir() else source
    if table.is_file() and table.suffix == ".npz":
        return _read_table(table)
    if not source.is_dir():
        raise ValueError(f"{source} is not a folder with photos and points.npz or .pts files")
    faces = _read_pts_faces(source)
    if not faces:
        raise ValueError(f"{source} holds neither points.npz nor .pts files; one of them is needed")
    return faces


def _read_table(path: Path) -> list[Annotation]:
    try:
        table = read_arrays(path, Budget())
    except (ValueError, OSError) as error:
        raise ValueError(
            f"{path} is not a readable .npz table: {error}; write it by numpy.savez, names of type str"
        ) from None
    if missing := {"names", "points"} - table.keys():
        raise ValueError(f"{path} lacks an array: {', '.join(sorted(missing))}")
    names, points, boxes = table["names"], table["points"], table.get("boxes")
    numeric = points.dtype.kind in "fiu" and (boxes is None or boxes.dtype.kind in "fiu")
    if not numeric or points.ndim != 3 or points.shape[2] != 2 or names.shape != points.shape[:1]:
        raise ValueError(
            f"{path} must hold names (n,) and numbers points (n, n_points, 2); "
            f"got names {names.shape} and points {points.shape} of {points.dtype}"
        )
    if boxes is not None and boxes.shape != (len(points), 4):
        raise ValueError(f"{path} must hold boxes ({len(points)}, 4) as x, y, w, h; got {boxes.shape}")
    rows = points.astype(np.float32)
    return [
        Annotation(path.parent / str(name), rows[i], None if boxes is None else boxes[i])
        for i, name in enumerate(names)
    ]


def _read_pts_faces(folder: Path) -> list[Annotation]:
    """Read the faces of a folder's ``.pts`` files, each with the photo of its name; suffixes in any case.

    Of photos of one name that of the first of `SUFFIXES` counts.
    """
    files = sorted(path for path in folder.iterdir() if not is_waste(path.name))
    ranks = {suffix: rank for rank, suffix in enumerate(SUFFIXES)}
    photos = [path for path in files if path.suffix.lower() in ranks and path.is_file()]
    photos.sort(key=lambda path: ranks[path.suffix.lower()], reverse=True)
    by_stem = {_composed(path): path for path in photos} | {path.stem: path for path in photos}
    return [
        _read_pts_face(path, by_stem.get(path.stem) or by_stem.get(_composed(path)))
        for path in files
        if path.suffix.lower() == ".pts"
    ]


def _composed(path: Path) -> str:
    """Give a file's name without ending, its accents as Windows writes them, whatever macOS made of them."""
    return unicodedata.normalize("NFC", path.stem)


def _read_pts_face(path: Path, photo: Path | None) -> Annotation:
    if photo is None:
        return Annotation(path, None, None, "no photo beside the .pts file")
    try:
        return Annotation(photo, read_pts(path), None)
    except ValueError as error:
        return Annotation(path, None, None, f"the .pts file {error}")
