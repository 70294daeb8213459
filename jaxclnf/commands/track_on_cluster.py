"""``jaxclnf track --cluster``: videos, each by one worker of a cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from jaxclnf.commands import on_cluster

if TYPE_CHECKING:
    from jaxclnf.commands.choices import Settled
    from jaxclnf.tracking.smoothing import Smoothing
    from jaxclnf.types import Camera


class VideosAsked(NamedTuple):
    """The videos that a user asks for, and the options for following faces in them."""

    arguments: list[str]
    camera: Camera | None
    detector: str | None
    max_faces: int
    fps: float | None
    frames: int | None
    smoothing: Smoothing | None
    certainty: bool
    pictures: bool
    format: str  # of tables on one machine, by which files are named


def track_on_cluster(
    asked: VideosAsked,
    settled: Callable[[], Settled],
    told: dict[str, Any],
    out: str,
    resume: bool,
    there: on_cluster.Asked,
) -> None:
    """Follow faces into a Parquet part for each video; ``settled`` gives the model and settings."""
    from jaxclnf.cluster.cluster_inputs import video_sources
    from jaxclnf.cluster.places import Store
    from jaxclnf.cluster.shards import in_shards
    from jaxclnf.cluster.video_shards import TRACKS, VideoJob, track_shard, with_stem
    from jaxclnf.output.video_pipeline import video_columns

    arguments, store = asked.arguments, Store(out)
    (model, config, validator, openface), told = on_cluster.settle(settled, told, arguments)
    told |= {"written": [asked.pictures, openface]} if asked.pictures or openface else {}
    job = VideoJob(
        store,
        video_columns(model, config, asked.certainty),
        asked.camera,
        asked.detector,
        asked.max_faces,
        asked.fps,
        asked.frames,
        asked.smoothing,
        asked.pictures,
        openface,
    )
    work = on_cluster.FolderRun(
        TRACKS,
        "videos",
        told,
        plan=lambda failures: with_stem(in_shards(video_sources(arguments, failures), 1), asked.format),
        stages=on_cluster.stages(track_shard, there),
        arrays=(model, config, validator),
        job=job,
    )
    on_cluster.into_folder(work, store, resume, there)
