"""Faces followed through the frames of a video."""
