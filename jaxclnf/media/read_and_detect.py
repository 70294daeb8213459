"""Photos read and searched for faces, in threads, a few ahead of their use; nothing here needs JAX."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxclnf.batch.overlap import ahead
from jaxclnf.cores import n_cores
from jaxclnf.media.detection import Detector, detect_faces, largest, named_detector
from jaxclnf.media.failures import Failure, failed
from jaxclnf.media.images import RGB, n_pixels, read_first

PIXELS_AHEAD = 32e6  # of photos read before they are taken; a larger one is read alone


CANDIDATES = 3
"""Largest boxes of a photo, of which only the largest face is wanted: the first may be of no face."""


class Looked(NamedTuple):
    """A photo that was read, and the boxes of its faces."""

    path: Path
    rgb: RGB
    boxes: np.ndarray  # (k, 4) or, tilted, (k, 5), as `fit_faces` takes them
    has_more: bool = False  # pictures in the file, after the first, which is this


BoxSource = Callable[[Path, np.ndarray], np.ndarray]
"""Function of a photo's path and its RGB pixels that gives the boxes of its faces."""


def detected(only_largest: bool, detector: Detector | str | None = None) -> BoxSource:
    """Make the function that finds boxes by a named face detector, or the default one.

    For ``only_largest``, which `fit_loaded` then chooses, those that may be it, the largest first.
    """
    find = detector if callable(detector) else named_detector(detector)

    def boxes(path: Path, rgb: np.ndarray) -> np.ndarray:
        found = detect_faces(rgb, find)
        return (largest(found, CANDIDATES) if only_largest else found).tilted

    return boxes


def look_at(paths: Iterable[Path], boxes: BoxSource) -> Generator[Looked | Failure, None, None]:
    """Read photos and look for their faces; a photo that cannot be used becomes a `Failure`."""

    def look(path: Path) -> Looked | Failure:
        try:
            rgb, has_more = read_first(path)
            return Looked(path, rgb, boxes(path, rgb), has_more)
        except ValueError as error:
            return Failure(str(path), str(error))
        except Exception as error:  # whatever error one photo causes in a library, the others go on
            return failed(str(path), error)

    return ahead(look, paths, max(2, n_cores()), at_a_time(), cost=n_pixels, most=PIXELS_AHEAD)


def at_a_time() -> int:
    """Choose the number of photos that are read ahead and fitted together, to keep every core busy."""
    return 8 * max(2, n_cores())
