"""``jaxclnf fit`` on one machine: photos are read, fitted and written side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from jaxclnf.commands import messages, outputs
from jaxclnf.commands.asked import PhotosAsked
from jaxclnf.commands.interrupt import on_interrupt
from jaxclnf.commands.photos_table import note_done, opened
from jaxclnf.commands.progress_bars import progress_bar
from jaxclnf.commands.said_of_photos import SaidOfPhotos, said_of_table

if TYPE_CHECKING:
    from jaxclnf.media.failures import Failure
    from jaxclnf.media.read_and_detect import Looked
    from jaxclnf.output.photo_files import PhotoFiles
    from jaxclnf.output.photo_pipeline import Photo
    from jaxclnf.output.resumable_table import ResumableTable
    from jaxclnf.output.run_folder import OutputFolder


def fit_here(
    asked: PhotosAsked, told: dict[str, Any], place: Path, format: str, report: bool, resume: bool
) -> None:
    """Fit photos into a folder: a table, pictures, crops, a report."""
    view = asked.fits.seen_by()
    import numpy  # noqa: F401 (before threads that import it too)

    from jaxclnf.batch.overlap import background, begun

    reading = background(_inputs, asked, resume)  # while JAX and all that the steps need is imported
    from jaxclnf.output import failures_table, photo_files, resumable_table  # noqa: F401
    from jaxclnf.output.csv_cells import path_cell
    from jaxclnf.output.photo_pipeline import fit_loaded, with_cameras
    from jaxclnf.output.run_folder import OutputFolder

    inputs = reading.result()
    found = inputs.found
    messages.say_passed_over(inputs.passed_over)
    missing = _missing(found)
    messages.require_one(len(found), missing, inputs.failures)
    with OutputFolder(place) as folder:
        _reserve(folder, asked, found, format)
        settled, files, table = opened(asked, told, folder, found, f"landmarks.{format}", resume)
        todo = [path for path in found if path_cell(str(path)) not in table.done]
        model, config, validator, _ = settled
        loaded = with_cameras(inputs.looked(todo), view)
        fitted = begun(fit_loaded(model, loaded, config, validator, asked.only_largest))
        page = background(_page, report)  # while programs load
        failures = inputs.failures + [each for each in missing if path_cell(each.source) in table.done]
        failures += _write(table, files, fitted, len(found) - len(todo), len(todo))
        failures += _write_beside(folder, table, failures, page.result(), files, found)
    messages.report_failures(failures)


def _missing(found: Sequence[Path]) -> list[Failure]:
    """Say which of the photos that were asked for there are not."""
    from jaxclnf.media.failures import Failure
    from jaxclnf.media.images import no_photo
    from jaxclnf.regular_files import no_file

    return [Failure(str(path), no_photo(path)) for path in found if no_file(path)]


def _reserve(folder: OutputFolder, asked: PhotosAsked, found: Sequence[Path], format: str) -> None:
    """Keep the run's inputs from being written over, and take the names of its own files."""
    from jaxclnf.output.table_runs import unfinished_names

    own = filter(None, (asked.boxes, asked.fits.model, asked.fits.validator))
    folder.protect([*asked.arguments, *found, *own])
    folder.claim(f"landmarks.{format}", *unfinished_names("landmarks"), "failures.csv", "report.html")


def _write_beside(
    folder: OutputFolder,
    table: ResumableTable,
    failures: Sequence[Failure],
    write_page: Callable[..., None] | None,
    files: PhotoFiles,
    found: Sequence[Path],
) -> list[Failure]:
    """Write what lies beside the table: what is done, failures, the report; returns those of writing them."""
    from jaxclnf.output.csv_cells import path_cell
    from jaxclnf.output.failures_table import write_failures

    if not table.is_kept:
        note_done(folder, table, failures)
    new = outputs.written(write_failures, folder.path / "failures.csv", failures)
    if write_page and not table.is_kept:
        shown = {path_cell(str(path)): files.picture(str(path)) for path in found}
        page = folder.path / "report.html"
        new += outputs.report_written(write_page, page, table.path, shown, [*failures, *new])
    return new


class Inputs(NamedTuple):
    """The photos, the way to look at those that are to be fitted, and arguments that cannot be used."""

    found: list[Path]
    looked: Callable[[list[Path]], Iterator[Looked | Failure]]
    failures: list[Failure]
    passed_over: list[Path]


def _inputs(asked: PhotosAsked, resume: bool) -> Inputs:
    """Find the photos that arguments stand for; unless a run resumes, the first are looked at already."""
    from jaxclnf.batch.overlap import begun
    from jaxclnf.media.addresses import here
    from jaxclnf.media.box_tables import (
        boxes_of,
        boxes_without_photo,
        names_of_others,
        read_boxes,
        unclear_photos,
    )
    from jaxclnf.media.inputs import find_photos
    from jaxclnf.media.read_and_detect import detected, look_at

    table = Path(here(asked.boxes)) if asked.boxes else None
    own = read_boxes(table, asked.only_largest) if table else {}
    found = find_photos(asked.arguments)
    if table is None:
        source, failures = detected(asked.only_largest, asked.fits.chosen_detector()), found.failures
    else:
        unclear = unclear_photos(own, found.paths, table)
        source = partial(boxes_of, boxes=own, table=table, unclear=unclear)
        failures = boxes_without_photo(own, table) + found.failures
        messages.say_unused(names_of_others(own, found.paths, table), table)
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


def _write(
    table: ResumableTable, files: PhotoFiles, fitted: Iterator[Photo | Failure], n_done: int, n_left: int
) -> list[Failure]:
    """Write rows and pictures as photos are fitted, and say what came of it; returns the failures."""
    on_interrupt(f"stopped; {table.unfinished} holds what is done, fit --resume goes on")
    said = SaidOfPhotos()
    try:
        with progress_bar("photos") as bar:
            task = bar.add_task("fitting", total=n_done + n_left, completed=n_done)
            failures = list(_filled(table, files, fitted, said, lambda: bar.advance(task)))
        table.finish()
        if not table.is_kept:
            files.discard_failed()
        on_interrupt(f"stopped; {table.path} is whole")
    finally:
        table.close()
    typer.echo(said_of_table(table))
    for line in filter(None, (said.faces(n_done), said.pages())):
        typer.echo(line)
    return failures


def _filled(
    table: ResumableTable,
    files: PhotoFiles,
    fitted: Iterator[Photo | Failure],
    said: SaidOfPhotos,
    on_photo: Callable[[], None],
) -> Iterator[Failure]:
    """Add photos to the table as they come, their files being written in threads; yields the failures."""
    from jaxclnf.batch.overlap import ahead
    from jaxclnf.cores import n_cores
    from jaxclnf.media.failures import Failure
    from jaxclnf.media.read_and_detect import PIXELS_AHEAD
    from jaxclnf.output.photo_pipeline import photo_rows, pixels_held

    writers = max(1, n_cores() // 2)
    written = ahead(files.write, fitted, writers, writers + 3, cost=pixels_held, most=PIXELS_AHEAD)
    for photo, failure in written:
        if isinstance(photo, Failure):
            yield photo
        else:
            table.add(photo_rows(table.columns, photo, str(photo.path)))
            said.add(photo)
            if failure:
                yield failure
        on_photo()
        del photo  # its pixels, before the next ones come
