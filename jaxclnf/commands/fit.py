"""``jaxclnf fit``: landmarks on photos."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from jaxclnf.commands import choices, common, on_cluster, options
from jaxclnf.commands.fit_on_cluster import PhotosAsked, fit_on_cluster
from jaxclnf.commands.interrupt import on_interrupt

if TYPE_CHECKING:
    from jaxclnf.media.inputs import Failure
    from jaxclnf.media.read_and_detect import Looked
    from jaxclnf.output.growing_table import Table
    from jaxclnf.output.photo_files import PhotoFiles
    from jaxclnf.output.photo_pipeline import Photo


class WhichFaces(StrEnum):
    """The detected faces that are fitted."""

    all = "all"
    largest = "largest"


def fit_command(
    photos: Annotated[
        list[str], typer.Argument(help="Photos, folders, patterns, lists of files (.txt, .csv, .parquet).")
    ],
    model: options.ModelOption = None,
    out: Annotated[str, typer.Option("--out", "-o", help="Folder for table and pictures.")] = "out",
    boxes: Annotated[
        str | None, typer.Option(help="Your own boxes: CSV or Parquet file,x,y,w,h, or JSON.")
    ] = None,
    faces: Annotated[WhichFaces, typer.Option(help="Which of the detected faces to fit.")] = WhichFaces.all,
    detector: options.DetectorOption = None,
    preset: options.PresetOption = options.Preset.default,
    multi_view: options.MultiViewOption = False,
    parts: options.PartsOption = None,
    set_: options.SetOption = None,
    gaze: options.GazeOption = False,
    validator: options.ValidatorOption = None,
    camera: options.CameraOption = None,
    format: options.FormatOption = None,
    certainty: options.CertaintyOption = False,
    openface_columns: options.OpenFaceOption = None,
    pictures: Annotated[
        bool | None,
        typer.Option(help="Draw the landmarks on each photo; on a cluster only if given."),
    ] = None,
    crops: Annotated[int, typer.Option(min=0, max=4096, help="Cut faces out, so many pixels wide.")] = 0,
    margin: Annotated[float, typer.Option(min=0, max=5, help="Margin around the face in crops.")] = 0.3,
    report: options.ReportOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    cluster: options.ClusterOption = None,
    workers: options.WorkersOption = None,
    shard: options.ShardOption = None,
    gpus: options.GpusOption = None,
    readers: options.ReadersOption = None,
) -> None:
    """Find faces and their landmarks on photos: one table, and a picture of each photo."""
    settings = preset, multi_view, parts, set_, gaze
    asked = choices.FitAsked(model, *settings, detector, validator, camera, certainty, openface_columns)
    told = {"boxes": _digest(boxes), "faces": faces, **asked.told()}
    view, chosen = choices.camera(camera), told["detector"]
    there = on_cluster.given(cluster, workers=workers, shard=shard, gpus=gpus, readers=readers)
    if there is not None:
        on_cluster.check_tables(report, format)
        largest = faces is WhichFaces.largest
        beside = bool(pictures), crops, margin
        what = PhotosAsked(photos, boxes, view, chosen, largest, certainty, *beside)
        fit_on_cluster(what, asked.settled, told, out, resume, there)
        return
    import numpy  # noqa: F401 (before threads that import it too)

    from jaxclnf.batch.overlap import background, begun
    from jaxclnf.media.inputs import Failure

    inputs = background(_inputs, photos, boxes, faces, chosen, resume)  # while JAX is imported, which is slow
    from jaxclnf.media.images import no_photo
    from jaxclnf.output.growing_table import unfinished_names, write_failures
    from jaxclnf.output.photo_files import Extras, PhotoFiles
    from jaxclnf.output.photo_pipeline import fit_loaded, photo_columns, with_cameras
    from jaxclnf.output.run_folder import OutputFolder
    from jaxclnf.output.whole_files import path_cell

    place, format = Path(out), format or options.Format.csv
    found, looked, failures, passed_over = inputs.result()
    common.say_passed_over(passed_over)
    missing = [Failure(str(path), no_photo(path)) for path in found if not path.is_file()]
    common.require_one(len(found), missing, failures)
    with OutputFolder(place) as folder:
        folder.protect([*photos, *found, *filter(None, (boxes, model, validator))])
        folder.claim(f"landmarks.{format}", *unfinished_names("landmarks"), "failures.csv", "report.html")
        engine, config, judge, also = asked.settled()
        told |= choices.run_description(engine, config)
        files = PhotoFiles(folder, found, engine, Extras(pictures is not False, crops, margin, also))
        folder.save()
        names = photo_columns(engine, config, certainty)
        table = _table(place / f"landmarks.{format}", names, told, found, resume)
        todo = [path for path in found if path_cell(str(path)) not in table.done]
        fitted = begun(fit_loaded(engine, with_cameras(looked(todo), view), config, judge))
        page = background(_page, report is not False)  # while programs load
        failures += _write(table, files, fitted, len(found) - len(todo), len(todo))
        write_failures(place / "failures.csv", failures)
        if write_page := page.result():
            shown = {path_cell(str(path)): files.picture(str(path)) for path in found}
            failures += common.tried(write_page, place / "report.html", table.path, shown, failures)
    common.report_failures(failures)


class Inputs(NamedTuple):
    """The photos, the way to look at those that are to be fitted, and arguments that cannot be used."""

    found: list[Path]
    looked: Callable[[list[Path]], Iterator[Looked | Failure]]
    failures: list[Failure]
    passed_over: list[Path]


def _inputs(
    photos: list[str], boxes: str | None, faces: WhichFaces, detector: str | None, resume: bool
) -> Inputs:
    """Find the photos that arguments stand for; unless a run resumes, the first are looked at already."""
    from jaxclnf.batch.overlap import begun
    from jaxclnf.media.box_tables import boxes_of, boxes_without_photo, names_of_others, read_boxes
    from jaxclnf.media.inputs import find_photos
    from jaxclnf.media.read_and_detect import detected, look_at

    table = Path(boxes) if boxes else None
    own = read_boxes(table) if table else {}
    found = find_photos(photos)
    if table is None:
        source, failures = detected(faces is WhichFaces.largest, detector), found.failures
    else:
        source = partial(boxes_of, boxes=own, table=table)
        failures = boxes_without_photo(own, table) + found.failures
        common.say_unused(names_of_others(own, found.paths, table), table)
    if resume:
        return Inputs(found.paths, lambda todo: look_at(todo, source), failures, found.passed_over)
    looked = begun(look_at(found.paths, source))
    return Inputs(found.paths, lambda todo: looked, failures, found.passed_over)


def _page(wanted: bool) -> Callable[..., None] | None:
    """Import the writer of the report, if it is wanted."""
    if not wanted:
        return None
    from jaxclnf.output.report import page_template, report_photos

    page_template()
    return report_photos


def _table(path: Path, names: list[str], told: dict, photos: Sequence[Path], resume: bool) -> Table:
    """Open the run's table, which recognises each photo by its size and time of change."""
    from jaxclnf.output.growing_table import Table, stamp
    from jaxclnf.output.whole_files import path_cell

    here = os.getcwd() if any(not photo.is_absolute() for photo in photos) else ""
    stamps = {path_cell(str(photo)): stamp(photo) for photo in photos}
    return Table(path, names, "source", {"folder": here, **told}, resume, stamps)


