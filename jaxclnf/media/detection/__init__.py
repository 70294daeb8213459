"""Face detection: detectors behind one protocol, from a photo to boxes around the landmarks."""

from jaxclnf.media.detection.detector_protocol import BoxMap, Detections, Detector, largest
from jaxclnf.media.detection.named_detectors import (
    DetectorName,
    default_detector,
    detect_faces,
    named_detector,
)

__all__ = [
    "BoxMap",
    "Detections",
    "Detector",
    "DetectorName",
    "default_detector",
    "detect_faces",
    "largest",
    "named_detector",
]
