"""``jaxclnf fit --cluster``: photos in shards, done by the workers of a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxclnf.commands import on_cluster
from jaxclnf.commands.asked import PhotosAsked
from jaxclnf.commands.said_of_photos import with_more_pictures

if TYPE_CHECKING:
    from jaxclnf.cluster.pool import PoolStage
    from jaxclnf.cluster.shards import Shard
    from jaxclnf.media.failures import Failure
    from jaxclnf.output.photo_files import Extras


def fit_on_cluster(
    asked: PhotosAsked,
    told: dict[str, Any],
    out: str,
    resume: bool,
    there: on_cluster.Asked,
) -> None:
    """Fit photos into a folder of Parquet parts."""
    from jaxclnf.cluster.photo_shards import LANDMARKS, PhotoJob
    from jaxclnf.cluster.places import Store
    from jaxclnf.output.photo_files import Extras
    from jaxclnf.output.photo_pipeline import photo_columns

    view, detector = asked.fits.seen_by(), asked.fits.chosen_detector()
    (model, config, validator, openface), told = on_cluster.settle(asked.fits.settled, told, asked.arguments)
    extras = Extras(asked.pictures, asked.crops, asked.margin, openface)
    told |= {"written": extras} if extras.endings else {}
    store, columns = Store(out), photo_columns(model, config, asked.fits.certainty)
    job = PhotoJob(store, columns, view, detector, asked.only_largest, asked.boxes, extras)
    plan, arrays = partial(_plan, asked, extras, there.shard), (model, config, validator)
    work = on_cluster.FolderRun(
        LANDMARKS, "photos", told, asked.arguments, plan, _stages(there), arrays, job, with_more_pictures
    )
    on_cluster.into_folder(work, store, resume, there)


def _plan(asked: PhotosAsked, extras: Extras, size: int, failures: list[Failure]) -> Iterator[Shard]:
    """Divide photos into shards, with names of their files, and with boxes if a table of them was given."""
    from jaxclnf.cluster.cluster_inputs import photo_sources
    from jaxclnf.cluster.photo_shards import with_boxes, with_stems
    from jaxclnf.cluster.places import copied
    from jaxclnf.cluster.shards import in_shards
    from jaxclnf.media.addresses import here, is_address
    from jaxclnf.media.box_tables import boxes_without_photo, read_boxes, unclear_photos

    sources = photo_sources(asked.arguments, failures)
    if asked.boxes is None:
        yield from with_stems(in_shards(sources, size), extras)
        return
    with copied(asked.boxes) as table:
        own = read_boxes(table, asked.only_largest)
    place, sources = Path(here(asked.boxes)), list(sources)  # in memory, as the boxes are
    if not is_address(asked.boxes):
        failures += boxes_without_photo(own, place)
    unclear = unclear_photos(own, map(Path, sources), place)
    shards = with_stems(in_shards(sources, size), extras)
    yield from (with_boxes(shard, own, place, unclear) for shard in shards)


def _stages(asked: on_cluster.Asked) -> list[PoolStage]:
    """Choose between one stage that does everything, and workers that read and workers that fit."""
    from jaxclnf.cluster.photo_shards import fit_loaded_shard, fit_shard, load_shard
    from jaxclnf.cluster.pool import PoolStage
    from jaxclnf.cluster.ray_engine import Size

    if not asked.readers:
        return on_cluster.stages(fit_shard, asked)
    return [PoolStage(load_shard, Size(most=asked.readers)), *on_cluster.stages(fit_loaded_shard, asked)]
