"""Tracking faces through a video: a pure step from one frame's state to the next.

Each face goes on from where its motion leads it, or with OpenFace's settings from where it was, with the
small windows (`FitConfig.tracking`); all faces of a frame are fitted together. Where a detection says
otherwise, the fit starts from it, or yields to it. Detections start new faces and bring lost ones back;
their numbers stay until a cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num

from jaxclnf.batch.box_rows import middle, tight_box
from jaxclnf.fitting.arguments import check_kind
from jaxclnf.media.detection.detector_protocol import Detections
from jaxclnf.tracking.association import (
    UNLIKELY,
    Box,
    assigned,
    distance,
    free_detections,
    is_taken,
    overlap,
)
from jaxclnf.tracking.expectations import expected, is_believed, predicted_box
from jaxclnf.tracking.following import usual_reduction
from jaxclnf.tracking.frame_arguments import detected_boxes, grey_frame
from jaxclnf.tracking.fresh_fits import Fresh, fresh_fits
from jaxclnf.tracking.looks import in_shot
from jaxclnf.tracking.reappearance import places_again, with_latest
from jaxclnf.tracking.shots import sketch
from jaxclnf.tracking.tracks import Track, TrackConfig, Tracked, TrackerState, check_tracker, fits
from jaxclnf.types import Model, Status

CALMS_DOWN = 0.7
"""Share of its pace that a face keeps for each frame in which it stands still, since it may be turning."""


def track_frame(
    model: Model,
    config: TrackConfig,
    state: TrackerState,
    frame: Num[Array | np.ndarray, "height width"],
    detections: Detections | Sequence[Any] | Num[Array | np.ndarray, "..."],
) -> tuple[TrackerState, list[Tracked]]:
    """Follow every face into ``frame`` (grey, 0..255) and take in what was detected there.

    ``detections`` are what `jaxclnf.detect_faces` gives, or boxes x, y, w, h and, tilted, a roll, as
    `fit_faces` takes them; none are ``[]``. Returns the next state and each face's fit, lost faces with
    ``success`` False. Raises ValueError for arguments of other kinds, frames that are not grey, and ones of
    fractions up to 1 before any was brighter; after that they are dark, and show no face.
    """
    check_kind("model", model, Model)
    check_tracker(config, state)
    frame = grey_frame(frame, state.was_bright)
    return step_in_shot(model, config, in_shot(state, sketch(frame)), frame, detected_boxes(detections))


def step_in_shot(
    model: Model,
    config: TrackConfig,
    state: TrackerState,
    frame: Num[np.ndarray, "height width"],
    detections: Float[np.ndarray, "n_faces box"],
) -> tuple[TrackerState, list[Tracked]]:
    """Do the step of `track_frame` from a state that `in_shot` has brought to the frame, which is checked."""
    tracks = list(state.tracks)
    of_track = _matches(tracks, detections)
    seen = _followed(model, config, tracks, frame, detections, of_track)
    seen = _without_doubles(tracks, seen)
    after = [_after(model, config, track, found) for track, found in zip(tracks, seen, strict=True)]
    of_track |= _of_just_lost(after, detections, of_track)
    for fresh in fresh_fits(model, config, frame, detections, after, of_track):
        _take_in(model, config, fresh, after, seen, of_track, state.next_id)
    next_id = max([state.next_id, *(track.face_id + 1 for track in after)])
    after = [
        _beside(track, detections[of_track[i]]) if i in of_track else track for i, track in enumerate(after)
    ]
    kept = tuple(track for track in after if track.lost <= config.forget_after)
    return state._replace(tracks=kept, next_id=next_id, frame=state.frame + 1), seen


def _matches(tracks: list[Track], detections: np.ndarray) -> dict[int, int]:
    """Match tracks with detections; gives the detection of each track that has one."""
    most = [UNLIKELY if track.lost else UNLIKELY / 2 for track in tracks]
    return assigned([_places(track) for track in tracks], [d[:4] for d in detections], most)


def _places(track: Track) -> list[Box]:
    """Boxes in which a track's face may be: where its motion leads it, or where it was, if that ended."""
    if track.lost:
        return places_again(track.recent, track.lost + 1)  # and this frame
    return _places_next(track)


def _places_next(track: Track) -> list[Box]:
    return [predicted_box(track), track.box]


def _of_just_lost(tracks: list[Track], detections: np.ndarray, of_track: dict[int, int]) -> dict[int, int]:
    """Match tracks that this frame's follow lost with detections of nobody else, which may be farther off."""
    lost = [i for i, track in enumerate(tracks) if track.lost == 1 and i not in of_track]
    followed = [track.box for track in tracks if not track.lost]
    free = free_detections(detections, of_track.values(), followed)
    places = [_places_next(tracks[i]) for i in lost]
    found = assigned(places, [detections[j, :4] for j in free], [UNLIKELY] * len(lost))
    return {lost[a]: free[b] for a, b in found.items()}


