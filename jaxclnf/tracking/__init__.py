"""Faces followed through the frames of a video."""

from jaxclnf.tracking.tracker import look_scale, step, wants_detections
from jaxclnf.tracking.tracks import TrackConfig, Tracked, TrackerState

__all__ = ["TrackConfig", "Tracked", "TrackerState", "look_scale", "step", "wants_detections"]
