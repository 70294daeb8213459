"""The work of workers on videos: what `jaxclnf track` does, written to a part of the table."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from jaxclnf.cluster.fetch import Fetched
from jaxclnf.cluster.ledger import Entry, Stopwatch
from jaxclnf.cluster.parts import part_name, write_failures_part, write_part
from jaxclnf.cluster.places import Store
from jaxclnf.cluster.plan import Shard
from jaxclnf.cluster.worker import Share
from jaxclnf.media.decode import SCHEMES
from jaxclnf.media.inputs import Failure, failed
from jaxclnf.media.video import open_video
from jaxclnf.output.followed import Followed, follow, frame_rows
from jaxclnf.tracking import TrackConfig
from jaxclnf.tracking.smoothing import Smoothing
from jaxclnf.types import Camera

TRACKS = "tracks"
"""The folder of the table of videos."""


class VideoJob(NamedTuple):
    """Options of a run on videos; the model and its settings are the arrays of the share."""

    store: Store
    columns: list[str]
    camera: Camera | None
    detector: str | None
    max_faces: int
    fps: float | None
    frames: int | None  # at most so many of each video
    smoothing: Smoothing | None


def track_shard(share: Share, shard: Shard, before: None = None) -> Entry:
    """Follow the faces of a video and write its part."""
    (source,) = shard.sources
    watch, job, failures = Stopwatch(), share.job, []
    with tempfile.TemporaryDirectory() as folder:
        frames = _frames(share, source, Fetched(Path(folder)), failures)
        rows = (frame_rows(job.columns, followed) for followed in frames)
        n_rows = write_part(job.store, part_name(TRACKS, shard.number), job.columns, rows)
    if not n_rows and not failures:
        failures.append(Failure(source, f"{source} holds no frame that can be read"))
    write_failures_part(job.store, shard.number, failures)
    return watch.note(Entry(shard.number, 1, n_rows, len(failures)))


def _frames(share: Share, source: str, fetched: Fetched, failures: list[Failure]) -> Iterator[Followed]:
    """Read the frames of a video up to where it breaks; its failure is added to ``failures``."""
    job, (model, settings) = share.job, share.arrays
    streamed = source.partition("://")[0] in SCHEMES
    place = source if streamed else str(fetched.path(source))
    try:
        video = open_video(place, job.fps)
        config = TrackConfig(settings, max_faces=job.max_faces)
        followed = follow(model, config, video, job.camera, job.detector, job.smoothing)
        for each in islice(followed, job.frames):
            frame = each.frame
            yield each._replace(frame=frame._replace(source=fetched.source(frame.source)))
        failures += map(fetched.renamed, video.failures)
    except ValueError as error:
        failures.append(fetched.renamed(Failure(place, str(error))))
    except Exception as error:  # whatever error one video causes in a library, the others go on
        failures.append(fetched.renamed(failed(place, error)))
