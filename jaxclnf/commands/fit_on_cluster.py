"""``jaxclnf fit --cluster``: photos in shards, done by the workers of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from jaxclnf.commands import on_cluster

if TYPE_CHECKING:
    from jaxclnf.cluster.plan import Shard
    from jaxclnf.cluster.pool import PoolStage
    from jaxclnf.config import FitConfig
    from jaxclnf.media.inputs import Failure
    from jaxclnf.types import Camera, Model


class PhotosAsked(NamedTuple):
    """The photos that a user asks for, and the source of their boxes."""

    arguments: list[str]
    boxes: Path | None
    camera: Camera | None
    detector: str | None
    only_largest: bool
    shard: int  # photos that a worker takes at a time
    certainty: bool


def fit_on_cluster(
    asked: PhotosAsked,
    settled: Callable[[], tuple[Model, FitConfig]],
    told: dict[str, Any],
    out: str,
    resume: bool,
    cluster: on_cluster.Asked,
) -> None:
    """Fit photos into a folder of Parquet parts; ``settled`` gives the model and settings."""
    from jaxclnf.cluster.photos import LANDMARKS, PhotoJob
    from jaxclnf.cluster.places import Store
    from jaxclnf.output.photos import photo_columns

    model, config, told = on_cluster.settle(settled, told, asked.arguments)
    store, columns = Store(out), photo_columns(model, config, asked.certainty)
    job = PhotoJob(store, columns, asked.camera, asked.detector, asked.only_largest, asked.boxes)
    plan, stages = partial(_plan, asked), _stages(cluster)
    work = on_cluster.FolderRun(LANDMARKS, "photos", told, plan, stages, (model, config), job)
    on_cluster.into_folder(work, store, resume, cluster)


def _plan(asked: PhotosAsked, failures: list[Failure]) -> Iterator[Shard]:
    """Divide photos into shards, with their boxes if a table of them was given."""
    from jaxclnf.cluster.inputs import photo_sources
    from jaxclnf.cluster.photos import with_boxes
    from jaxclnf.cluster.plan import in_shards
    from jaxclnf.media.boxes import boxes_without_photo, read_boxes

    shards = in_shards(photo_sources(asked.arguments, failures), asked.shard)
    if asked.boxes is None:
        yield from shards
        return
    own = read_boxes(asked.boxes)
    failures += boxes_without_photo(own, asked.boxes)
    yield from (with_boxes(shard, own, asked.boxes) for shard in shards)


def _stages(asked: on_cluster.Asked) -> list[PoolStage]:
    """Choose between one stage that does everything, and workers that read and workers that fit."""
    from jaxclnf.cluster.engine import Size
    from jaxclnf.cluster.photos import fit_loaded_shard, fit_shard, load_shard
    from jaxclnf.cluster.pool import PoolStage

    if not asked.readers:
        return on_cluster.stages(fit_shard, asked)
    return [PoolStage(load_shard, Size(most=asked.readers)), *on_cluster.stages(fit_loaded_shard, asked)]
