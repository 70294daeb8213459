"""Tables of the errors of runs on annotated faces: summaries to print, and a file with a row a face."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxclnf.data.datasets import Faces
from jaxclnf.data.evaluate import Figures, by_group, by_yaw, errors_without_offset, figures
from jaxclnf.data.markup import MARKUPS
from jaxclnf.output.csv_cells import csv_text, number_cell, path_cell
from jaxclnf.types import STATUS_WORDS, FitResult, Status
from jaxclnf.whole_files import write_whole


class ErrorRow(NamedTuple):
    """A run's errors on a part of the faces or landmarks; the part is empty for all of them."""

    run: str
    part: str
    figures: Figures


def error_tables(
    errors: Mapping[str, Float[np.ndarray, "n n_points"]], yaws: Float[np.ndarray, " n"], n_points: int
) -> dict[str, list[ErrorRow]]:
    """Make tables by their titles: of all faces, by landmark group, by yaw."""
    groups = _groups(n_points)
    tables = {
        "All faces": [ErrorRow(run, "", figures(e.mean(axis=1))) for run, e in errors.items()],
        "By landmark group": [
            ErrorRow(run, part, f) for run, e in errors.items() for part, f in by_group(e, groups).items()
        ],
        "By yaw": [
            ErrorRow(run, part, f)
            for run, e in errors.items()
            for part, f in by_yaw(e.mean(axis=1), yaws).items()
            if f.faces
        ],
    }
    return {title: rows for title, rows in tables.items() if rows}


def rows_without_offsets(fits: Mapping[str, Sequence[FitResult]], faces: Faces) -> list[ErrorRow]:
    """Make rows of the errors that remain without the mean offset between landmarks and annotations."""
    rows = []
    for run, results in fits.items():
        errors, (right, down) = errors_without_offset(results, faces)
        rows.append(ErrorRow(f"{run} ({right:+.2f}, {down:+.2f})", "", figures(errors.mean(axis=1))))
    return rows


def write_errors(
    path: Path,
    faces: Faces,
    yaws: Float[np.ndarray, " n"],
    fits: Mapping[str, Sequence[FitResult]],
    errors: Mapping[str, Float[np.ndarray, "n n_points"]],
) -> None:
    """Write a row for every face under every model and setting."""
    groups = _groups(faces.n_points)
    rows = [["run", "photo", "true_yaw", "error", *groups, "log_likelihood", "status"]]
    for run, results in fits.items():
        for photo, yaw, result, error in zip(faces.photos, yaws, results, errors[run], strict=True):
            means = [error.mean(), *(error[list(g)].mean() for g in groups.values())]
            numbers = [number_cell(float(v), 4) for v in (yaw, *means, result.log_likelihood)]
            status = STATUS_WORDS[Status(int(result.status))]
            rows.append([path_cell(run), path_cell(str(photo)), *numbers, status])
    write_whole(path, csv_text(rows).encode())


def _groups(n_points: int) -> Mapping[str, Sequence[int]]:
    return MARKUPS[n_points].groups if n_points in MARKUPS else {}
