"""Faces in a photo."""

from jaxclnf.media.detection.hog import Detections, detect_faces, largest

__all__ = ["Detections", "detect_faces", "largest"]
