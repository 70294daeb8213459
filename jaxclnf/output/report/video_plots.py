"""Plots of a video's course: confidence, rotation, distance and gaze of each face over time."""

from __future__ import annotations

import io
from collections import defaultdict
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jaxclnf.output.draw import colour_of
from jaxclnf.output.report.long_lines import DrawnLine, drawn_line
from jaxclnf.output.report.page import Face
from jaxclnf.output.report.rows import LOOKS, ROTATIONS, Row
from jaxclnf.output.tables import NO_FACE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SPAN = (0.07, 0.99)
"""Of the drawing's width, where its times begin and end."""

_HEIGHT = 1.7  # inches of a panel
_PANELS = "confidence", "rotation, degrees", "distance, mm", "gaze, degrees"


class _Curve(NamedTuple):
    """A column of the table in a panel, each face's numbers times ``unit``."""

    panel: int
    column: str
    style: str = "-"
    unit: float = 1.0


_CURVES = (
    _Curve(0, "confidence"),
    _Curve(2, "pose_Tz"),
    *(_Curve(1, name, style, 180 / np.pi) for name, style in zip(ROTATIONS, ("-", "--", ":"), strict=True)),
    *(_Curve(3, name, style, 180 / np.pi) for name, style in zip(LOOKS, ("-", "--"), strict=True)),
)


def faces_in(rows: list[Row]) -> list[Face]:
    """List the faces in a video's rows, with their colours."""
    numbers = sorted({row["face_id"] for row in rows if row["status"] != NO_FACE})
    return [Face(number, "#{:02x}{:02x}{:02x}".format(*_shade(number))) for number in numbers]


def course(rows: list[Row], start: float, end: float) -> str:
    """Draw the times from ``start`` to ``end`` (seconds) as SVG."""
    looks = bool(rows) and LOOKS[0] in rows[0]
    figure, panels = _panels(start, end, looks)
    seen = _seen(rows)
    for face, curve in product(faces_in(rows), _CURVES[: None if looks else -len(LOOKS)]):
        points = _line(seen.get(face.number, []), curve, end - start)
        (line,) = panels[curve.panel].plot(
            points.times,
            points.values,
            curve.style,
            color=face.colour,
            linewidth=1.2,
            marker=".",
            markersize=3,
            markevery=points.marked,
        )
        line.set_gid(f"line-{face.number}-{curve.column}")
    figure.align_ylabels(panels)
    text = io.StringIO()
    figure.savefig(text, format="svg")
    return text.getvalue()[text.getvalue().index("<svg") :]


def _panels(start: float, end: float, looks: bool) -> tuple[Figure, list[Axes]]:
    """Lay out the panels, one below the other; that of gaze only if there is any."""
    from matplotlib.figure import Figure

    titles = _PANELS if looks else _PANELS[:-1]
    figure = Figure(figsize=(10, _HEIGHT * len(titles) + 0.4))
    figure.subplots_adjust(
        left=SPAN[0], right=SPAN[1], top=0.985, bottom=0.5 / (_HEIGHT * len(titles)), hspace=0.12
    )
    panels = list(figure.subplots(len(titles), 1, sharex=True))
    for panel, title in zip(panels, titles, strict=True):
        panel.set(ylabel=title)
        panel.grid(alpha=0.3)
    panels[0].set(ylim=(-0.02, 1.02), xlim=(start, end if end > start else start + 1))
    panels[-1].set(xlabel="seconds")
    return figure, panels


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


def _line(seen: list[Row], curve: _Curve, span: float) -> DrawnLine:
    """Choose the points that are drawn of a face's curve, which breaks where the face was gone."""
    times, values = (np.array([row[key] for row in seen], float) for key in ("timestamp", curve.column))
    frames = np.array([row["frame"] for row in seen], int)
    return drawn_line(times, curve.unit * values, np.diff(frames, prepend=frames[:1]) > 1, span)
