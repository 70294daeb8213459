"""The rows of a run's table, in any of its formats, as the page needs them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxclnf.output.formats import COUNTS, FORMATS, TEXTS

Row = dict[str, Any]

ROTATIONS = ("pose_Rx", "pose_Ry", "pose_Rz")
LOOKS = ("gaze_angle_x", "gaze_angle_y")
PHOTO = ("confidence", "status", "source", "face", "pose_Tz", *ROTATIONS)
VIDEO = ("confidence", "status", "source", "frame", "face_id", "timestamp", "success", "pose_Tz", *ROTATIONS)

DOUBTFUL = 0.5
"""Confidence below which a face is marked."""

_KINDS = dict.fromkeys(TEXTS, str) | dict.fromkeys(COUNTS, int)
_SMALL = 2**22  # bytes of a table that is read before polars is imported


def read_rows(table: Path, names: Sequence[str], also: Sequence[str] = ()) -> list[Row]:
    """Read the named columns, and those of ``also`` that exist; empty cells become NaN."""
    if table.suffix == ".csv" and table.stat().st_size < _SMALL:
        return _read_small(table, names, also)
    if not table.stat().st_size:  # JSON lines without a row, since no photo could be read
        return []
    import polars as pl

    rows = FORMATS[table.suffix].read(table)
    rows = rows.select(_shown(rows.collect_schema().names(), names, also)).collect()
    floats = pl.exclude(*_KINDS)
    return rows.with_columns(floats.cast(pl.Float64).fill_null(np.nan)).to_dicts()


def _read_small(table: Path, names: Sequence[str], also: Sequence[str]) -> list[Row]:
    with table.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        shown = _shown(rows.fieldnames or (), names, also)
        return [{name: _KINDS.get(name, float)(row[name]) for name in shown} for row in rows]


def _shown(there: Sequence[str], names: Sequence[str], also: Sequence[str]) -> list[str]:
    return [*names, *(name for name in also if name in there)]


def shown_numbers(row: Row) -> dict[str, str]:
    """Select the numbers that the page shows of a face: those that are known, by name."""
    said = {"status": row["status"], "confidence": _number(row["confidence"], 100, " %")}
    for axis, name in zip(("pitch", "yaw", "roll"), ROTATIONS, strict=True):
        said[axis] = _number(row[name], 180 / np.pi, "°")
    said["distance"] = _number(row["pose_Tz"], 1, " mm")
    for axis, name in zip(("gaze right", "gaze down"), LOOKS, strict=True):
        said[axis] = _number(row.get(name, np.nan), 180 / np.pi, "°")
    return {name: value for name, value in said.items() if value}


def _number(value: float, unit: float, sign: str) -> str:
    return f"{unit * value:.0f}{sign}" if np.isfinite(value) else ""


def is_bad(confidence: float) -> bool:
    """Tell whether a face is marked as doubtful; one of unknown confidence is not."""
    return confidence < DOUBTFUL


def worth(confidence: float) -> float:
    """Give the confidence to sort by; an unknown one comes after the doubtful."""
    return confidence if np.isfinite(confidence) else DOUBTFUL
