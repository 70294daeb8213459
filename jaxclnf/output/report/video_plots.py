"""Plots of a video's course: confidence, rotation, distance and gaze of each face over time."""

from __future__ import annotations

import io
from collections import defaultdict

import numpy as np

from jaxclnf.output.draw import colour_of
from jaxclnf.output.report.long_lines import DrawnLine, drawn_line
from jaxclnf.output.report.page import Face
from jaxclnf.output.report.rows import LOOKS, ROTATIONS, Row
from jaxclnf.output.tables import NO_FACE

SPAN = (0.07, 0.99)
"""Of the drawing's width, where its times begin and end."""

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
    lines = [(0, "confidence", 1.0, "-"), (2, "pose_Tz", 1.0, "-")]
    lines += [(1, name, 180 / np.pi, style) for name, style in zip(ROTATIONS, _STYLES, strict=True)]
    lines += [(3, name, 180 / np.pi, style) for name, style in zip(LOOKS, _STYLES, strict=False) if looks]
    seen = _seen(rows)
    for face in faces_in(rows):
        for panel, name, unit, style in lines:
            points = _line(seen.get(face.number, []), name, unit, end - start)
            (line,) = panels[panel].plot(
                points.times,
                points.values,
                style,
                color=face.colour,
                linewidth=1.2,
                marker=".",
                markersize=3,
                markevery=points.marked,
            )
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


def _seen(rows: list[Row]) -> dict[int, list[Row]]:
    """Select the rows in which each face was seen."""
    seen: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        if row["success"]:
            seen[row["face_id"]].append(row)
    return seen


def _line(seen: list[Row], name: str, unit: float, span: float) -> DrawnLine:
    """Choose the points that are drawn of a number of a face; its line breaks where the face was gone."""
    times, values = (np.array([row[key] for row in seen], float) for key in ("timestamp", name))
    frames = np.array([row["frame"] for row in seen], int)
    return drawn_line(times, unit * values, np.diff(frames, prepend=frames[:1]) > 1, span)
