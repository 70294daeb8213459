"""Fitting faces anew from detections; in its first frame a face is fitted again until it rests."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np

from jaxclnf.batch.box_rows import by_size, tight_box
from jaxclnf.batch.many_faces import fit_known_faces
from jaxclnf.tracking.association import free_detections
from jaxclnf.tracking.following import Expected, usual_reduction
from jaxclnf.tracking.tracks import Track, TrackConfig, Tracked, fits, judged
from jaxclnf.types import FitResult, Model

MAX_SETTLING = 20
"""Most further fits of a new face in its first frame, if it does not rest before."""

MORE = 3
"""Detections that are fitted in place of others that turn out to be no faces, largest first."""

SETTLED = 0.005
"""Pixels; a new face is at rest when no landmark moves by more in another fit of its frame."""


class Fresh(NamedTuple):
    """A fit from a detection, for a lost or overruled track, or for a new face."""

    detection: int
    track: int | None
    found: Tracked
    reduction: float


def fresh_fits(
    model: Model,
    config: TrackConfig,
    frame: np.ndarray,
    detections: np.ndarray,
    tracks: list[Track],
    of_track: dict[int, int],
) -> list[Fresh]:
    """Fit the detections that no followed face explains, first those of known faces, largest first.

    Of more new ones than there is room for, the largest that succeed count; with OpenFace's settings, the
    largest. There may be more known ones than there is room for.
    """
    chosen, spare = _chosen(config, detections, tracks, of_track)
    fresh = _fitted(model, config, frame, detections, chosen)
    while spare and (failed := sum(_may_be_replaced(config, each) for each in fresh)):
        fresh = [each for each in fresh if not _may_be_replaced(config, each)]
        fresh += _fitted(model, config, frame, detections, spare[:failed])
        spare = spare[failed:]
    return fresh


_Chosen = list[tuple[int, int | None]]
"""Detections, and the lost tracks that they are of."""


def _may_be_replaced(config: TrackConfig, fresh: Fresh) -> bool:
    """Tell whether a fit failed that another detection's may replace, as not that of a known face may."""
    return not fresh.found.success and (fresh.track is None or config.max_faces == 1)


def _fitted(
    model: Model, config: TrackConfig, frame: np.ndarray, detections: np.ndarray, chosen: _Chosen
) -> list[Fresh]:
    if not chosen:
        return []
    boxes = detections[[j for j, _ in chosen]]
    reductions = [usual_reduction(model, config.fit, box[:4]) for box in boxes]
    found = _begun(model, config, frame, boxes, reductions)
    return [
        Fresh(j, i, *fit) for (j, i), fit in zip(chosen, zip(found, reductions, strict=True), strict=True)
    ]


def _chosen(
    config: TrackConfig, detections: np.ndarray, tracks: list[Track], of_track: dict[int, int]
) -> tuple[_Chosen, _Chosen]:
    """Choose detections to fit, the largest if there are too many, and those that may replace them."""
    largest_first = by_size(detections).tolist()
    more = MORE if config.anticipates else 0
    if config.max_faces == 1 and len(detections) and any(track.lost for track in tracks):
        # the only face there can be, wherever it is
        one: _Chosen = [(j, 0) for j in largest_first[: 1 + more]]
        return one[:1], one[1:]
    followed = [track.box for track in tracks if not track.lost]
    lost = {j: i for i, j in of_track.items() if tracks[i].lost}
    known: _Chosen = [(j, lost[j]) for j in largest_first if j in lost]
    free = free_detections(detections, of_track.values(), followed)
    others = [j for j in largest_first if j in free]
    room = max(config.max_faces - len(followed) - len(known), 0)
    spare: _Chosen = [(j, None) for j in others[room : room + more]] if room else []
    return known + [(j, None) for j in sorted(others[:room])], spare


def _begun(
    model: Model, config: TrackConfig, frame: np.ndarray, boxes: np.ndarray, reductions: list[float]
) -> list[Tracked]:
    """Fit new faces until they rest.

    A fit stops while its face still moves a little, and the rest must not look like motion in later frames.
    """
    batch = fit_known_faces(model, [frame], [boxes], config.anew)
    results = [jax.tree.map(lambda a, i=i: a[i], batch) for i in range(len(boxes))]
    found = judged(model, config, config.anew, frame, results, config.appears)
    moving = [i for i, face in enumerate(found) if face.result.usable]
    for _ in range(MAX_SETTLING):
        before = [found[i].result for i in moving]
        starts = [
            Expected(result.params, tight_box(result.landmarks), reductions[i])
            for i, result in zip(moving, before, strict=True)
        ]
        for i, face in zip(moving, fits(model, config, frame, starts), strict=True):
            found[i] = face._replace(success=face.success and not face.confidence < config.appears)
        moving = [i for i, old in zip(moving, before, strict=True) if _moved(found[i], old) >= SETTLED]
    return found


def _moved(face: Tracked, before: FitResult) -> float:
    """Compute the largest move of a face's landmarks in pixels."""
    return float(np.abs(face.result.landmarks - before.landmarks).max())
