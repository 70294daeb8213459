"""``jaxclnf track --cluster``: videos, each by one worker of a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from jaxclnf.commands import on_cluster
from jaxclnf.commands.asked import VideosAsked
from jaxclnf.wording import counted, some


def track_on_cluster(
    asked: VideosAsked,
    told: dict[str, Any],
    out: str,
    resume: bool,
    there: on_cluster.Asked,
) -> None:
    """Follow faces into a Parquet part for each video."""
    from jaxclnf.cluster.cluster_inputs import video_sources
    from jaxclnf.cluster.places import Store
    from jaxclnf.cluster.shards import in_shards
    from jaxclnf.cluster.video_shards import TRACKS, VideoJob, track_shard, with_stem
    from jaxclnf.output.video_pipeline import video_columns

    arguments, store, view = asked.arguments, Store(out), asked.fits.seen_by()
    settled = partial(asked.fits.settled, of_video=True)
    (model, config, validator, openface), told = on_cluster.settle(settled, told, arguments)
    told |= {"written": [asked.pictures, openface]} if asked.pictures or openface else {}
    job = VideoJob(
        store,
        video_columns(model, config, asked.fits.certainty),
        view,
        asked.fits.chosen_detector(),
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
        arguments,
        plan=lambda failures: with_stem(in_shards(video_sources(arguments, failures), 1), asked.format),
        stages=on_cluster.stages(track_shard, there),
        arrays=(model, config, validator),
        job=job,
        partly=partial(_with_more_faces, asked.max_faces),
    )
    on_cluster.into_folder(work, store, resume, there)


def _with_more_faces(most: int, videos: Sequence[str]) -> str:
    """Say in which videos faces were seen that are not followed."""
    n_videos = counted(len(videos), "video")
    seen = f"{n_videos} with more faces in a frame than the {most} that are followed at most"
    return f"{seen}: {some(videos)}; --faces says how many"
