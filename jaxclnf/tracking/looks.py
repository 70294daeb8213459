"""Looks: the frames in which faces are detected, and how; a shot begins as a film does."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Num

from jaxclnf.tracking.frame_arguments import grey_frame
from jaxclnf.tracking.shots import Sketch, is_cut, sketch
from jaxclnf.tracking.tracks import HURRIED, TrackConfig, TrackerState, check_tracker

SEEN_AGAIN = 48
"""Pixels of the smallest face in a frame that is reduced to see known faces again."""

NEW_ONES = 0.5
"""Factor by which frames are reduced to look for new faces, but every third time."""

_SCALES = 16
"""Steps of the factors by which frames are reduced: what is expected of a frame is then asked for."""


class Look(NamedTuple):
    """How faces are detected in a frame."""

    scale: float  # by which it is reduced
    any_side: bool  # of it may be the upper one


def in_shot(state: TrackerState, now: Sketch) -> TrackerState:
    """Bring a state to its next frame, by its sketch: after a cut nobody is known, and looks begin anew."""
    if state.sketch is not None and is_cut(state.sketch, now):
        state = state._replace(tracks=(), shot=state.frame)
    return state._replace(sketch=now, was_bright=state.was_bright or bool(now.max() > 1))


def wants_detections(
    config: TrackConfig,
    state: TrackerState,
    frame: Num[Array | np.ndarray, "height width"] | None = None,
) -> bool:
    """Tell whether the next step needs detections; a cut is only noticed if its ``frame`` (grey) is given."""
    check_tracker(config, state)
    return next_look(config, _in_shot_of(state, frame)) is not None


def look_scale(
    config: TrackConfig,
    state: TrackerState,
    frame: Num[Array | np.ndarray, "height width"] | None = None,
) -> float:
    """Choose the factor by which a frame may be reduced before faces are detected in it.

    While a face is lost the full frame is searched, and every few frames where new ones may appear, mostly
    for large ones. Otherwise only followed faces have to be seen again, for which a reduced frame is enough,
    at a fraction of the time. A cut, after which the full frame is searched, is only noticed if its ``frame``
    (grey) is given.
    """
    check_tracker(config, state)
    return how_to_look(config, _in_shot_of(state, frame)).scale


def _in_shot_of(state: TrackerState, frame: Any) -> TrackerState:
    return state if frame is None else in_shot(state, sketch(grey_frame(frame, state.was_bright)))


def next_look(config: TrackConfig, state: TrackerState) -> Look | None:
    """Choose how to look at the next frame, in whose shot the state is; None: it need not be looked at."""
    return how_to_look(config, state) if _is_due(config, state) else None


def how_to_look(config: TrackConfig, state: TrackerState) -> Look:
    """Choose how to look at the next frame if it is looked at."""
    return Look(_scale(config, state), _from_all_sides(config, state))


def _is_due(config: TrackConfig, state: TrackerState) -> bool:
    followed = [track for track in state.tracks if not track.lost]
    if any(track.lost and (track.lost - 1) % config.retry_every == 0 for track in state.tracks):
        return True
    if any(track.is_young or track.pace > HURRIED for track in followed):
        return True
    doubted = any(track.confidence < config.doubtful for track in followed)
    if doubted and state.since_cut % config.retry_every == 0:
        return True
    return state.since_cut % (config.detect_every if followed else config.retry_every) == 0


def _scale(config: TrackConfig, state: TrackerState) -> float:
    widths = [track.box[2] for track in state.tracks if not track.lost]
    if len(widths) < max(len(state.tracks), 1):
        return 1.0
    least = 0.0
    if len(widths) < config.max_faces and state.since_cut % config.detect_every == 0:
        least = 1.0 if state.since_cut % (3 * config.detect_every) == 0 else NEW_ONES
    seen_again = np.ceil(_SCALES * SEEN_AGAIN / float(min(widths))) / _SCALES
    return float(min(1.0, max(least, seen_again)))


def _from_all_sides(config: TrackConfig, state: TrackerState) -> bool:
    """Tell whether faces may lie on their sides in the next frame: nobody is known, or was lost lying so."""
    if not state.tracks:
        return state.since_cut % (3 * config.detect_every) == 0
    return any(track.lost and track.lies for track in state.tracks)
