"""Plots of a video's course: confidence, rotation, distance and gaze of each face over time."""

from __future__ import annotations

import io
from collections import defaultdict
from typing import Any

import numpy as np

from jaxclnf.output.draw import colour_of
from jaxclnf.output.report.page import Face
from jaxclnf.output.report.rows import LOOKS, ROTATIONS, Row
from jaxclnf.output.tables import NO_FACE

SPAN = (0.07, 0.99)
"""Of the drawing's width, where its times begin and end."""

MOST_POINTS = 1500  # of a line
_HEIGHT = 1.7  # inches of a panel
_STYLES = ("-", "--", ":")


def faces_in(rows: list[Row]) -> list[Face]:
    """List the faces in a video's rows, with their colours."""
    numbers = sorted({row["face_id"] for row in rows if row["status"] != NO_FACE})
    return [Face(number, "#{:02x}{:02x}{:02x}".format(*_shade(number))) for number in numbers]


def course(rows: list[Row], start: float, end: float) -> str:
    """Draw the times from ``start`` to ``end`` (seconds) as SVG."""
    from matplotlib.figure import Figure

    looks = bool(rows) and LOOKS[0] in rows[0]
    n_panels = 4 if looks else 3
    figure = Figure(figsize=(10, _HEIGHT * n_panels + 0.4))
    figure.subplots_adjust(
        left=SPAN[0], right=SPAN[1], top=0.985, bottom=0.5 / (_HEIGHT * n_panels), hspace=0.12
    )
    panels = figure.subplots(n_panels, 1, sharex=True)
    panels[0].set(ylabel="confidence", ylim=(-0.02, 1.02), xlim=(start, end if end > start else start + 1))
    panels[1].set(ylabel="rotation, degrees")
    panels[2].set(ylabel="distance, mm")
    panels[-1].set(xlabel="seconds")
    if looks:
        panels[3].set(ylabel="gaze, degrees")
    for face in faces_in(rows):
        seen = _thinned(_seen(rows, face.number))
        time = [row["timestamp"] for row in seen]
        lines = [(0, "confidence", 1.0, "-"), (2, "pose_Tz", 1.0, "-")]
        lines += [(1, name, 180 / np.pi, style) for name, style in zip(ROTATIONS, _STYLES, strict=True)]
        lines += [(3, name, 180 / np.pi, style) for name, style in zip(LOOKS, _STYLES, strict=False) if looks]
        for panel, name, unit, style in lines:
            values = [unit * row[name] for row in seen]
            (line,) = panels[panel].plot(time, values, style, color=face.colour, linewidth=1.2)
            line.set_gid(f"line-{face.number}-{name}")
    for panel in panels:
        panel.grid(alpha=0.3)
    figure.align_ylabels(panels)
    text = io.StringIO()
    figure.savefig(text, format="svg")
    return text.getvalue()[text.getvalue().index("<svg") :]


def _shade(face: int) -> tuple[int, ...]:
    """Darken a face's colour for lines on white."""
    return tuple(round(0.75 * c) for c in colour_of(face))


def _seen(rows: list[Row], face: int) -> list[Row]:
    """Select the rows in which a face was seen; a row of NaNs breaks the line where it was gone."""
    gap: dict[str, Any] = defaultdict(lambda: np.nan)
    seen: list[Row] = []
    for row in rows:
        if row["face_id"] == face and row["success"]:
            if seen and row["frame"] > seen[-1]["frame"] + 1:
                seen.append(gap)
            seen.append(row)
    return seen


def _thinned(seen: list[Row]) -> list[Row]:
    """Thin out the rows of a long course; rows that break its line stay."""
    step = -(-len(seen) // MOST_POINTS)
    return [row for i, row in enumerate(seen) if i % step == 0 or "frame" not in row]
