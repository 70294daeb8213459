"""Matching the faces detected in a frame with the faces that are followed."""

from __future__ import annotations

from collections.abc import Container, Sequence

import numpy as np
from jaxtyping import Float

from jaxclnf.batch.box_rows import middle, overlaps

Box = Float[np.ndarray, "4"]
"""x, y, width, height in pixels."""

UNLIKELY = 1.5
"""Largest `distance` of two boxes of one face."""

TAKEN = 0.2
"""Largest `overlap` of the boxes of two faces that are told apart."""


def overlap(a: Box, b: Box) -> float:
    """Divide the area that two boxes share by the area of their union."""
    return float(overlaps(a[None], b[None])[0, 0])


def is_taken(box: Box, faces: Sequence[Box]) -> bool:
    """Tell whether a box is at one of the faces."""
    return any(overlap(box, face) > TAKEN for face in faces)


def free_detections(
    detections: Float[np.ndarray, "n_faces box"], known: Container[int], followed: Sequence[Box]
) -> list[int]:
    """List the detections of nobody known, by their numbers, and at no face that is followed."""
    return [
        j
        for j, detection in enumerate(detections)
        if j not in known and not is_taken(detection[:4], followed)
    ]


def distance(a: Box, b: Box) -> float:
    """Add the distance of two boxes' middles, in widths, and the difference of their sizes, in octaves."""
    size_a, size_b = np.maximum(a[2:], 1e-6), np.maximum(b[2:], 1e-6)
    apart = np.linalg.norm(middle(a) - middle(b)) / np.sqrt(size_a[0] * size_b[0])
    return float(apart + abs(np.log2(size_a.prod() / size_b.prod()) / 2))


def assigned(tracks: Sequence[Sequence[Box]], boxes: Sequence[Box], most: Sequence[float]) -> dict[int, int]:
    """Assign detections to tracks so that the sum of their distances is as small as possible.

    A track may be at several places, the nearest of which counts. No distance is larger than the ``most``
    that a track allows.
    """
    if not tracks or not boxes:
        return {}
    cost = np.array([[min(distance(a, b) for a in places) for b in boxes] for places in tracks])
    impossible = 1e3
    cost = np.where(cost <= np.array(most)[:, None], cost, impossible)
    return {i: j for i, j in _cheapest(cost) if cost[i, j] < impossible}


def _cheapest(cost: Float[np.ndarray, "n m"]) -> list[tuple[int, int]]:
    """Pair rows with columns so that the sum of the costs is as small as possible."""
    if cost.shape[0] > cost.shape[1]:
        return [(i, j) for j, i in _cheapest(cost.T)]
    nearest = cost.argmin(1).tolist()
    if len({*nearest}) == len(nearest):  # nobody competes, so that most films are spared SciPy's import
        return list(enumerate(nearest))
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(cost)
    return list(zip(rows.tolist(), columns.tolist(), strict=True))
