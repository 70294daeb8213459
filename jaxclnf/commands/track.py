"""``jaxclnf track``: faces followed through videos."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from jaxclnf.commands import choices, common, on_cluster, options
from jaxclnf.commands.interrupt import on_interrupt
from jaxclnf.commands.track_on_cluster import VideosAsked, track_on_cluster

if TYPE_CHECKING:
    from jaxclnf.media.frames import Video
    from jaxclnf.media.inputs import Failure
    from jaxclnf.output.video_files import VideoFiles
    from jaxclnf.output.video_pipeline import Followed


def track(
    videos: Annotated[
        list[str],
        typer.Argument(
            help="Videos, folders and patterns of them or of pictures, addresses, a camera's number."
        ),
    ],
    model: options.ModelOption = None,
    out: Annotated[str, typer.Option("--out", "-o", help="Folder for tables and videos.")] = "out",
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
        typer.Option(help="Steadier faces; online waits for one frame, offline for eight."),
    ] = "none",
    fps: Annotated[
        float | None, typer.Option(min=0.01, max=1e6, help="Frames per second, over the file's.")
    ] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Stop after so many frames.")] = None,
    format: options.FormatOption = None,
    certainty: options.CertaintyOption = False,
    openface_columns: options.OpenFaceOption = None,
    pictures: Annotated[
        bool | None, typer.Option(help="Write the annotated video; on a cluster only if given.")
    ] = None,
    report: options.ReportOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Skip videos that have a table.")] = False,
    cluster: options.ClusterOption = None,
    workers: options.WorkersOption = None,
) -> None:
    """Follow faces through videos: a table and an annotated copy of each."""
    import cv2
    import jax

    from jaxclnf.cores import n_cores
    from jaxclnf.media.inputs import Failure, failed
    from jaxclnf.media.video_sources import absence, find_videos, is_missing, open_video
    from jaxclnf.output.growing_table import write_failures
    from jaxclnf.output.report import report_videos
    from jaxclnf.output.run_folder import OutputFolder
    from jaxclnf.output.video_files import BESIDE_VIDEOS, plan_videos
    from jaxclnf.output.video_pipeline import follow
    from jaxclnf.tracking import TrackConfig
    from jaxclnf.tracking.smoothing import OFFLINE, ONLINE

    settings = preset, multi_view, parts, set_, gaze
    asked = choices.FitAsked(model, *settings, detector, validator, camera, certainty, openface_columns)
    told = {"faces": faces, "fps": fps, "frames": frames, **asked.told()}
    view, chosen = choices.camera(camera), told["detector"]
    smoothing = {"none": None, "online": ONLINE, "offline": OFFLINE}[smooth]
    told |= {} if smoothing is None else {"smooth": smooth}
    settled = partial(asked.settled, of_video=True)
    there = on_cluster.given(cluster, workers=workers)
    if there is not None:
        on_cluster.check_tables(report, format)
        beside = bool(pictures), format or options.Format.csv
        what = VideosAsked(videos, view, chosen, faces, fps, frames, smoothing, certainty, *beside)
        track_on_cluster(what, settled, told, out, resume, there)
        return
    place, format, pictures = Path(out), format or options.Format.csv, pictures is not False
    found = find_videos(videos)
    failures = list(found.failures)
    common.say_passed_over(found.passed_over)
    missing = [Failure(source, absence(source)) for source in found.sources if is_missing(source)]
    common.require_one(len(found.sources), missing, failures)
    with OutputFolder(place) as folder:
        folder.protect([*videos, *found.sources, *found.passed_over, *filter(None, (model, validator))])
        folder.claim(*BESIDE_VIDEOS)
        engine, config, judge, also = settled()
        config = jax.device_put(config)
        cv2.setNumThreads(max(1, n_cores() // 2))  # as many as serve it best beside the threads of a run
        tracking = TrackConfig(config, max_faces=faces).validated(judge)
        told |= choices.run_description(engine, config)
        plan = plan_videos(folder, found.sources, format, pictures, told)
        for files in plan:
            if resume and files.is_done():
                failures += files.earlier_failures()
                continue
            try:
                video = open_video(files.source, fps)
                files.begin(engine, config, video, pictures, also, certainty)
                run = islice(follow(engine, tracking, video, view, chosen, smoothing), frames)
                failures += _write(video, run, files, frames)
            except ValueError as error:
                failures.append(Failure(files.source, str(error)))
            except Exception as error:  # whatever error one video causes in a library, the others go on
                failures.append(failed(files.source, error))
            finally:
                files.stop()
        write_failures(place / "failures.csv", failures)
        if report is not False:
            shown = {files.table: files.film for files in plan}
            failures += common.tried(report_videos, place / "report.html", shown, failures)
    common.report_failures(failures)


def _write(video: Video, run: Iterator[Followed], files: VideoFiles, most: int | None) -> list[Failure]:
    """Write a video's table and its annotated copy as its frames come; returns its failures."""
    from jaxclnf.batch.overlap import ahead

    on_interrupt(f"stopped; {files.unfinished} holds the frames that are done")
    with common.progress("frames") as bar:
        task = bar.add_task(files.table.stem, total=_least(video.n_frames, most))
        with closing(ahead(files.draw, run, depth=3, gives_way=True)) as drawn:
            for followed in drawn:
                files.add(followed)
                bar.advance(task)
    failures = files.finish(video)
    typer.echo(f"{files.table}: {common.counted(files.n_frames, 'frame')}")
    return failures


def _least(*counts: int | None) -> int | None:
    return min((n for n in counts if n is not None), default=None)
