"""The work of workers on shards of photos: what `jaxclnf fit` does, written to a part of the table."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxclnf.batch.box_rows import box_rows
from jaxclnf.cluster.ledger import Entry, Stopwatch
from jaxclnf.cluster.local_copies import Fetched, n_absent
from jaxclnf.cluster.places import Store
from jaxclnf.cluster.result_names import PICTURES, Names
from jaxclnf.cluster.shards import Boxes, Shard
from jaxclnf.cluster.table_parts import part_name, write_failures_part, write_part
from jaxclnf.cluster.worker import Share
from jaxclnf.media.box_tables import Boxes as TableBoxes
from jaxclnf.media.box_tables import boxes_of
from jaxclnf.media.failures import Failure
from jaxclnf.media.read_and_detect import BoxSource, detected
from jaxclnf.output.photo_files import CROPS, OPENFACE, Extras, Folders
from jaxclnf.output.photo_pipeline import Photo, fit_loaded, load_photos, photo_rows
from jaxclnf.types import Camera

LANDMARKS = "landmarks"
"""The folder of the table of photos."""


class PhotoJob(NamedTuple):
    """Options of a run on photos; the share's arrays are the model, its settings and a validator."""

    store: Store
    columns: list[str]
    camera: Camera | None
    detector: str | None
    only_largest: bool
    table_of_boxes: str | None
    extras: Extras = Extras()


Loaded = list[tuple[Photo | Failure, str]]
"""Photos that were read and searched for faces, with their sources."""


def fit_shard(share: Share, shard: Shard, before: None = None) -> Entry:
    """Read the photos of a shard, find and fit their faces, and write the shard's parts."""
    watch = Stopwatch()
    with _loading(share.job, shard) as loading:
        return watch.note(_finished(share, shard, loading))


def load_shard(share: Share, shard: Shard, before: None = None) -> Loaded:
    """Read the photos of a shard and find their faces, for a worker that fits."""
    with _loading(share.job, shard) as loading:
        return list(loading)


def fit_loaded_shard(share: Share, shard: Shard, before: Loaded) -> Entry:
    """Fit the photos that `load_shard` has read, and write the shard's parts."""
    watch = Stopwatch()
    return watch.note(_finished(share, shard, before))


@contextmanager
def _loading(job: PhotoJob, shard: Shard) -> Iterator[Iterator[tuple[Photo | Failure, str]]]:
    with tempfile.TemporaryDirectory() as folder:
        fetched = Fetched(Path(folder))
        paths = fetched.paths(shard.sources)
        yield _named(load_photos(paths, _boxes(job, shard, fetched), job.camera), fetched)


def _named(loaded: Iterable[Photo | Failure], fetched: Fetched) -> Iterator[tuple[Photo | Failure, str]]:
    for photo in loaded:
        if isinstance(photo, Failure):
            failure = fetched.renamed(photo)
            yield failure, failure.source
        else:
            fetched.release(photo.path)
            yield photo, fetched.source(photo.path)


def _boxes(job: PhotoJob, shard: Shard, fetched: Fetched) -> BoxSource:
    """Give the boxes of a photo's faces, from a detector or as they came with the shard."""
    if job.table_of_boxes is None:
        return detected(job.only_largest, job.detector)
    known = {str(Path(source)): rows for source, rows in (shard.boxes or {}).items()}

    def look_up(path: Path, rgb: np.ndarray) -> np.ndarray:
        rows = known[str(Path(fetched.source(path)))]
        if isinstance(rows, str):
            raise ValueError(rows)
        return box_rows(np.array(rows, np.float32))

    return look_up


def _finished(share: Share, shard: Shard, loading: Iterable[tuple[Photo | Failure, str]]) -> Entry:
    """Fit photos as they come and write the shard's parts; returns the shard's entry in the ledger."""
    job, failures, sources, partly = share.job, [], [], []
    model, config, validator = share.arrays
    mean = np.asarray(model.pdm.mean)

    def loaded() -> Iterator[Photo | Failure]:
        for photo, source in loading:
            sources.append(source)
            yield photo

    def batches() -> Iterator[list[list[str]]]:
        fitted = fit_loaded(model, loaded(), config, validator, job.only_largest)
        for n, photo in enumerate(fitted):
            if isinstance(photo, Failure):
                reason = photo.reason.replace(photo.source, sources[n])  # a copy's, if the fit failed
                failures.append(Failure(sources[n], reason))
                continue
            if shard.stems:
                failures.extend(_extras(job, photo, sources[n], shard.stems[n], mean))
            partly.extend([sources[n]] if photo.has_more else [])
            yield photo_rows(job.columns, photo, sources[n])

    n_rows = write_part(job.store, part_name(LANDMARKS, shard.number), job.columns, batches())
    write_failures_part(job.store, shard.number, failures)
    lost = len(failures), n_absent(failures)
    return Entry(shard.number, len(shard.sources), n_rows, *lost, partly=partly)


def _extras(job: PhotoJob, photo: Photo, source: str, stem: str, mean: np.ndarray) -> list[Failure]:
    """Write a photo's pictures, crops and OpenFace's table; returns the failure, if there is one."""
    with job.store.filled() as folder:
        folders = Folders(folder / PICTURES, folder / CROPS, folder / OPENFACE)
        for each in folders:
            each.mkdir()
        failure = job.extras.write(photo, source, stem, mean, folders)
    return [failure] if failure else []


def with_stems(shards: Iterable[Shard], extras: Extras) -> Iterator[Shard]:
    """Add names for the files of the photos to shards, if such files are written."""
    if not extras.endings:
        yield from shards
        return
    names = Names(extras.endings, extras.longest)
    for shard in shards:
        yield shard._replace(stems=tuple(names.give(Path(each).stem or "out") for each in shard.sources))


def with_boxes(shard: Shard, boxes: TableBoxes, table: Path, unclear: Mapping[Path, str]) -> Shard:
    """Add to a shard the boxes that a table has of its photos, or what its worker is to say of those without.

    Those of ``unclear`` photos (`jaxclnf.media.box_tables.unclear_photos`) may be others' and are left out.
    """
    nothing, found = np.zeros((0, 0, 3), np.uint8), Boxes()
    for source in shard.sources:
        try:
            found[source] = boxes_of(Path(source), nothing, boxes, table, unclear).tolist()
        except ValueError as error:
            found[source] = str(error)
    return shard._replace(boxes=found)
