"""Frames, and the videos that they come from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from jaxclnf.media.failures import Failure
from jaxclnf.media.images import RGB

READ_AHEAD = 8  # frames
READ_AHEAD_BYTES = 2e8


class Frame(NamedTuple):
    """A frame; ``time`` is in seconds from the first, ``source`` the picture or video that it comes from."""

    number: int  # from 1
    time: float
    rgb: RGB
    source: str = ""


class Video(NamedTuple):
    """A source of frames, which can be read once.

    ``fps`` is its mean number of frames per second. ``n_frames`` is the number that it promises, for
    progress bars; None if it is unknown. Its faults are in ``failures`` once the last frame was read.
    """

    name: str
    fps: float
    n_frames: int | None
    frames: Iterator[Frame]
    failures: list[Failure]
