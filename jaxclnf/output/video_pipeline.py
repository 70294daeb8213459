"""Videos through the stages of a run: faces followed, then their rows in tables and their pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import NamedTuple

import jax
import numpy as np

from jaxclnf.batch.box_rows import tight_box
from jaxclnf.batch.overlap import ahead
from jaxclnf.config import FitConfig
from jaxclnf.media.detection import Detector, named_detector
from jaxclnf.media.frames import Frame, Video
from jaxclnf.media.images import RGB
from jaxclnf.output.draw import draw_name
from jaxclnf.output.openface_table import video_line
from jaxclnf.output.overlays import draw_face
from jaxclnf.output.photo_pipeline import measure
from jaxclnf.output.tables import (
    VIDEO,
    MeasuredFace,
    empty_row,
    table_columns,
    tells_certainty,
    video_row,
)
from jaxclnf.tracking import TrackConfig, Tracked
from jaxclnf.tracking.host_loop import FrameLoop
from jaxclnf.tracking.smoothing import Smoothing, smoothed
from jaxclnf.types import Camera, FitResult, Model
from jaxclnf.wording import percent

BESIDE = 3
"""Frames under way in the thread that measures faces beside the one that follows them."""


class Followed(NamedTuple):
    """A frame and the faces in it: their numbers, and whether each was really seen."""

    frame: Frame
    camera: Camera
    faces: tuple[tuple[int, MeasuredFace, bool], ...]


def follow(
    model: Model,
    config: TrackConfig,
    video: Video,
    camera: Camera | None,
    detector: Detector | str | None = None,
    smoothing: Smoothing | None = None,
    note: Callable[[int], object] | None = None,
) -> Iterator[Followed]:
    """Follow the faces of a video; by default OpenFace's guess of the camera, and our own detector.

    With a ``smoothing`` each frame comes as many frames late as it looks ahead. ``note`` is told how many
    faces are detected whenever a frame is searched for them.
    """
    find = detector if callable(detector) else named_detector(detector)

    def told(seen: tuple[Frame, list[Tracked]]) -> Followed:
        frame, tracked = seen
        own = camera or Camera.default(*frame.rgb.shape[1::-1])
        return Followed(frame, own, tuple(_measured(model, tracked, own)))

    with closing(FrameLoop(model, config, find, note).run(video.frames)) as seen:
        steady = seen if smoothing is None else smoothed(model, seen, smoothing)
        with closing(ahead(told, steady, depth=BESIDE, gives_way=True)) as all_told:
            yield from all_told


def _measured(
    model: Model, tracked: list[Tracked], camera: Camera
) -> Iterator[tuple[int, MeasuredFace, bool]]:
    if not tracked:
        return
    results = jax.tree.map(lambda *rows: np.stack(rows), *(_summed(t.result) for t in tracked))
    sure = np.array([t.confidence for t in tracked])
    cameras = jax.tree.map(lambda c: np.repeat(np.asarray(c)[None], len(tracked)), camera)
    for t, face in zip(tracked, measure(model, results, sure, cameras), strict=True):
        yield t.face_id, face, t.success


def _summed(result: FitResult) -> FitResult:
    """Sum a fit's iterations over its stages, since new faces go through more stages than followed ones."""
    return replace(result, iterations=np.asarray(result.iterations).sum(0))


def video_columns(model: Model, config: FitConfig, certainty: bool = False) -> list[str]:
    """Name the columns of a video's table; raises ValueError if certainty is asked for but unknown."""
    return table_columns(model, config, VIDEO, certainty)


def frame_rows(names: list[str], followed: Followed) -> list[list[str]]:
    """Make the rows of a frame: one for each face, or one that says there is none."""
    frame, source, sure = followed.frame, followed.frame.source, tells_certainty(names)
    rows = [video_row(source, frame.number, frame.time, i, face, ok, sure) for i, face, ok in followed.faces]
    return rows or [empty_row(names, source, frame=frame.number, timestamp=f"{frame.time:.6f}")]


def openface_lines(followed: Followed) -> list[str]:
    """Make a frame's lines for OpenFace's own table; a frame in which no face is followed has none."""
    frame = followed.frame
    return [video_line(frame.number, i, frame.time, ok, face) for i, face, ok in followed.faces]


def annotated(followed: Followed) -> RGB:
    """Draw the faces that were seen in a frame."""
    picture = followed.frame.rgb.copy()
    for i, face, seen in followed.faces:
        if seen:
            draw_face(picture, face, followed.camera, i)
            box = tight_box(face.result.landmarks)
            draw_name(picture, f"{i}: {percent(face.confidence)}", box[:2] - 8, float(box[2:].max()))
    return picture
