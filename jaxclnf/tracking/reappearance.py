"""Where a lost face may be seen again: on the course that it took before it was lost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jaxclnf.tracking.association import Box, middle

REMEMBERED = 12
"""Places of a face that are remembered."""

GOES_ON = 25
"""Frames for which a lost face is supposed to go on as it went."""

_STOPS = 5  # places on its course, since it may also stand still where it cannot be seen


def with_latest(recent: tuple[Box, ...], box: Box) -> tuple[Box, ...]:
    """Append a face's place to those that are remembered."""
    return (*recent[1 - REMEMBERED :], box)


def places_again(recent: Sequence[Box], lost: int) -> list[Box]:
    """Boxes in which a face may be seen again that was lost so many frames after its ``recent`` places.

    They lie between where it was and where its course leads. Fits of a face that is half covered shrink and
    stray: of sizes and steps the medians count.
    """
    boxes = np.array(recent)
    middles, size = boxes[:, :2] + boxes[:, 2:] / 2, np.median(boxes[:, 2:], axis=0)
    step = np.median(np.diff(middles, axis=0), axis=0) if len(boxes) > 1 else np.zeros(2)
    there = middle(boxes[-1]) + step * np.linspace(0, min(lost, GOES_ON), _STOPS)[:, None]
    return [np.concatenate([place - size / 2, size]) for place in there]
