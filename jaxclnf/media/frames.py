"""What a source of moving pictures gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from jaxclnf.media.images import RGB
from jaxclnf.media.inputs import Failure

READ_AHEAD = 8  # frames
READ_AHEAD_BYTES = 2e8


class Frame(NamedTuple):
    """A frame; ``time`` in seconds from the first, ``source`` the picture or video it comes from."""

    number: int  # from 1
    time: float
    rgb: RGB
    source: str = ""


class Video(NamedTuple):
    """A source of frames, which can be read once.

    ``fps`` are its frames a second on average. ``n_frames`` is what it promises, for a progress bar; None
    where nobody knows. What was wrong with it stands in ``failures`` once the last frame was read.
    """

    name: str
    fps: float
    n_frames: int | None
    frames: Iterator[Frame]
    failures: list[Failure]
