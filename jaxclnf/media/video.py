"""Frames from video files, image sequences and cameras; annotated videos to files."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from jaxclnf.batch.pipeline import ahead
from jaxclnf.media.images import RGB, read_photo
from jaxclnf.media.inputs import Failure, find_photos

# What is wrong with a file is said in our sentence.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)

READ_AHEAD = 8


class Frame(NamedTuple):
    """A frame of a video; ``time`` in seconds from the first."""

    number: int  # from 1
    time: float
    rgb: RGB


class Video(NamedTuple):
    """A source of frames. ``n_frames`` is what the file promises, None where nobody knows.

    Pictures of a sequence that cannot be read are left out and put into ``failures``.
    """

    name: str
    fps: float
    n_frames: int | None
    frames: Iterator[Frame]
    failures: list[Failure]


def open_video(source: str, fps: float | None = None) -> Video:
    """A video file, a folder or pattern of photos (in the order of their names), or a camera's number.

    ``fps`` overrules the file's rate; image sequences without it count 30 frames a second, as in OpenFace.
    Raises ValueError when nothing can be opened.
    """
    if source.isdigit() and not Path(source).exists():
        return _camera(int(source))
    path = Path(source)
    if path.is_file():
        return _file(path, fps)
    if not path.is_dir() and not any(c in source for c in "*?["):
        raise ValueError(f"{source} does not exist; give a video, a folder of pictures or a camera's number")
    return _sequence(source, fps or 30.0)


def _file(path: Path, fps: float | None) -> Video:
    if not path.stat().st_size:
        raise ValueError(f"{path} is empty")
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise ValueError(f"{path} is no video that OpenCV can read; convert it, say to H.264 in .mp4")
    rate = fps or capture.get(cv2.CAP_PROP_FPS)
    rate = rate if 0 < rate < 1000 else 30.0
    promised = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    return Video(
        str(path), rate, promised if promised > 0 else None, _captured(capture, lambda i: i / rate), []
    )


def _camera(number: int) -> Video:
    capture = cv2.VideoCapture(number)
    if not capture.isOpened():
        raise ValueError(f"there is no camera {number}, or another program is using it")
    start = time.monotonic()
    return Video(f"camera {number}", 30.0, None, _captured(capture, lambda _: time.monotonic() - start), [])


def _captured(capture: cv2.VideoCapture, clock: Callable[[int], float]) -> Iterator[Frame]:
    """Frames until the last one, read ahead in a thread."""

    def read(i: int) -> Frame | None:
        ok, picture = capture.read()
        return Frame(i + 1, clock(i), cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)) if ok else None

    try:
        for frame in ahead(read, itertools.count(), workers=1, depth=READ_AHEAD):
            if frame is None:
                return
            yield frame
    finally:
        capture.release()


def _sequence(source: str, fps: float) -> Video:
    paths, failures = find_photos([source])
    if failures:
        raise ValueError(failures[0].reason)

    def read(i: int) -> Frame | Failure:
        try:
            return Frame(i + 1, i / fps, read_photo(paths[i]))
        except ValueError as error:
            return Failure(str(paths[i]), str(error))

    def frames() -> Iterator[Frame]:
        for frame in ahead(read, range(len(paths)), workers=2, depth=READ_AHEAD):
            if isinstance(frame, Frame):
                yield frame
            else:
                failures.append(frame)

    return Video(source, fps, len(paths), frames(), failures)


class VideoFile:
    """An .mp4 that is written frame by frame under a temporary name and moved when it is whole."""

    def __init__(self, path: Path, fps: float) -> None:
        self.path = path
        self._part = path.with_name(f".{path.stem}.part{path.suffix}")
        self._fps = fps
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)

    def add(self, picture: RGB) -> None:
        """Append a frame; frames of other sizes than the first are fitted to it."""
        if self._writer is None:
            self._size = picture.shape[1], picture.shape[0]
            codec = cv2.VideoWriter.fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(str(self._part), codec, self._fps, self._size)
            if not self._writer.isOpened():
                raise OSError(f"{self.path} cannot be written")
        if (picture.shape[1], picture.shape[0]) != self._size:
            picture = cv2.resize(picture, self._size)
        self._writer.write(np.ascontiguousarray(picture[:, :, ::-1]))

    def finish(self) -> None:
        """Move what was written to its name, be it all or what there is of it."""
        if self._writer is not None:
            self._writer.release()
            self._writer = None
            os.replace(self._part, self.path)
