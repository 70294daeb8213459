"""Frames from video files, streams, pipes, image sequences, animations and cameras."""

from __future__ import annotations

import itertools
import os
import select
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import cv2

from jaxclnf.batch.overlap import ahead
from jaxclnf.media.container import SCHEMES, open_file, open_pipe, open_stream
from jaxclnf.media.failures import Failure
from jaxclnf.media.frames import READ_AHEAD, READ_AHEAD_BYTES, Frame, Video
from jaxclnf.media.images import SUFFIXES, n_pixels, open_picture, picture_pixels, read_photo
from jaxclnf.media.patterns import is_pattern
from jaxclnf.media.video_inputs import STANDARD_INPUT, absence, is_number, scheme_of, sequence_photos

SEQUENCE_RATE = 30.0  # frames a second of pictures without times, as in OpenFace
_NO_DELAY = 0.1  # seconds that an animation's picture is shown which names no delay, as in browsers
_PIPE_TIMEOUT = 10.0  # seconds in which somebody should write to a pipe


def open_video(source: str | Path, fps: float | None = None) -> Video:
    """Open a source of frames, which are read one after the other.

    It is a video file, a folder (without its sub-folders) or pattern of photos (2 before 10), an animation, a
    stream's address, a pipe or ``-`` (standard input), or a camera's number. What exists under the name
    ``source`` is that file, whatever the name looks like. ``fps`` overrules a file's times; image sequences
    without it count 30 frames a second, as in OpenFace. Raises ValueError when nothing can be opened,
    and for a rate that is not a positive number.
    """
    if fps is not None and not 0 < fps < float("inf"):
        raise ValueError(f"fps = {fps}, expected a finite number of frames a second above 0")
    source = os.fspath(source)
    path = Path(source)
    if os.path.lexists(source):
        return _existing(source, path, fps)
    if is_number(source):
        return _camera(int(source))
    if source == STANDARD_INPUT:
        return open_pipe("standard input", sys.stdin.buffer, fps)
    if scheme_of(source) in SCHEMES:
        return open_stream(source, fps)
    if scheme_of(source):
        raise ValueError(f"{source}: addresses begin with {', '.join(f'{s}://' for s in SCHEMES)}")
    if is_pattern(source):
        return _sequence(source, fps or SEQUENCE_RATE)
    raise ValueError(absence(source))


def _existing(source: str, path: Path, fps: float | None) -> Video:
    try:
        return _of_its_kind(source, path, fps)
    except OSError as error:
        raise ValueError(f"{source} cannot be opened: {error.strerror or error}") from None


def _of_its_kind(source: str, path: Path, fps: float | None) -> Video:
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        return _sequence(source, fps or SEQUENCE_RATE)
    if stat.S_ISFIFO(mode):
        return _pipe(source, fps)
    if not stat.S_ISREG(mode):
        raise ValueError(
            f"{source} is a device or a socket; give a video, a folder of pictures or a camera's number"
        )
    if path.suffix.lower() in SUFFIXES:
        return _animation(path, fps)
    return open_file(path, fps)


def _pipe(source: str, fps: float | None) -> Video:
    """Open a named pipe, once somebody writes to it."""
    handle = os.open(source, os.O_RDONLY | os.O_NONBLOCK)
    if not select.select([handle], [], [], _PIPE_TIMEOUT)[0]:
        os.close(handle)
        raise ValueError(f"{source} is a pipe to which nothing was written in {_PIPE_TIMEOUT:.0f} seconds")
    os.set_blocking(handle, True)
    return open_pipe(source, os.fdopen(handle, "rb"), fps)


def _camera(number: int) -> Video:
    capture = cv2.VideoCapture(number)
    if not capture.isOpened():
        raise ValueError(f"there is no camera {number}, or another program is using it")
    name, start = f"camera {number}", 0.0

    def read(i: int) -> Frame | None:
        nonlocal start
        ok, picture = capture.read()
        now = time.monotonic()
        start = now if i == 0 else start
        return Frame(i + 1, now - start, cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), name) if ok else None

    def frames() -> Iterator[Frame]:
        try:
            with closing(ahead(read, itertools.count(), depth=READ_AHEAD)) as several:
                for frame in several:
                    if frame is None:
                        return
                    yield frame
        finally:
            capture.release()

    return Video(name, SEQUENCE_RATE, None, frames(), [])


def _sequence(source: str, fps: float) -> Video:
    """Yield photos in the order of their names; of those that cannot be read only the time passes."""
    found = sequence_photos(source)
    paths, failures = found.paths, found.failures
    if not paths:
        raise ValueError(failures[0].reason)

    def read(i: int) -> Frame | Failure:
        try:
            return Frame(i + 1, i / fps, read_photo(paths[i]), str(paths[i]))
        except ValueError as error:
            return Failure(str(paths[i]), str(error))

    def frames() -> Iterator[Frame]:
        several = ahead(
            read, range(len(paths)), 2, READ_AHEAD, lambda i: 3 * n_pixels(paths[i]), READ_AHEAD_BYTES
        )
        with closing(several):
            for frame in several:
                if isinstance(frame, Frame):
                    yield frame
                else:
                    failures.append(frame)

    return Video(source, fps, len(paths), frames(), failures)


def _animation(path: Path, fps: float | None) -> Video:
    """Yield the pictures of a file, each for as long as the file says; a photo is one frame."""
    with open_picture(path) as image:
        n_frames = 1 if image.format in ("JPEG", "MPO") else int(getattr(image, "n_frames", 1))
    failures: list[Failure] = []

    def frames() -> Iterator[Frame]:
        now = 0.0
        try:
            with open_picture(path) as image:
                for i in range(n_frames):
                    image.seek(i)
                    rgb = picture_pixels(image)
                    yield Frame(i + 1, i / fps if fps else now, rgb, str(path))
                    now += float(image.info.get("duration") or 0) / 1000 or _NO_DELAY
        except ValueError as error:
            failures.append(Failure(str(path), str(error)))

    return Video(str(path), fps or 1 / _NO_DELAY, n_frames, frames(), failures)
