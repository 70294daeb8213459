"""Where a followed face is expected in the next frame, and whether what is found there is believed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from jaxclnf.batch.box_rows import middle, tight_box
from jaxclnf.tracking.association import Box
from jaxclnf.tracking.following import Expected
from jaxclnf.tracking.tracks import Track, TrackConfig, Tracked

CORRECTS = 0.08
"""Distance of a face from its detection, in widths, above which its fit starts from there ..."""

OVERRULES = 0.3
"""... and above which its fit is not trusted."""

STRAYS = 0.4
"""Largest offset of a face from its detections, in widths, that is taken for its own; profiles have 0.39."""

UNSURE = 12
"""Frames in a row for which a face is followed whose fits would not be believed in a new one."""


def predicted_box(track: Track) -> Box:
    """Move a face's box on as fast as it is, if that is fast."""
    moved = track.velocity if track.is_fast else np.zeros(2)
    return track.box + np.concatenate([moved, np.zeros(2)])


def expected(config: TrackConfig, track: Track, detection: np.ndarray | None) -> Expected:
    """Predict a face's place: by its motion or, if that is far off, by its detection."""
    box = predicted_box(track) if config.anticipates else track.box
    tolerated = CORRECTS if config.anticipates and (track.is_young or track.is_fast) else OVERRULES
    if detection is not None and _off(track, detection, box) > tolerated:
        box = box + np.append(_said(track, detection) - middle(box), [0, 0])
    move = (box - track.box)[:2].astype(np.asarray(track.params.translation).dtype)
    params = replace(track.params, translation=track.params.translation + move)
    return Expected(params, box, track.reduction)


def is_believed(config: TrackConfig, track: Track, found: Tracked, detection: np.ndarray | None) -> bool:
    """Tell whether to believe a fit; one that is far off its detection is not.

    One that would make no new face needs a detection, and is not believed for long.
    """
    if detection is not None and _off(track, detection, tight_box(found.result.landmarks)) > OVERRULES:
        return False
    if not config.anticipates or not found.confidence < config.appears:
        return True
    return detection is not None and track.unsure < UNSURE


def _off(track: Track, detection: np.ndarray, box: Box) -> float:
    """Measure the distance of a face from its detection, in widths."""
    return float(np.linalg.norm(_said(track, detection) - middle(box)) / detection[2])


def _said(track: Track, detection: np.ndarray) -> Float[np.ndarray, "2"]:
    """Correct a detection's middle by the offset, within bounds, that it had from the face last time."""
    offset = np.zeros(2) if track.offset is None else track.offset
    within = STRAYS / max(float(np.linalg.norm(offset)), STRAYS)
    return middle(detection[:4]) + within * offset * detection[2]
