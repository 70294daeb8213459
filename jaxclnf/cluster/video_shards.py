"""The work of workers on videos: what `jaxclnf track` does, written to a part of the table."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from jaxclnf.cluster.ledger import Entry, Stopwatch
from jaxclnf.cluster.local_copies import Fetched, n_absent
from jaxclnf.cluster.places import Store
from jaxclnf.cluster.result_names import PICTURES, Names
from jaxclnf.cluster.shards import Shard
from jaxclnf.cluster.table_parts import part_name, write_failures_part, write_part
from jaxclnf.cluster.worker import Share
from jaxclnf.media.container import SCHEMES
from jaxclnf.media.failures import Failure, failed
from jaxclnf.media.video_sources import open_video
from jaxclnf.output.film import Film
from jaxclnf.output.openface_table import OpenFaceTables
from jaxclnf.output.photo_files import OPENFACE
from jaxclnf.output.video_files import BESIDE_VIDEOS, video_endings, video_name
from jaxclnf.output.video_pipeline import Followed, follow, frame_rows, openface_lines
from jaxclnf.tracking import TrackConfig
from jaxclnf.tracking.smoothing import Smoothing
from jaxclnf.types import Camera

TRACKS = "tracks"
"""The folder of the table of videos."""


class VideoJob(NamedTuple):
    """Options of a run on videos; the share's arrays are the model, its settings and a validator."""

    store: Store
    columns: list[str]
    camera: Camera | None
    detector: str | None
    max_faces: int
    fps: float | None
    frames: int | None  # at most so many of each video
    smoothing: Smoothing | None
    pictures: bool = False
    openface: OpenFaceTables | None = None


def track_shard(share: Share, shard: Shard, before: None = None) -> Entry:
    """Follow the faces of a video and write its part, annotated copy and OpenFace's table."""
    (source,) = shard.sources
    watch, job, failures = Stopwatch(), share.job, []
    n_seen: list[int] = []  # faces, whenever a frame is searched for them
    with tempfile.TemporaryDirectory() as folder, job.store.filled() as beside:
        frames = _frames(share, shard, Fetched(Path(folder)), beside, failures, n_seen)
        rows = (frame_rows(job.columns, followed) for followed in frames)
        n_rows = write_part(job.store, part_name(TRACKS, shard.number), job.columns, rows)
    if not n_rows and not failures:
        failures.append(Failure(source, f"{source} holds no frame that can be read"))
    write_failures_part(job.store, shard.number, failures)
    partly = [source] if max(n_seen, default=0) > job.max_faces > 1 else []
    lost = len(failures), n_absent(failures)
    return watch.note(Entry(shard.number, 1, n_rows, *lost, partly=partly))


def _frames(
    share: Share,
    shard: Shard,
    fetched: Fetched,
    beside: Path,
    failures: list[Failure],
    n_seen: list[int],
) -> Iterator[Followed]:
    """Read the frames of a video up to where it breaks; its failure is added, and the faces that are seen."""
    job, (model, settings, validator), (source,) = share.job, share.arrays, shard.sources
    config = TrackConfig(settings, max_faces=job.max_faces).validated(validator)
    streamed = source.partition("://")[0] in SCHEMES
    place = source if streamed else str(fetched.path(source))
    try:
        video = open_video(place, job.fps)
        run = follow(model, config, video, job.camera, job.detector, job.smoothing, n_seen.append)
        followed = islice(run, job.frames)
        with _writing(job, shard, beside, video.fps, failures) as write:
            for each in followed:
                named = each._replace(frame=each.frame._replace(source=fetched.source(each.frame.source)))
                write(named)
                yield named
        failures += map(fetched.renamed, video.failures)
    except ValueError as error:
        failures.append(fetched.renamed(Failure(place, str(error))))
    except Exception as error:  # whatever error one video causes in a library, the others go on
        failures.append(fetched.renamed(failed(place, error)))


@contextmanager
def _writing(
    job: VideoJob, shard: Shard, folder: Path, fps: float, failures: list[Failure]
) -> Iterator[Callable[[Followed], None]]:
    """Give a function that adds frames to a video's annotated copy and OpenFace's table, if asked for."""
    (source,), stem = shard.sources, "".join(shard.stems)
    film = Film(_file(folder, PICTURES, f"{stem}.mp4"), source, fps) if job.pictures else None
    table = job.openface.video(_file(folder, OPENFACE, f"{stem}.csv")) if job.openface else None

    def write(followed: Followed) -> None:
        if film:
            film.draw(followed)
        if table:
            table.add(openface_lines(followed))

    try:
        yield write
    finally:
        if film:
            film.finish()
            failures += (
                f._replace(reason=f.reason.replace(str(folder), job.store.place)) for f in film.failures
            )
        if table:
            table.finish()


def _file(folder: Path, within: str, name: str) -> Path:
    """Give the path of a file in a folder within this one, which is made."""
    (folder / within).mkdir(exist_ok=True)
    return folder / within / name


def with_stem(shards: Iterable[Shard], format: str) -> Iterator[Shard]:
    """Add names for the files of the videos to shards, those of a run alone with tables of this format."""
    names = Names(video_endings(format, pictures=True), beside=BESIDE_VIDEOS)
    for shard in shards:
        yield shard._replace(stems=tuple(names.give(video_name(source)) for source in shard.sources))
