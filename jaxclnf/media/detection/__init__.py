"""Faces in a photo: detectors behind one protocol, a photo in, boxes around the landmarks out."""

from jaxclnf.media.detection.found import BoxMap, Detections, Detector, largest
from jaxclnf.media.detection.named import DetectorName, default_detector, detect_faces, named_detector

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
