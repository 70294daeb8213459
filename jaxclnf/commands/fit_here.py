"""``jaxclnf fit`` on one machine: photos are read, fitted and written side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from jaxclnf.commands import choices, common
from jaxclnf.commands.asked import PhotosAsked
from jaxclnf.commands.interrupt import on_interrupt
from jaxclnf.commands.said_of_photos import SaidOfPhotos
from jaxclnf.wording import counted

if TYPE_CHECKING:
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
    from jaxclnf.media.failures import Failure

    inputs = background(_inputs, asked, resume)  # while JAX is imported, which is slow
    from jaxclnf.media.images import no_photo
    from jaxclnf.output.csv_cells import path_cell
    from jaxclnf.output.failures_table import write_failures
    from jaxclnf.output.photo_files import Extras, PhotoFiles
    from jaxclnf.output.photo_pipeline import fit_loaded, photo_columns, with_cameras
    from jaxclnf.output.resumable_table import TableRun, unfinished_names
    from jaxclnf.output.run_folder import OutputFolder
    from jaxclnf.regular_files import no_file

    found, looked, failures, passed_over = inputs.result()
    common.say_passed_over(passed_over)
    missing = [Failure(str(path), no_photo(path)) for path in found if no_file(path)]
    common.require_one(len(found), missing, failures)
    own = filter(None, (asked.boxes, asked.fits.model, asked.fits.validator))
    with OutputFolder(place) as folder:
        folder.protect([*asked.arguments, *found, *own])
        folder.claim(f"landmarks.{format}", *unfinished_names("landmarks"), "failures.csv", "report.html")
        model, config, validator, openface = asked.fits.settled()
        extras = Extras(asked.pictures, asked.crops, asked.margin, openface)
        told |= choices.run_description(model, config) | extras.described()
        told = {"folder": common.base_folder(found), **told}
        path = place / f"landmarks.{format}"
        run = TableRun(told, resume, _finished(folder, path.name))
        _check_earlier(path, run, found)
        files = PhotoFiles(folder, found, model, extras)
        folder.save()
        table = _table(path, photo_columns(model, config, asked.fits.certainty), run, found, files)
        failures += [each for each in missing if path_cell(each.source) in table.done]
        todo = [path for path in found if path_cell(str(path)) not in table.done]
        loaded = with_cameras(looked(todo), view)
        fitted = begun(fit_loaded(model, loaded, config, validator, asked.only_largest))
        page = background(_page, report)  # while programs load
        failures += _write(table, files, fitted, len(found) - len(todo), len(todo))
        if not table.is_kept:
            _note_done(folder, table, failures)
        failures += common.written(write_failures, place / "failures.csv", failures)
        if (write_page := page.result()) and not table.is_kept:
            shown = {path_cell(str(path)): files.picture(str(path)) for path in found}
            failures += common.report_written(write_page, place / "report.html", table.path, shown, failures)
    common.report_failures(failures)


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
    """Write rows and pictures as photos are fitted; returns the failures."""
    from jaxclnf.batch.overlap import ahead
    from jaxclnf.cores import n_cores
    from jaxclnf.media.failures import Failure
    from jaxclnf.media.read_and_detect import PIXELS_AHEAD
    from jaxclnf.output.photo_pipeline import photo_rows, pixels_held

    on_interrupt(f"stopped; {table.unfinished} holds what is done, --resume goes on")
    failures: list[Failure] = []
    said = SaidOfPhotos()
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
                    said.add(photo)
                    failures += [failure] if failure else []
                bar.advance(task)
                del photo
        table.finish()
    finally:
        table.close()
    typer.echo(_said_of(table))
    for line in filter(None, (said.faces(n_done), said.pages())):
        typer.echo(line)
    return failures


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
