"""Reading ``.pts`` files: a face's landmarks as text, in the format of iBUG's 300-W."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jaxclnf.media.text_files import read_text

MAX_BYTES = 1 << 20


def read_pts(path: Path) -> np.ndarray:
    """Read the landmarks (n_points, 2) float32 of a ``.pts`` file, moved to 0-based pixels.

    Such files count pixels from 1, as MATLAB does, so 1 is subtracted. Text before and after the braces is a
    comment unless it gives ``n_points``. Raises ValueError that says, after the file's name, what is wrong.
    """
    header, opening, rest = _text(path).partition("{")
    body, closing, _ = rest.partition("}")
    if not (opening and closing):
        raise ValueError("has no lines 'x y' between braces { }")
    rows = [_point(line) for line in body.splitlines() if line.strip()]
    declared = _n_points(header)
    if not rows or declared not in (None, str(len(rows))):
        expected = f", but its n_points is {_shown(declared)}" if declared is not None else ""
        raise ValueError(f"holds {len(rows)} x 'x y' between braces{expected}")
    return np.array(rows, np.float32) - np.float32(1)


def _text(path: Path) -> str:
    try:
        size = path.stat().st_size
        text = read_text(path) if size <= MAX_BYTES else ""
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(str(error).removeprefix("it ")) from None
    if size > MAX_BYTES:
        raise ValueError(f"has {size:,} bytes, more than any list of landmarks")
    return text


def _n_points(header: str) -> str | None:
    """Find the number of points that the lines before the braces declare."""
    fields = [line.partition(":") for line in header.splitlines()]
    return next((value.strip() for name, _, value in fields if name.strip().lower() == "n_points"), None)


def _point(line: str) -> list[float]:
    try:
        x, y = map(float, line.split())
    except ValueError:
        raise ValueError(f"has the line {_shown(line.strip())!r} where 'x y' was expected") from None
    return [x, y]


def _shown(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}..."
