"""Frames from video files, streams, pipes, image sequences, animations and cameras."""

from __future__ import annotations

import itertools
import os
import re
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
from jaxclnf.media.folders import files_below, files_in, matches
from jaxclnf.media.frames import READ_AHEAD, READ_AHEAD_BYTES, Frame, Video
from jaxclnf.media.images import SUFFIXES, n_pixels, open_picture, picture_pixels, read_photo
from jaxclnf.media.inputs import Found, gathered, photos_among
from jaxclnf.media.patterns import is_pattern
from jaxclnf.media.video_encoder import VideoFile
from jaxclnf.regular_files import no_file

__all__ = ["Frame", "Video", "VideoFile", "find_videos", "is_live", "open_video"]

# fmt: off
VIDEO_SUFFIXES = (
    ".mp4", ".m4v", ".mov", ".qt", ".avi", ".divx", ".mkv", ".webm", ".wmv", ".asf", ".flv", ".f4v", ".mpg",
    ".mpeg", ".mpe", ".m2v", ".ts", ".mts", ".m2ts", ".vob", ".ogv", ".ogg", ".3gp", ".3g2", ".mxf", ".y4m",
    ".dv", ".rm", ".rmvb", ".wtv", ".mjpeg", ".mjpg", ".h264", ".264", ".hevc", ".h265", ".265",
    ".ivf", ".nut",
)
# fmt: on
STANDARD_INPUT = "-"
SEQUENCE_RATE = 30.0  # frames a second of pictures without times, as in OpenFace
_NO_DELAY = 0.1  # seconds that an animation's picture is shown which names no delay, as in browsers
_PIPE_TIMEOUT = 10.0  # seconds in which somebody should write to a pipe


def find_videos(arguments: list[str]) -> Found:
    """Find the sources of frames that arguments stand for, each once.

    A folder stands for the videos in it and in its sub-folders. Pictures stand for the sequence in their
    folder, one for each folder, unless it or one around it holds videos. A pattern stands for the files and
    folders that it matches.
    """
    found = gathered(arguments, lambda argument, found: found.sources.extend(_expand(argument, found)))
    found.sources = list(dict.fromkeys(found.sources))
    return found


def _expand(argument: str, found: Found) -> list[str]:
    n_failures = len(found.failures)
    if os.path.isdir(argument):
        sources = _sources_among(files_below(Path(argument), found.unreadable), found)
        nothing = f"{argument} holds no photos and no videos"
    elif is_pattern(argument) and not _scheme(argument):
        sources = _matched(argument, found)
        nothing = f"{argument} matches no file that is a photo or a video"
    else:
        return [argument]
    if not sources and len(found.failures) == n_failures:
        raise ValueError(nothing)
    return sources


def _matched(pattern: str, found: Found) -> list[str]:
    files, in_folders = matches(pattern, found.unreadable)
    name = Path(pattern).name.replace("**", "*")  # which matches the pictures of one folder
    sources = _sources_among(files, found, name)
    for below in in_folders:
        sources += _sources_among(below, found)
    return sources


def _sources_among(files: list[Path], found: Found, name: str = "") -> list[str]:
    """Choose the videos, and the folders of pictures (with a pattern's ``name``) unless videos are about."""
    videos = {file for file in files if file.suffix.lower() in VIDEO_SUFFIXES}
    places = {video.parent for video in videos}
    sources: dict[str, None] = {}
    for file in files:
        if file in videos:
            sources[str(file)] = None
        elif file.suffix.lower() in SUFFIXES and places.isdisjoint(file.parents):
            sources[str(file.parent / name)] = None
        else:
            found.passed_over.append(file)
    return list(sources)


def is_live(source: str) -> bool:
    """Tell whether a source gives other frames each time it is read: a camera, a pipe, a stream."""
    there = os.path.isfile(source) or os.path.isdir(source)
    return not there and not is_missing(source) and not is_pattern(source)


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
    if _is_number(source):
        return _camera(int(source))
    if source == STANDARD_INPUT:
        return open_pipe("standard input", sys.stdin.buffer, fps)
    if _scheme(source) in SCHEMES:
        return open_stream(source, fps)
    if _scheme(source):
        raise ValueError(f"{source}: addresses begin with {', '.join(f'{s}://' for s in SCHEMES)}")
    if is_pattern(source):
        return _sequence(source, fps or SEQUENCE_RATE)
    raise ValueError(absence(source))


def is_missing(source: str) -> bool:
    """Tell whether a source can only be a file, and is none that exists."""
    elsewhere = _is_number(source) or source == STANDARD_INPUT or _scheme(source) or is_pattern(source)
    return not elsewhere and not os.path.lexists(source)


def _is_number(source: str) -> bool:
    """Tell whether a source is a camera's number."""
    return source.isascii() and source.isdecimal() and len(source) < 10


def absence(source: str) -> str:
    """Say that a source is missing, or in a closed folder."""
    return f"{source} {no_file(Path(source))}; give a video, a folder of pictures or a camera's number"


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


def _scheme(source: str) -> str:
    """Give the part of an address before ``://``."""
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", source)
    return found[1].lower() if found else ""


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
    name, start = f"camera {number}", time.monotonic()

    def read(i: int) -> Frame | None:
        ok, picture = capture.read()
        now = time.monotonic() - start
        return Frame(i + 1, now, cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), name) if ok else None

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


def sequence_photos(source: str) -> Found:
    """Find the frames of one sequence: photos in a folder, without its sub-folders, or of a pattern."""
    return gathered([source], lambda source, found: found.paths.extend(_frames_of(source, found)))


def _frames_of(source: str, found: Found) -> list[Path]:
    if not os.path.isdir(source):
        matched = matches(source, found.unreadable).files
        if not matched:
            raise ValueError(f"{source} matches no file")
        return [file for file in matched if file.suffix.lower() in SUFFIXES] or matched
    files = files_in(Path(source), found.unreadable)
    photos = photos_among(files, found)
    if not photos and not found.failures:
        deeper = _sources_among(files_below(Path(source), found.unreadable), Found())
        follow = f" itself; give one of its sub-folders, as {deeper[0]}" if deeper else ""
        raise ValueError(f"{source} holds no photos{follow}")
    return photos


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
        size = lambda i: 3 * n_pixels(paths[i])  # noqa: E731
        several = ahead(read, range(len(paths)), 2, READ_AHEAD, cost=size, most=READ_AHEAD_BYTES)
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
