"""Earlier name of `jaxclnf.media.detection`, kept for scripts."""

from jaxclnf.media.detection import Detections, detect_faces, largest

__all__ = ["Detections", "detect_faces", "largest"]
