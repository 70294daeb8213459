"""Face detection: detectors behind one protocol, from a photo to boxes around the landmarks."""

from jaxclnf.media.detection.built_in import DetectorName, default_detector, detect_faces, named_detector
from jaxclnf.media.detection.detector import BoxMap, Detections, Detector, largest

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
