"""What a worker makes of a video, in the test's own process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from engine import synthetic_config, synthetic_model
from video_files import write_video

from jaxclnf.cluster.places import Store
from jaxclnf.cluster.shards import Shard
from jaxclnf.cluster.table_parts import read_failures
from jaxclnf.cluster.video_shards import VideoJob, track_shard
from jaxclnf.cluster.worker import Share
from jaxclnf.media.detection import Detections, DetectorName, named_detectors
from jaxclnf.media.failures import Failure
from jaxclnf.output.video_pipeline import video_columns


@pytest.fixture
def share(tmp_path: Path) -> Share:
    model, config = synthetic_model(np.float32), synthetic_config()
    columns = video_columns(model, config)
    return Share(
        (model, config, None), VideoJob(Store(str(tmp_path / "out")), columns, None, None, 8, None, 5, None)
    )


def test_the_frames_of_a_video_are_a_part_in_order(share: Share, tmp_path: Path) -> None:
    video = str(write_video(tmp_path / "a.mp4"))
    entry = track_shard(share, Shard(7, (video,)))
    assert (entry.shard, entry.sources, entry.rows, entry.failures) == (7, 1, 5, 0)
    rows = pl.read_parquet(tmp_path / "out/tracks/part-00000007.parquet")
    assert rows["frame"].to_list() == [1, 2, 3, 4, 5] and set(rows["source"]) == {video}


def test_a_video_with_more_faces_than_are_followed_is_noted(
    share: Share, tmp_path: Path, monkeypatch
) -> None:
    crowd = Detections(np.float32([[20 * i, 5, 15, 15] for i in range(3)]), np.ones(3, np.float32))
    monkeypatch.setitem(named_detectors._MAKERS, DetectorName.hog, lambda: lambda rgb: crowd)
    video = str(write_video(tmp_path / "a.mp4"))
    share.job = share.job._replace(detector="hog", frames=1)
    for most, partly in ((2, [video]), (3, [])):
        share.job = share.job._replace(max_faces=most)
        assert track_shard(share, Shard(0, (video,))).partly == partly


def test_a_video_that_is_none_is_named(share: Share, tmp_path: Path) -> None:
    (tmp_path / "b.mp4").write_bytes(b"no video")
    source = str(tmp_path / "b.mp4")
    entry = track_shard(share, Shard(0, (source,)))
    assert entry.failures == 1
    (failure,) = read_failures(share.job.store, 9)
    assert isinstance(failure, Failure) and failure.source == source and source in failure.reason
