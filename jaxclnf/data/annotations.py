"""Reading the annotations of a dataset, which are not yet checked.

A dataset is a folder that holds photos and either ``points.npz`` (``names`` of the photos, ``points``
(n, n_points, 2), optionally ``boxes`` (n, 4) as x, y, w, h) or a ``.pts`` file beside each photo.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jaxclnf.media.images import SUFFIXES
from jaxclnf.models.memory_budget import Budget
from jaxclnf.models.npz import read_arrays

MAX_PTS_BYTES = 1 << 20


@dataclass(frozen=True)
class Annotation:
    """One face's annotation as read, not yet checked."""

    photo: Path
    points: np.ndarray | None  # None: the annotation could not be read
    box: np.ndarray | None
    problem: str = ""


def read_annotations(source: Path) -> list[Annotation]:
    table = source / "points.npz" if source.is_dir() else source
    if table.is_file() and table.suffix == ".npz":
        return _read_table(table)
    if not source.is_dir():
        raise ValueError(f"{source} is not a folder with photos and points.npz or .pts files.")
    faces = [_read_pts_face(path) for path in sorted(source.glob("*.pts"))]
    if not faces:
        raise ValueError(f"{source} holds neither points.npz nor .pts files; one of them is needed.")
    return faces


def _read_table(path: Path) -> list[Annotation]:
    try:
        table = read_arrays(path, Budget())
    except (ValueError, OSError):
        raise ValueError(f"{path} is not a readable .npz table; write it with numpy.savez.") from None
    if missing := {"names", "points"} - table.keys():
        raise ValueError(f"{path} lacks an array: {', '.join(sorted(missing))}")
    names, points, boxes = table["names"], table["points"], table.get("boxes")
    numeric = points.dtype.kind in "fiu" and (boxes is None or boxes.dtype.kind in "fiu")
    if not numeric or points.ndim != 3 or points.shape[2] != 2 or names.shape != points.shape[:1]:
        raise ValueError(
            f"{path} must hold names (n,) and numbers points (n, n_points, 2); "
            f"got names {names.shape} and points {points.shape} of {points.dtype}."
        )
    if boxes is not None and boxes.shape != (len(points), 4):
        raise ValueError(f"{path} must hold boxes ({len(points)}, 4) as x, y, w, h; got {boxes.shape}.")
    rows = points.astype(np.float32)
    return [
        Annotation(path.parent / str(name), rows[i], None if boxes is None else boxes[i])
        for i, name in enumerate(names)
    ]


def _read_pts_face(path: Path) -> Annotation:
    photos = [path.with_suffix(s) for s in (*SUFFIXES, *map(str.upper, SUFFIXES))]
    photo = next((p for p in photos if p.is_file()), None)
    if photo is None:
        return Annotation(path, None, None, "no photo beside the .pts file")
    try:
        return Annotation(photo, read_pts(path), None)
    except ValueError:
        return Annotation(path, None, None, "unreadable .pts file")


def read_pts(path: Path) -> np.ndarray:
    """Read the landmarks (n_points, 2) float32 of a ``.pts`` file, moved to 0-based pixels.

    Such files (iBUG 300-W) count pixels from 1, as MATLAB does, so 1 is subtracted.
    Raises ValueError if the file is not in that format.
    """
    try:
        if path.stat().st_size > MAX_PTS_BYTES:
            raise ValueError(f"{path} has {path.stat().st_size} bytes; .pts files are small texts.")
        text = path.read_text(encoding="ascii")
        header, _, rest = text.partition("{")
        body, closing, _ = rest.partition("}")
        fields = dict(line.split(":", 1) for line in header.lower().splitlines() if ":" in line)
        rows = [[float(v) for v in line.split()] for line in body.splitlines() if line.strip()]
        declared = int(fields.get("n_points", len(rows)))
    except (OSError, UnicodeDecodeError):
        raise ValueError(f"{path} is not a readable text file.") from None
    if not closing or not rows or declared != len(rows) or any(len(r) != 2 for r in rows):
        raise ValueError(f"{path} must hold n_points: N and N lines 'x y' between braces.")
    return np.array(rows, np.float32) - np.float32(1)
