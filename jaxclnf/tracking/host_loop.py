"""The tracker's loop over the frames of a film: the next frames are made ready in a thread beside it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from threading import Lock
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxclnf.batch.overlap import ahead
from jaxclnf.media.detection import Detector, detect_faces
from jaxclnf.media.frames import Frame
from jaxclnf.media.images import RGB, Grey, to_grey
from jaxclnf.tracking.looks import Look, how_to_look, in_shot, next_look
from jaxclnf.tracking.shots import Sketch, sketch
from jaxclnf.tracking.tracker import step_in_shot
from jaxclnf.tracking.tracks import TrackConfig, Tracked, TrackerState, later
from jaxclnf.types import Model

READY = 6
"""Frames that are made ready beside the one in which faces are followed ..."""

READY_BYTES = 1e8
"""... and their memory, if that is less."""

NEARLY = 0.85
"""Share of the size asked for at which a frame shows its faces nearly as well."""

NO_BOXES = np.zeros((0, 5), np.float32)


class _Ready(NamedTuple):
    """A frame, and the faces detected in it in advance, if it was expected that they will be asked for."""

    frame: Frame
    grey: Grey
    sketch: Sketch
    look: Look | None  # None: nothing was detected
    boxes: Float[np.ndarray, "n_faces 5"]


class FrameLoop:
    """A tracker on its way through a film; ``note``, if any, is told how many faces each look shows."""

    def __init__(
        self,
        model: Model,
        config: TrackConfig,
        detector: Detector,
        note: Callable[[int], object] | None = None,
    ) -> None:
        self._model, self._config, self._detector, self._note = model, config, detector, note
        self._one_at_a_time = Lock()  # a detector of somebody's own need not know threads
        self._state = TrackerState()

    def run(self, frames: Iterable[Frame]) -> Generator[tuple[Frame, list[Tracked]], None, None]:
        """Follow the faces of all frames; yields each frame with what the tracker says of it."""
        several = ahead(
            self._made_ready,
            self._with_looks(frames),
            depth=READY,
            cost=lambda item: 4.0 * item[0].rgb[..., 0].size,
            most=READY_BYTES,
            gives_way=True,
        )
        with closing(several):
            for ready in several:
                yield ready.frame, self._followed(ready)

    def _with_looks(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Look | None]]:
        """Say, of frames still to come, how their faces are likely to be looked for, if at all."""
        for i, frame in enumerate(frames):
            then = later(self._state, i - self._state.frame)
            yield frame, next_look(self._config, then)

    def _made_ready(self, item: tuple[Frame, Look | None]) -> _Ready:
        frame, look = item
        boxes = NO_BOXES if look is None else self._detected(frame.rgb, look)
        grey = to_grey(frame.rgb)
        return _Ready(frame, grey, sketch(grey), look, boxes)

    def _followed(self, ready: _Ready) -> list[Tracked]:
        state = in_shot(self._state, ready.sketch)
        look = next_look(self._config, state)
        after, tracked = self._step(state, ready, look)
        if look is None and any(track.lost == 1 for track in after.tracks):  # it may only have moved far
            after, tracked = self._step(state, ready, how_to_look(self._config, state))
        self._state = after
        return tracked

    def _step(
        self, state: TrackerState, ready: _Ready, look: Look | None
    ) -> tuple[TrackerState, list[Tracked]]:
        """Follow faces from a state in the frame's shot, which is found out once, however often one looks."""
        boxes = NO_BOXES if look is None else self._boxes(ready, look)
        return step_in_shot(self._model, self._config, state, ready.grey, boxes)

    def _boxes(self, ready: _Ready, look: Look) -> Float[np.ndarray, "n_faces 5"]:
        """Give a frame's faces: those detected in advance, if they were looked for nearly as well."""
        boxes = ready.boxes if _serves(ready.look, look) else self._detected(ready.frame.rgb, look)
        if self._note:
            self._note(len(boxes))
        return boxes

    def _detected(self, rgb: RGB, look: Look) -> Float[np.ndarray, "n_faces 5"]:
        with self._one_at_a_time:
            return detect_faces(rgb, self._detector, look.scale, look.any_side).tilted


def _serves(made: Look | None, wanted: Look) -> bool:
    """Tell whether a look that was made shows nearly what another would, or more."""
    return made is not None and made.any_side == wanted.any_side and made.scale >= NEARLY * wanted.scale
