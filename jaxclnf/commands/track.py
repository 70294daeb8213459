"""``jaxclnf track``: faces through videos."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jaxclnf.commands import common

if TYPE_CHECKING:
    from jaxclnf.media.inputs import Failure
    from jaxclnf.media.video import Video, VideoFile
    from jaxclnf.output.followed import Followed
    from jaxclnf.output.openface_table import VideoTable
    from jaxclnf.output.runs import Table
    from jaxclnf.types import Model


def track(
    videos: Annotated[list[str], typer.Argument(help="Videos, folders of pictures, a camera's number.")],
    model: common.ModelOption = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for tables and videos.")] = Path("out"),
    faces: Annotated[int, typer.Option(min=1, max=64, help="Most faces to follow at once.")] = 8,
    detector: common.DetectorOption = None,
    preset: common.PresetOption = common.Preset.default,
    multi_view: common.MultiViewOption = False,
    parts: common.PartsOption = None,
    set_: common.SetOption = None,
    gaze: common.GazeOption = False,
    camera: common.CameraOption = None,
    fps: Annotated[float | None, typer.Option(min=0.01, help="Frames a second, over the file's.")] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Stop after so many frames.")] = None,
    format: common.FormatOption = common.Format.csv,
    openface_columns: common.OpenFaceOption = None,
    pictures: Annotated[bool, typer.Option(help="Write the annotated video.")] = True,
    report: Annotated[bool, typer.Option(help="Write report.html.")] = True,
    resume: Annotated[bool, typer.Option("--resume", help="Leave out videos that have a table.")] = False,
) -> None:
    """Follow faces through videos: a table and an annotated video each."""
    import jax

    from jaxclnf.media.inputs import Failure
    from jaxclnf.media.video import VideoFile, open_video
    from jaxclnf.output.followed import follow, video_columns
    from jaxclnf.output.pictures import output_names
    from jaxclnf.output.report import report_videos
    from jaxclnf.output.runs import Table, make_folder, write_failures
    from jaxclnf.tracking.tracker import TrackConfig

    view, chosen = common.camera(camera), common.detector_name(detector, preset)
    make_folder(out)
    engine = common.open_model(model)
    settings = jax.device_put(common.fit_config(preset, multi_view, parts, set_, engine, gaze))
    config = TrackConfig(settings, max_faces=faces)
    failures: list[Failure] = []
    done = {}
    for source, name in output_names(videos).items():
        path = out / f"{name}.{format}"
        done[path] = path.with_suffix(".mp4")
        if resume and path.exists():
            continue
        try:
            video = open_video(source, fps)
            table = Table.afresh(path, video_columns(engine, gaze))
            film = VideoFile(done[path], video.fps) if pictures else None
            run = islice(follow(engine, config, video, view, chosen), frames)
            also = _openface(out / "openface" / f"{name}.csv", engine, gaze, openface_columns)
            failures += _write(video, run, table, film, also, frames)
        except ValueError as error:
            failures.append(Failure(source, str(error)))
    write_failures(out / "failures.csv", failures)
    if report:
        report_videos(out / "report.html", done, failures)
    common.report_failures(failures)


def _openface(path: Path, model: Model, gaze: bool, release: str | None) -> VideoTable | None:
    """OpenFace's own table of a video, if it is asked for."""
    from jaxclnf.fitting.gaze import n_eye_points
    from jaxclnf.output.openface_table import Release, VideoTable, header

    if release is None:
        return None
    eye_points = n_eye_points(model) if gaze else 0
    first = header(model.pdm.n_points, model.pdm.n_modes, video=True, n_eye_points=eye_points)
    return VideoTable(path, first, Release(release))


def _write(
    video: Video,
    run: Iterator[Followed],
    table: Table,
    film: VideoFile | None,
    also: VideoTable | None,
    most: int | None,
) -> list[Failure]:
    """Write a video's table and its annotated copy as its frames come; returns what was wrong with it."""
    from jaxclnf.batch.pipeline import ahead
    from jaxclnf.output.followed import annotated, openface_lines, rows_of

    def draw(followed: Followed) -> Followed:
        if film:
            film.add(annotated(followed))
        return followed

    done = 0
    try:
        with common.progress("frames") as bar:
            task = bar.add_task(table.path.stem, total=_least(video.n_frames, most))
            for followed in ahead(draw, run, depth=8):
                table.add(rows_of(table.columns, video.name, followed))
                if also:
                    also.add(openface_lines(followed))
                done += 1
                bar.advance(task)
        table.finish()
        if also:
            also.finish()
    except KeyboardInterrupt:
        typer.echo(f"jaxclnf: stopped; {table.unfinished} holds {done} frames", err=True)
        raise typer.Exit(130) from None
    finally:
        table.close()
        if also:
            also.close()
        if film:
            film.finish()
    typer.echo(f"{table.path}: {done} frames")
    return video.failures + _missing(video, done, most)


def _missing(video: Video, done: int, most: int | None) -> list[Failure]:
    """Whether a video ended before it should; what files promise is now and then one frame too many."""
    from jaxclnf.media.inputs import Failure

    expected = _least(video.n_frames, most)
    if not done:
        return [Failure(video.name, f"{video.name} holds no frame that can be read")]
    if expected and done + len(video.failures) < expected - 1:
        return [Failure(video.name, f"{video.name} breaks off after {done} of {expected} frames")]
    return []


def _least(*counts: int | None) -> int | None:
    return min((n for n in counts if n is not None), default=None)