def _followed(
    model: Model,
    config: TrackConfig,
    tracks: list[Track],
    frame: np.ndarray,
    detections: np.ndarray,
    of_track: dict[int, int],
) -> list[Tracked]:
    """Fit every track in the next frame; a lost one, or one that its detection overrules, has no success."""
    here = [i for i, track in enumerate(tracks) if not track.lost]
    said = [detections[of_track[i]] if i in of_track else None for i in range(len(tracks))]
    results = fits(model, config, frame, [expected(config, tracks[i], said[i]) for i in here])
    seen: dict[int, Tracked] = {}
    for i, found in zip(here, results, strict=True):
        believed = is_believed(config, tracks[i], found, said[i])
        seen[i] = found._replace(face_id=tracks[i].face_id, success=found.success and believed)
    return [seen[i] if i in seen else _absent(track) for i, track in enumerate(tracks)]


def _absent(track: Track) -> Tracked:
    """Make the result of a lost face, of which only the number is known."""
    result = replace(jax.tree.map(_unknown, track.result), status=np.int32(Status.LOST))
    return Tracked(track.face_id, result, 0.0, False)


def _unknown(a: ArrayLike) -> ArrayLike:
    """Replace floating-point numbers by NaN."""
    return np.full_like(a, np.nan) if np.issubdtype(np.asarray(a).dtype, np.floating) else a


def _after(model: Model, config: TrackConfig, track: Track, found: Tracked) -> Track:
    """Update a track after its fit: it is found, or lost for one frame longer."""
    if not found.success:
        return track._replace(lost=track.lost + 1, age=0, unsure=0)
    box = tight_box(found.result.landmarks)
    velocity = np.zeros(2) if track.lost else middle(box) - middle(track.box)
    speed = float(np.linalg.norm(velocity) / box[2])
    return track._replace(
        result=found.result,
        box=box,
        reduction=usual_reduction(model, config.fit, box, track.reduction),
        confidence=found.confidence,
        velocity=velocity,
        pace=max(speed, CALMS_DOWN * track.pace),
        age=0 if track.lost else track.age + 1,
        lost=0,
        unsure=track.unsure + 1 if found.confidence < config.appears else 0,
        recent=with_latest(track.recent, box),
    )


def _beside(track: Track, detection: np.ndarray) -> Track:
    """Note a track's offset from its detection."""
    if track.lost:
        return track
    return track._replace(offset=(middle(track.box) - middle(detection[:4])) / detection[2])


def _without_doubles(tracks: list[Track], seen: list[Tracked]) -> list[Tracked]:
    """Drop, of two tracks that ended up on one face, the one that came farther."""
    here = [i for i, found in enumerate(seen) if found.success]
    boxes = {i: tight_box(seen[i].result.landmarks) for i in here}
    came = {i: distance(predicted_box(tracks[i]), boxes[i]) for i in here}
    kept: list[int] = []
    for i in sorted(here, key=came.__getitem__):
        if all(overlap(boxes[i], boxes[j]) < 0.5 for j in kept):
            kept.append(i)
    return [found if i in kept else found._replace(success=False) for i, found in enumerate(seen)]


def _take_in(
    model: Model,
    config: TrackConfig,
    fresh: Fresh,
    tracks: list[Track],
    seen: list[Tracked],
    of_track: dict[int, int],
    next_id: int,
) -> None:
    """Give a fresh fit to its track or a new one, if there is room and no other face is followed there."""
    box = tight_box(fresh.found.result.landmarks)
    followed = [track.box for track in tracks if not track.lost]
    if not fresh.found.success or len(followed) >= config.max_faces or is_taken(box, followed):
        return
    if fresh.track is None:
        number = max([next_id, *(track.face_id + 1 for track in tracks)])
        tracks.append(_new(number, fresh, box))
        seen.append(fresh.found._replace(face_id=number))
        of_track[len(tracks) - 1] = fresh.detection
    else:
        seen[fresh.track] = fresh.found._replace(face_id=tracks[fresh.track].face_id)
        of_track[fresh.track] = fresh.detection
        again = tracks[fresh.track]._replace(reduction=fresh.reduction)
        tracks[fresh.track] = _after(model, config, again, seen[fresh.track])


def _new(number: int, fresh: Fresh, box: Box) -> Track:
    found = fresh.found
    return Track(
        number, found.result, box, fresh.reduction, found.confidence, velocity=np.zeros(2), recent=(box,)
    )
