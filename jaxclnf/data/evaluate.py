"""Evaluation of fits on annotated landmarks: errors, summaries by landmark group and yaw, their curve.

The error of a face is the mean distance of its landmarks from the annotated ones, as a percentage of the
distance of the outer eye corners (the field's "inter-ocular" error). A face that could not be fitted
has an infinite error: it counts against every share and area, and is left out of the mean alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from jaxclnf.batch.box_rows import tight_box
from jaxclnf.batch.many_faces import fit_stream
from jaxclnf.config import FitConfig
from jaxclnf.data.datasets import Faces
from jaxclnf.fitting.face_params import params_from_landmarks
from jaxclnf.types import PDM, FitResult, Model

LARGE_ERROR = 10.0  # percent
AREA_LIMIT = 8.0  # percent, the right end of the area under the curve
YAW_BINS = (0, 10, 20, 30, 90)  # degrees


@dataclass(frozen=True)
class Figures:
    """A summary of the errors of faces, in percent of the eye distance."""

    faces: int
    mean: float  # of the faces that were fitted
    median: float
    large: float  # percent of the faces whose error is above 10
    area: float  # under the cumulative error curve up to 8, as a share of its rectangle
    failed: int  # faces that were not fitted


def point_errors(
    landmarks: Float[np.ndarray, "n n_points 2"],
    truth: Float[np.ndarray, "n n_points 2"],
    eye_distances: Float[np.ndarray, " n"],
    fitted: Bool[np.ndarray, " n"] | None = None,
) -> Float[np.ndarray, "n n_points"]:
    """Compute landmarks' distances from the truth, percent of the eye distance; infinite if not fitted."""
    distances = np.linalg.norm(landmarks.astype(np.float64) - truth, axis=-1)
    errors = 100 * distances / eye_distances[:, None]
    bad = ~np.isfinite(errors).all(axis=1)
    errors[bad if fitted is None else bad | ~fitted] = np.inf
    return errors


def figures(errors: Float[np.ndarray, " n"]) -> Figures:
    """Summarise the errors of faces."""
    finite = np.isfinite(errors)
    if not len(errors):
        return Figures(0, np.nan, np.nan, np.nan, np.nan, 0)
    return Figures(
        faces=len(errors),
        mean=float(errors[finite].mean()) if finite.any() else np.inf,
        median=float(np.median(errors)),
        large=100 * float((errors > LARGE_ERROR).mean()),
        area=float((np.maximum(AREA_LIMIT - errors, 0) / AREA_LIMIT).mean()),
        failed=int((~finite).sum()),
    )


def by_group(
    errors: Float[np.ndarray, "n n_points"], groups: Mapping[str, Sequence[int]]
) -> dict[str, Figures]:
    """Summarise the errors over the landmarks of each group alone."""
    return {name: figures(errors[:, list(points)].mean(axis=1)) for name, points in groups.items()}


def by_yaw(errors: Float[np.ndarray, " n"], yaws: Float[np.ndarray, " n"]) -> dict[str, Figures]:
    """Summarise the errors of faces by how far they are turned to either side; ``yaws`` in degrees."""
    bins = zip(YAW_BINS, YAW_BINS[1:], strict=False)
    turned = np.abs(yaws)
    return {f"{low}-{high}°": figures(errors[(turned >= low) & (turned < high)]) for low, high in bins}


