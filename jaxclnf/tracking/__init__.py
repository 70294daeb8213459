"""Faces followed through the frames of a video."""

from jaxclnf.tracking.looks import look_scale, wants_detections
from jaxclnf.tracking.tracker import track_frame
from jaxclnf.tracking.tracks import TrackConfig, Tracked, TrackerState

step = track_frame  # its earlier name

__all__ = ["TrackConfig", "Tracked", "TrackerState", "look_scale", "step", "track_frame", "wants_detections"]
