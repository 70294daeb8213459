"""Faces followed through the frames of a video."""

from jaxclnf.tracking.tracker import look_scale, track_frame, wants_detections
from jaxclnf.tracking.tracks import TrackConfig, Tracked, TrackerState

step = track_frame  # its earlier name

__all__ = ["TrackConfig", "Tracked", "TrackerState", "look_scale", "step", "track_frame", "wants_detections"]
