"""The cost of each stage of photos and films, done alone, one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import cv2
import jax
import numpy as np

from jaxclnf.batch.many_faces import fit_faces
from jaxclnf.media.detection import detect_faces, named_detector
from jaxclnf.media.images import RGB, read_photo, to_grey
from jaxclnf.media.video_encoder import VideoFile
from jaxclnf.media.video_sources import open_video
from jaxclnf.models.calibration import confidences
from jaxclnf.output import video_pipeline as films
from jaxclnf.output.csv_cells import csv_text
from jaxclnf.output.overlays import overlay, save_picture
from jaxclnf.output.photo_pipeline import Photo, measure, photo_columns, photo_rows
from jaxclnf.tracking import TrackConfig
from jaxclnf.types import Camera, Model

GROUP = 16  # photos that are fitted together, as a run does
MOST_FRAMES = 100  # of a film of which each stage is timed alone
WARM = 12  # of them that are followed before, untimed


@dataclass
class Stages:
    """Milliseconds of CPU time of each stage for a photo or frame, in the order of a run."""

    unit: str
    cpu_ms: dict[str, float] = field(default_factory=dict)
    n: int = 0

    @contextmanager
    def timed(self, stage: str, clock: Callable[[], float] = time.process_time) -> Iterator[None]:
        """Count the CPU time of a context as a stage's; by the thread's own clock if others run beside it."""
        start = clock()
        try:
            yield
        finally:
            self.cpu_ms[stage] = self.cpu_ms.get(stage, 0.0) + 1e3 * (clock() - start)

    def each(self) -> dict[str, float]:
        """Compute the CPU time of each stage for one photo or frame."""
        return {stage: total / self.n for stage, total in self.cpu_ms.items()}


@contextmanager
def opencv_in_one_thread() -> Iterator[None]:
    """Keep OpenCV's networks in the thread that calls them, whose clock else misses what others compute."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def photos_alone(model: Model, paths: list[Path], folder: Path) -> Stages:
    """Time every stage of photos, one after the other; the first group is done twice, since it compiles."""
    names = photo_columns(model, model.settings)
    _group_alone(model, names, paths[:GROUP], folder, Stages("photo"))
    stages = Stages("photo")
    for first in range(0, len(paths), GROUP):
        _group_alone(model, names, paths[first : first + GROUP], folder, stages)
    return stages


def _group_alone(model: Model, names: list[str], paths: list[Path], folder: Path, stages: Stages) -> None:
    find = named_detector()
    with stages.timed("read"):
        photos = [read_photo(path) for path in paths]
    with stages.timed("detect"):
        boxes = [detect_faces(rgb, find).tilted for rgb in photos]
    with stages.timed("fit"):
        result = fit_faces(model, list(map(to_grey, photos)), boxes, model.settings)
    with stages.timed("measure"):
        cameras = [Camera.default(*rgb.shape[1::-1]) for rgb, k in zip(photos, boxes, strict=True) for _ in k]
        stacked = jax.tree.map(lambda *c: np.stack(c), *cameras)
        faces = iter(measure(model, result, confidences(model, result, model.settings), stacked))
    for path, rgb, rows in zip(paths, photos, boxes, strict=True):
        photo = Photo(path, rgb, Camera.default(*rgb.shape[1::-1]), rows, tuple(next(faces) for _ in rows))
        with stages.timed("write rows"):
            csv_text(photo_rows(names, photo, str(path)))
        with stages.timed("draw"):
            picture = overlay(photo)
        with stages.timed("write picture"):
            save_picture(folder / "picture.png", picture)
        stages.n += 1


@opencv_in_one_thread()
def frames_alone(model: Model, film: Path, folder: Path) -> Stages:
    """Time every stage of a film's first frames, one by one; following without detection is "fit"."""
    stages, config = Stages("frame"), TrackConfig(jax.device_put(model.settings))
    find, names = named_detector(), films.video_columns(model, model.settings)

    def detector(rgb: RGB):
        with stages.timed("detect", time.thread_time):
            return find(rgb)

    video = open_video(str(film))
    with stages.timed("decode"):
        frames = list(islice(video.frames, MOST_FRAMES))
    list(films.follow(model, config, video._replace(frames=iter(frames[:WARM])), None, find))  # compiles
    with stages.timed("fit"):
        seen = list(films.follow(model, config, video._replace(frames=iter(frames)), None, detector))
    stages.cpu_ms["fit"] -= stages.cpu_ms["detect"]
    with stages.timed("write rows"):
        for each in seen:
            csv_text(films.frame_rows(names, each))
    with stages.timed("draw"):
        pictures = [films.annotated(each) for each in seen]
    with stages.timed("write picture"):
        copy = VideoFile(folder / "copy.mp4", video.fps)
        for each, picture in zip(seen, pictures, strict=True):
            copy.add(picture, each.frame.time)
        copy.finish()
    stages.n = len(seen)
    order = "decode", "detect", "fit", "write rows", "draw", "write picture"
    stages.cpu_ms = {stage: stages.cpu_ms[stage] for stage in order}
    return stages
