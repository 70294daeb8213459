"""``jaxclnf fit`` on one machine: photos are read, fitted and written side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from jaxclnf.commands import choices, messages, outputs
from jaxclnf.commands.asked import PhotosAsked
from jaxclnf.commands.interrupt import on_interrupt
from jaxclnf.commands.progress_bars import progress_bar
from jaxclnf.commands.said_of_photos import SaidOfPhotos
from jaxclnf.wording import counted

if TYPE_CHECKING:
    from jaxclnf.commands.asked import Settled
    from jaxclnf.media.failures import Failure
    from jaxclnf.media.read_and_detect import Looked
    from jaxclnf.output.photo_files import PhotoFiles
    from jaxclnf.output.photo_pipeline import Photo
    from jaxclnf.output.resumable_table import ResumableTable, TableRun
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
        settled, files, table = _opened(asked, told, folder, found, f"landmarks.{format}", resume)
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
    from jaxclnf.output.resumable_table import unfinished_names

    own = filter(None, (asked.boxes, asked.fits.model, asked.fits.validator))
    folder.protect([*asked.arguments, *found, *own])
    folder.claim(f"landmarks.{format}", *unfinished_names("landmarks"), "failures.csv", "report.html")


def _opened(
    asked: PhotosAsked,
    told: dict[str, Any],
    folder: OutputFolder,
    found: Sequence[Path],
    name: str,
    resume: bool,
) -> tuple[Settled, PhotoFiles, ResumableTable]:
    """Settle what fits the photos, and open the run's table, of this name, and its other files."""
    from jaxclnf.output.photo_files import Extras, PhotoFiles
    from jaxclnf.output.photo_pipeline import photo_columns
    from jaxclnf.output.resumable_table import TableRun

    settled = asked.fits.settled()
    model, config, _, openface = settled
    extras = Extras(asked.pictures, asked.crops, asked.margin, openface)
    told = told | choices.run_description(model, config) | extras.described()
    told = {"folder": choices.base_folder(found), **told}
    path = folder.path / name
    run = TableRun(told, resume, _finished(folder, name))
    _check_earlier(path, run, found)
    files = PhotoFiles(folder, found, model, extras)
    folder.save()
    return settled, files, _table(path, photo_columns(model, config, asked.fits.certainty), run, found, files)


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
        _note_done(folder, table, failures)
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


def _finished(folder: OutputFolder, table: str) -> dict[str, Any]:
    """Look up what is known of the run that made the table of this name; nothing of other tables."""
    from jaxclnf.output.run_folder import RUN

    before = folder.done.get(RUN, {})
    return before if before.get("table") == table else {}


def _check_earlier(path: Path, run: TableRun, photos: Sequence[Path]) -> None:
    """Raise ValueError if the run would replace a table of other photos."""
    from jaxclnf.output.earlier_tables import check_shares

    if not run.goes_on(path):
        check_shares(path, "source", photos, run.settings_before.get("folder", ""))


def _note_done(folder: OutputFolder, table: ResumableTable, failures: Sequence[Failure]) -> None:
    """Write down what later runs have to know of the table: all is done but what has failed."""
    from jaxclnf.output.csv_cells import path_cell
    from jaxclnf.output.run_folder import RUN

    failed = {path_cell(failure.source) for failure in failures}
    folder.done[RUN] = {"table": table.path.name, **table.described(failed)}
    folder.save()


def _table(
    path: Path, names: list[str], run: TableRun, photos: Sequence[Path], files: PhotoFiles
) -> ResumableTable:
    """Open the run's table, which recognises each photo by its size and time of change."""
    from jaxclnf.output.csv_cells import path_cell
    from jaxclnf.output.resumable_table import ResumableTable, stamp

    stamps = {path_cell(str(photo)): stamp(photo) for photo in photos}
    at = [names.index(name) for name in ("source", "face", "status")]
    return ResumableTable(path, names, "source", run, stamps, lambda row: files.lacks(*(row[i] for i in at)))


def _write(
    table: ResumableTable, files: PhotoFiles, fitted: Iterator[Photo | Failure], n_done: int, n_left: int
) -> list[Failure]:
    """Write rows and pictures as photos are fitted, and say what came of it; returns the failures."""
    on_interrupt(f"stopped; {table.unfinished} holds what is done, --resume goes on")
    said = SaidOfPhotos()
    try:
        with progress_bar("photos") as bar:
            task = bar.add_task("fitting", total=n_done + n_left, completed=n_done)
            failures = list(_filled(table, files, fitted, said, lambda: bar.advance(task)))
        table.finish()
    finally:
        table.close()
    typer.echo(_said_of(table))
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


def _said_of(table: ResumableTable) -> str:
    """Say what a table holds, and what it holds or lacks of an earlier run that was asked for more."""
    if table.is_kept:
        return f"{table.path} stays as it was: none of these photos can be used"
    lines = [f"{table.path}: {_photos_in(table)}"]
    if table.n_unasked:
        lines.append(f"{counted(table.n_unasked, 'photo')} in it not asked for now: kept")
    if table.n_missing:
        missing = counted(table.n_missing, "photo")
        lines.append(f"{missing} of the earlier run not in it: name them, too, with --resume")
    return "\n".join(lines)


def _photos_in(table: ResumableTable) -> str:
    """Say how many photos a table holds, and how many of them were done before."""
    n_before = len(table.done)
    of_them = "all" if n_before == table.count else f"{n_before:,}"
    before = f", {of_them} of them done before" if n_before else ""
    return counted(table.count, "photo") + before