def _write(
    table: Table, files: PhotoFiles, fitted: Iterator[Photo | Failure], n_done: int, n_left: int
) -> list[Failure]:
    """Write rows and pictures as photos are fitted; returns the failures."""
    from jaxclnf.batch.overlap import ahead
    from jaxclnf.cores import n_cores
    from jaxclnf.media.inputs import Failure
    from jaxclnf.media.read_and_detect import PIXELS_AHEAD
    from jaxclnf.output.photo_pipeline import photo_rows, pixels_held

    on_interrupt(f"stopped; {table.unfinished} holds what is done, --resume goes on")
    failures: list[Failure] = []
    try:
        with common.progress("photos") as bar:
            task = bar.add_task("fitting", total=n_done + n_left, completed=n_done)
            writers = max(1, n_cores() // 2)
            written = ahead(files.write, fitted, writers, writers + 3, cost=pixels_held, most=PIXELS_AHEAD)
            for photo, failure in written:
                if isinstance(photo, Failure):
                    failures.append(photo)
                else:
                    table.add(photo_rows(table.columns, photo, str(photo.path)))
                    failures += [failure] if failure else []
                bar.advance(task)
                del photo
        table.finish()
    finally:
        table.close()
    typer.echo(f"{table.path}: {common.counted(table.count, 'photo')}")
    return failures


def _digest(boxes: str | None) -> str:
    """Compute a digest of a table of boxes, also at an address; a missing file is refused later."""
    if not boxes:
        return ""
    from jaxclnf.cluster.places import copied

    with copied(boxes) as table:
        return hashlib.sha256(table.read_bytes()).hexdigest() if table.is_file() else boxes
