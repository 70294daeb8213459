from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
from engine import synthetic_model
from test_track import CONFIG, NONE, SIZE, SURE, ids, scene

from jaxclnf.media.detection import Detections
from jaxclnf.media.frames import Frame
from jaxclnf.tracking import TrackerState, track_frame, wants_detections
from jaxclnf.tracking.host_loop import FrameLoop

N_FRAMES = 20
MODEL = replace(synthetic_model(np.float32), calibration=SURE)


class Recorded:
    """A detector that always tells the same boxes, and who asked it."""

    def __init__(self, boxes: np.ndarray) -> None:
        self.boxes, self.threads, self.busy = boxes, [], threading.Lock()

    def __call__(self, rgb: np.ndarray) -> Detections:
        assert self.busy.acquire(blocking=False), "a detector is asked by one thread at a time"
        self.threads.append(threading.current_thread())
        self.busy.release()
        return Detections(self.boxes, np.ones(len(self.boxes), np.float32))


def followed_plainly(greys: list[np.ndarray], boxes: np.ndarray) -> list[list]:
    """What the tracker says when each frame is looked at when its turn comes."""
    state, told = TrackerState(), []
    for grey in greys:
        state, seen = track_frame(
            MODEL, CONFIG, state, grey, boxes if wants_detections(CONFIG, state, grey) else NONE
        )
        told.append(seen)
    return told


def test_looks_in_advance_change_nothing_but_the_thread_that_looks() -> None:
    grey, boxes, _ = scene((0, 90, 80))
    greys = [np.roll(grey, t, axis=1) for t in range(N_FRAMES)]
    frames = [Frame(t + 1, t / 25, np.stack([g] * 3, -1)) for t, g in enumerate(greys)]
    boxes = boxes + np.float32([N_FRAMES / 2, 0, 0, 0])
    detector = Recorded(boxes)
    told = list(FrameLoop(MODEL, CONFIG, detector).run(iter(frames)))
    assert [frame.number for frame, _ in told] == [frame.number for frame in frames]
    for (_, ours), theirs in zip(told, followed_plainly(greys, boxes), strict=True):
        assert ids(ours) == ids(theirs)
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a.result.landmarks, b.result.landmarks)
    beside = [thread is not threading.main_thread() for thread in detector.threads]
    assert sum(beside) >= 3  # the first frame, and the regular looks at the 8th and the 16th
    assert not all(beside)  # the face was young in the frames after the first


def test_a_face_after_a_cut_is_found_in_its_first_frame_even_if_those_before_were_larger() -> None:
    """The detector, as one of small faces would, sees nothing in frames that are reduced."""
    grey, boxes, _ = scene((0, 90, 80))
    x = np.arange(SIZE[1])
    lit = np.where((x < 160) | (x // 40 % 2 == 0), grey, 255).astype(np.uint8)
    greys = [*[grey] * 11, *[lit] * 2]

    def found(rgb: np.ndarray) -> Detections:
        seen = boxes if rgb.shape[:2] == SIZE else boxes[:0]
        return Detections(seen, np.ones(len(seen), np.float32))

    frames = [Frame(t + 1, t / 25, np.stack([g] * 3, -1)) for t, g in enumerate(greys)]
    told = [ids(seen) for _, seen in FrameLoop(MODEL, replace(CONFIG, max_faces=1), found).run(iter(frames))]
    assert told == [[0]] * 11 + [[1]] * 2