def cumulative(errors: Float[np.ndarray, " n"], limits: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """Compute the share of the faces whose error is at most each of ``limits``."""
    return (errors[:, None] <= limits).mean(axis=0)


def true_yaws(pdm: PDM, points: Float[np.ndarray, "n n_points 2"]) -> Float[np.ndarray, " n"]:
    """Compute the yaw in degrees of annotated faces, by fitting the PDM to their landmarks."""
    params = jax.jit(jax.vmap(params_from_landmarks, (None, 0)))(pdm, jnp.asarray(points, pdm.mean.dtype))
    return np.degrees(np.asarray(params.rotation)[:, 1])


def start_boxes(faces: Faces) -> Float[np.ndarray, "n 4"]:
    """Give the boxes of the dataset; if it has none, boxes tight around the true landmarks."""
    return tight_box(faces.points) if faces.boxes is None else faces.boxes


def check_annotated(model: Model, faces: Faces, use: str = "measured") -> None:
    """Raise ValueError if the dataset's landmarks are not the model's; ``use`` says what they are for."""
    n_points = model.pdm.n_points
    if faces.n_points < n_points:
        raise ValueError(
            f"the model has {n_points} landmarks and the faces are annotated with {faces.n_points}: "
            f"a model can be {use} only where each of its landmarks is annotated"
        )
    if faces.n_points > n_points:
        raise ValueError(
            f"the model has {n_points} landmarks and the faces are annotated with {faces.n_points}; "
            f"say by --landmarks which {n_points} of them, or means of several, are the model's"
        )


def check_landmarks(model: Model, faces: Faces) -> None:
    """Raise ValueError if the dataset's landmarks are not the model's, or include no eyes to measure by."""
    check_annotated(model, faces)
    if faces.eye_distances is None:
        raise ValueError(
            f"errors are in units of the eye distance, unknown for a markup of {faces.n_points} landmarks; "
            "evaluate on faces with 68 landmarks or a selection of them"
        )


def not_learned(faces: Faces, model: Model) -> Faces:
    """Select the faces on photos that are not among those that the model was trained on.

    Raises ValueError if there are none.
    """
    kept = faces.take(np.flatnonzero(~faces.learned_by(model)))
    if not len(kept):
        raise ValueError(f"the model learned from all {len(faces)} faces, so that none of them can judge it")
    return kept


def learned_warning(faces: Faces, model: Model, left_out: bool = False) -> str:
    """Warn of faces that a model was trained on; empty if there are none.

    ``left_out`` tells whether they are left out, which a model prevents that does not say which they are.
    """
    if left_out and not model.learned:
        return "the model does not say which photos it learned from, so that no face is left out"
    n = int(faces.learned_by(model).sum())
    if not n:
        return ""
    end = "and they are left out" if left_out else "so that errors on them are smaller than on others"
    return f"the model learned from {n} of these {len(faces)} faces, {end}"


def fit_annotated(
    model: Model,
    faces: Faces,
    config: FitConfig | None = None,
    on_lost: Callable[[int, str], object] | None = None,
) -> Iterator[FitResult]:
    """Fit every annotated face from its box, one result at a time, in order.

    A photo that can no longer be read raises ValueError, or, with ``on_lost``, which is told the face's
    index and the reason, leaves its face unfitted.
    """
    check_landmarks(model, faces)
    boxes = start_boxes(faces)

    def pair(i: int) -> tuple[np.ndarray, np.ndarray]:
        try:
            return faces.image(i), boxes[i]
        except ValueError as error:
            if on_lost is None:
                raise
            on_lost(i, str(error))
            return np.zeros((1, 1), np.uint8), np.full(4, np.nan)

    return fit_stream(model, map(pair, range(len(faces))), config)


def errors_of(results: Sequence[FitResult], faces: Faces) -> Float[np.ndarray, "n n_points"]:
    """Compute the errors of one fit of every face of a dataset with known eye distances."""
    assert faces.eye_distances is not None
    return point_errors(_landmarks(results), faces.points, faces.eye_distances, _fitted(results))


def errors_without_offset(
    results: Sequence[FitResult], faces: Faces
) -> tuple[Float[np.ndarray, "n n_points"], Float[np.ndarray, "2"]]:
    """Compute the errors that remain without the dataset's `mean_offset`, and that offset."""
    assert faces.eye_distances is not None
    landmarks, fitted, unit = _landmarks(results), _fitted(results), faces.eye_distances
    offset = mean_offset(landmarks, faces.points, unit, fitted)
    moved = landmarks - offset / 100 * unit[:, None, None]
    return point_errors(moved, faces.points, unit, fitted), offset


def mean_offset(
    landmarks: Float[np.ndarray, "n n_points 2"],
    truth: Float[np.ndarray, "n n_points 2"],
    eye_distances: Float[np.ndarray, " n"],
    fitted: Bool[np.ndarray, " n"],
) -> Float[np.ndarray, "2"]:
    """Compute landmarks' mean offset from the annotated ones, right and down, percent of the eye distance.

    It is the same for all faces: annotators place landmarks by habits that differ between datasets, and that
    difference is not an error of the fits.
    """
    apart = (landmarks.astype(np.float64) - truth).mean(axis=1) / eye_distances[:, None]
    known = fitted & np.isfinite(apart).all(axis=1)
    return 100 * apart[known].mean(axis=0) if known.any() else np.zeros(2)


def _landmarks(results: Sequence[FitResult]) -> Float[np.ndarray, "n n_points 2"]:
    return np.stack([np.asarray(r.landmarks) for r in results])


def _fitted(results: Sequence[FitResult]) -> Bool[np.ndarray, " n"]:
    return np.array([r.usable for r in results], bool)
