"""``jaxclnf track``: faces followed through videos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from jaxclnf.commands import on_cluster, options
from jaxclnf.commands.asked import FitAsked, VideosAsked
from jaxclnf.commands.track_here import track_here
from jaxclnf.commands.track_on_cluster import track_on_cluster


def track(
    videos: Annotated[
        list[str],
        typer.Argument(
            help="Videos, folders and patterns of them or of pictures, addresses, a camera's number."
        ),
    ],
    model: options.ModelOption = None,
    out: Annotated[
        str, typer.Option("--out", "-o", metavar="FOLDER", help="Folder for tables and videos.")
    ] = "out",
    faces: Annotated[int, typer.Option(min=1, max=64, help="Faces to follow at most.")] = 8,
    detector: options.DetectorOption = None,
    preset: options.PresetOption = options.Preset.default,
    multi_view: options.MultiViewOption = False,
    parts: options.PartsOption = None,
    set_: options.SetOption = None,
    gaze: options.GazeOption = False,
    validator: options.ValidatorOption = None,
    camera: options.CameraOption = None,
    smooth: Annotated[
        Literal["none", "online", "offline"],
        typer.Option(
            rich_help_panel=options.RESULTS,
            metavar="NAME",
            help="Steadier faces: online, which waits for one frame, offline, for eight, or none.",
        ),
    ] = "none",
    fps: Annotated[
        float | None,
        typer.Option(
            min=0.01, max=1e6, callback=options.check_finite, help="Frames per second, over the file's."
        ),
    ] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Stop after so many frames.")] = None,
    format: options.FormatOption = None,
    certainty: options.CertaintyOption = False,
    openface_columns: options.OpenFaceOption = None,
    pictures: Annotated[
        bool | None,
        typer.Option(
            rich_help_panel=options.RESULTS, help="Write the annotated video; on a cluster only if given."
        ),
    ] = None,
    report: options.ReportOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Skip videos whose files are all there.")] = False,
    cluster: options.ClusterOption = None,
    workers: options.WorkersOption = None,
) -> None:
    """Follow faces through videos: a table and an annotated copy of each."""
    from jaxclnf.media.addresses import here
    from jaxclnf.tracking.smoothing import OFFLINE, ONLINE

    drawn = pictures is not False if cluster is None else bool(pictures)
    fits = FitAsked(
        model, preset, multi_view, parts, set_, gaze, detector, validator, camera, certainty, openface_columns
    )
    smoothing = {"none": None, "online": ONLINE, "offline": OFFLINE}[smooth]
    table = format or options.Format.csv
    asked = VideosAsked(fits, videos, faces, fps, frames, smoothing, drawn, table)
    told = {"faces": faces, "fps": fps, "frames": frames, **fits.told()}
    told |= {} if smoothing is None else {"smooth": smooth}
    there = on_cluster.given(cluster, workers=workers)
    if there is None:
        track_here(asked, told, Path(here(out)), report is not False, resume)
    else:
        on_cluster.check_tables(report, format)
        track_on_cluster(asked, told, out, resume, there)
