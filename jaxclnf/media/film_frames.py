"""Single frames of a film that this program has written, by their times, without decoding all of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError

from jaxclnf.media.images import RGB

_TICK = 2e-5
"""Seconds by which times in tables may differ from those in the film, which counts 60,000 a second."""

_FURTHER_BACK = 0.0, 1.0, float("inf")
"""Seconds before a frame at which to look for its key frame: it may be too near to the next one to tell."""


def frames_at(film: Path, times: Iterable[float]) -> Iterator[RGB]:
    """Yield the frames shown at ``times``, in seconds from the first, up to one that cannot be read."""
    with suppress(FFmpegError, OSError, IndexError), film.open("rb") as file, av.open(file) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        first = float((stream.start_time or 0) * (stream.time_base or 0))
        for time in times:
            shown = _frame_at(container, first + time)
            if shown is None:
                return
            yield shown.to_ndarray(format="rgb24")


def _frame_at(container: Any, time: float) -> Any:
    """Decode from a key frame before on, up to the frame, or the next one; None if there is none."""
    found = None
    for back in _FURTHER_BACK:
        container.seek(round(max(time - back, 0.0) * av.time_base))
        found = next((frame for frame in container.decode(video=0) if frame.time >= time - _TICK), None)
        if found is not None and found.time <= time + _TICK:
            break
    return found
