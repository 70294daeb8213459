"""OpenFace's settings follow a face as its program does, fast motion and detections or not."""

from itertools import islice

import numpy as np
from engine import openface_model
from shared_data import golden, shared

from jaxclnf.batch.box_rows import tight_box
from jaxclnf.config import FitConfig
from jaxclnf.media.images import to_grey
from jaxclnf.media.video_sources import open_video
from jaxclnf.tracking.tracker import track_frame
from jaxclnf.tracking.tracks import TrackConfig, TrackerState

N_FRAMES = 120


def test_a_fast_face_is_where_the_program_has_it() -> None:
    theirs = golden("video_main_golden", "default/")["landmarks"][:N_FRAMES]
    theirs = theirs.reshape(N_FRAMES, 2, 68).transpose(0, 2, 1)
    model, config = openface_model(np.float32), TrackConfig(FitConfig.openface(), max_faces=1)
    boxes = np.array([tight_box(points) for points in theirs], np.float32)
    state, apart = TrackerState(), []
    for frame, box, points in zip(
        islice(open_video(str(shared("samples", "default.wmv"))).frames, N_FRAMES), boxes, theirs, strict=True
    ):
        state, (seen,) = track_frame(model, config, state, to_grey(frame.rgb), box[None])
        assert seen.success
        apart.append(np.linalg.norm(seen.result.landmarks - points, axis=-1).mean())
    fastest = np.abs(np.diff(boxes[:, :2], axis=0)).max()
    assert fastest > 0.03 * boxes[0, 2]  # our own settings would expect the face ahead
    assert np.quantile(apart, 0.95) < 0.1 and max(apart) < 0.5
