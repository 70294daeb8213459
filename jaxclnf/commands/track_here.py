"""``jaxclnf track`` on one machine: a video at a time, its frames read, followed and written side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from jaxclnf.commands import choices, messages, outputs
from jaxclnf.commands.asked import VideosAsked
from jaxclnf.commands.interrupt import on_interrupt
from jaxclnf.commands.progress_bars import progress_bar
from jaxclnf.wording import counted

if TYPE_CHECKING:
    from jaxclnf.commands.asked import Settled
    from jaxclnf.media.failures import Failure
    from jaxclnf.media.frames import Video
    from jaxclnf.output.video_files import VideoFiles
    from jaxclnf.output.video_pipeline import Followed
    from jaxclnf.types import Camera


Begin = Callable[["VideoFiles", "Video", list[int]], Iterator["Followed"]]
"""Function that begins a video's files and follows its faces; it appends counts of those seen to the list."""


def track_here(asked: VideosAsked, told: dict[str, Any], place: Path, report: bool, resume: bool) -> None:
    """Follow faces through videos into a folder: a table and an annotated copy of each, a report."""
    from jaxclnf.media.failures import Failure
    from jaxclnf.media.video_inputs import absence, find_videos, is_missing
    from jaxclnf.output.failures_table import write_failures
    from jaxclnf.output.report import report_videos
    from jaxclnf.output.run_folder import OutputFolder
    from jaxclnf.output.video_files import BESIDE_VIDEOS, plan_videos

    view = asked.fits.seen_by()
    found = find_videos(asked.arguments)
    failures = list(found.failures)
    messages.say_passed_over(found.passed_over)
    missing = [Failure(source, absence(source)) for source in found.sources if is_missing(source)]
    messages.require_one(len(found.sources), missing, failures)
    own = filter(None, (asked.fits.model, asked.fits.validator))
    with OutputFolder(place) as folder:
        folder.protect([*asked.arguments, *found.sources, *found.passed_over, *own])
        folder.claim(*BESIDE_VIDEOS)
        settled = asked.fits.settled(of_video=True)
        told |= choices.run_description(settled.model, settled.config)
        begin = _beginning(asked, settled, view)  # first: what options ask for in vain touches no file
        plan = plan_videos(folder, found.sources, asked.format, asked.pictures, told, settled.openface)
        shown, found_wrong = _all_followed(plan, asked, begin, resume)
        failures += found_wrong
        failures += outputs.written(write_failures, place / "failures.csv", failures)
        if report:
            failures += outputs.report_written(report_videos, place / "report.html", shown, failures)
    messages.report_failures(failures)


def _all_followed(
    plan: Iterable[VideoFiles], asked: VideosAsked, begin: Begin, resume: bool
) -> tuple[dict[Path, Path], list[Failure]]:
    """Follow faces through videos, but those done before; gives films by their tables, and failures."""
    shown: dict[Path, Path] = {}
    failures: list[Failure] = []
    for files in plan:
        is_done = resume and files.is_done()
        if is_done:
            typer.echo(f"{files.table}: done before")
            failures += files.earlier_failures()
        else:
            failures += _follow(files, asked, begin)
        if is_done or files.is_finished:
            shown[files.table] = files.film
    return shown, failures


def _beginning(asked: VideosAsked, settled: Settled, view: Camera | None) -> Begin:
    """Make the function that begins a video's files and follows its faces, with what all videos share.

    Raises ValueError for a detector or columns that there are not.
    """
    import cv2
    import jax

    from jaxclnf.cores import n_cores
    from jaxclnf.media.detection import named_detector
    from jaxclnf.output.video_pipeline import follow, video_columns
    from jaxclnf.tracking import TrackConfig

    model, config, judge, _ = settled
    names = video_columns(model, config, asked.fits.certainty)
    config, detector = jax.device_put(config), named_detector(asked.fits.chosen_detector())
    cv2.setNumThreads(max(1, n_cores() // 2))  # as many as serve it best beside the threads of a run
    tracking = TrackConfig(config, max_faces=asked.max_faces).validated(judge)

    def begin(files: VideoFiles, video: Video, n_seen: list[int]) -> Iterator[Followed]:
        files.begin(names, video)
        run = follow(model, tracking, video, view, detector, asked.smoothing, n_seen.append)
        return islice(run, asked.frames)

    return begin


def _follow(files: VideoFiles, asked: VideosAsked, begin: Begin) -> list[Failure]:
    """Follow faces through a video; whatever error it causes in a library, the others go on."""
    from jaxclnf.media.failures import Failure, failed

    n_seen: list[int] = []  # faces, whenever a frame is searched for them
    try:
        video = _opened(files, asked.fps)
        failures = _write(video, begin(files, video, n_seen), files, asked.frames)
        _say_others(files, max(n_seen, default=0), asked.max_faces)
        return failures
    except ValueError as error:
        return [Failure(files.source, str(error))]
    except Exception as error:
        return [failed(files.source, error)]
    finally:
        files.stop()


def _opened(files: VideoFiles, fps: float | None) -> Video:
    """Open a video; where that is impossible, results of another one that had its name go."""
    from jaxclnf.media.video_sources import open_video

    try:
        return open_video(files.source, fps)
    except ValueError:
        files.give_up()
        raise


def _write(video: Video, run: Iterator[Followed], files: VideoFiles, most: int | None) -> list[Failure]:
    """Write a video's table and its annotated copy as its frames come; returns its failures."""
    from jaxclnf.batch.overlap import ahead

    on_interrupt(f"stopped; {files.unfinished} holds the frames that are done")
    with progress_bar("frames") as bar:
        task = bar.add_task(files.table.stem, total=_least(video.n_frames, most))
        with closing(ahead(files.add, run, depth=3, gives_way=True)) as added:
            for _ in added:
                bar.advance(task)
    failures = files.finish(video)
    on_interrupt(f"stopped; {files.table} is whole")
    typer.echo(f"{files.table}: {counted(files.n_frames, 'frame')}")
    return failures


def _say_others(files: VideoFiles, n_seen: int, most: int) -> None:
    """Say that faces were seen that are not followed, unless one alone was asked for."""
    if n_seen > most > 1:
        seen = f"{n_seen} faces were seen in a frame, and {most} at most are followed"
        typer.echo(f"{files.table}: {seen}; --faces says how many")


def _least(*counts: int | None) -> int | None:
    return min((n for n in counts if n is not None), default=None)
