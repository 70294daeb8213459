"""``jaxclnf fit``: landmarks on photos."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from jaxclnf.commands import on_cluster, options
from jaxclnf.commands.asked import FitAsked, PhotosAsked
from jaxclnf.commands.fit_here import fit_here
from jaxclnf.commands.fit_on_cluster import fit_on_cluster


class WhichFaces(StrEnum):
    """The faces of a photo that are fitted, of those that were detected or that have a box."""

    all = "all"
    largest = "largest"


def fit_command(
    photos: Annotated[
        list[str], typer.Argument(help="Photos, folders, patterns, lists of files (.txt, .csv, .parquet).")
    ],
    model: options.ModelOption = None,
    out: Annotated[
        str, typer.Option("--out", "-o", metavar="FOLDER", help="Folder for table and pictures.")
    ] = "out",
    boxes: Annotated[
        str | None, typer.Option(metavar="FILE", help="Your own boxes: CSV or Parquet file,x,y,w,h, or JSON.")
    ] = None,
    faces: Annotated[WhichFaces, typer.Option(help="Which of a photo's faces to fit.")] = WhichFaces.all,
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
        typer.Option(
            rich_help_panel=options.RESULTS,
            help="Draw the landmarks on each photo; on a cluster only if given.",
        ),
    ] = None,
    crops: Annotated[
        int,
        typer.Option(
            min=0, max=4096, rich_help_panel=options.RESULTS, help="Cut faces out, so many pixels wide."
        ),
    ] = 0,
    margin: Annotated[
        float,
        typer.Option(
            min=0,
            max=5,
            callback=options.check_finite,
            rich_help_panel=options.RESULTS,
            help="Margin around the face in crops.",
        ),
    ] = 0.3,
    report: options.ReportOption = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an interrupted run, or do again what failed.")
    ] = False,
    cluster: options.ClusterOption = None,
    workers: options.WorkersOption = None,
    shard: options.ShardOption = None,
    gpus: options.GpusOption = None,
    readers: options.ReadersOption = None,
) -> None:
    """Find faces and their landmarks on photos: one table, and a picture of each photo."""
    from jaxclnf.media.addresses import check_no_address, here

    drawn = pictures is not False if cluster is None else bool(pictures)
    fits = FitAsked(
        model, preset, multi_view, parts, set_, gaze, detector, validator, camera, certainty, openface_columns
    )
    largest = faces is WhichFaces.largest
    asked = PhotosAsked(fits, photos, boxes, largest, drawn, crops, margin)
    there = on_cluster.given(cluster, workers=workers, shard=shard, gpus=gpus, readers=readers)
    if boxes and detector:
        raise ValueError(f"--detector {detector}: faces are where --boxes says; leave one of the two out")
    if there is None and boxes:
        check_no_address(boxes, "read")
    told = {"boxes": _digest(boxes), "faces": faces, **fits.told()}
    if there is None:
        fit_here(asked, told, Path(here(out)), format or options.Format.csv, report is not False, resume)
    else:
        on_cluster.check_tables(report, format)
        fit_on_cluster(asked, told, out, resume, there)


def _digest(boxes: str | None) -> str:
    """Compute a digest of a table of boxes, also at an address; a missing file is refused later."""
    if not boxes:
        return ""
    from jaxclnf.cluster.places import copied

    with copied(boxes) as table:
        return hashlib.sha256(table.read_bytes()).hexdigest() if table.is_file() else boxes
