"""The table of a run of ``jaxclnf fit`` on one machine: opened, gone on with, and noted for later runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxclnf.commands import choices
from jaxclnf.commands.asked import PhotosAsked

if TYPE_CHECKING:
    from jaxclnf.commands.asked import Settled
    from jaxclnf.media.failures import Failure
    from jaxclnf.output.photo_files import PhotoFiles
    from jaxclnf.output.resumable_table import ResumableTable
    from jaxclnf.output.run_folder import OutputFolder
    from jaxclnf.output.table_runs import TableRun


def opened(
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
    from jaxclnf.output.table_runs import TableRun

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


def note_done(folder: OutputFolder, table: ResumableTable, failures: Sequence[Failure]) -> None:
    """Write down what later runs have to know of the table: all is done but what has failed."""
    from jaxclnf.output.csv_cells import path_cell
    from jaxclnf.output.run_folder import RUN

    failed = {path_cell(failure.source) for failure in failures}
    folder.done[RUN] = {"table": table.path.name, **table.described(failed)}
    folder.save()


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


def _table(
    path: Path, names: list[str], run: TableRun, photos: Sequence[Path], files: PhotoFiles
) -> ResumableTable:
    """Open the run's table, which recognises each photo by its size and time of change."""
    from jaxclnf.output.csv_cells import path_cell
    from jaxclnf.output.resumable_table import ResumableTable
    from jaxclnf.output.table_runs import stamp

    stamps = {path_cell(str(photo)): stamp(photo) for photo in photos}
    at = [names.index(name) for name in ("source", "face", "status")]
    return ResumableTable(path, names, "source", run, stamps, lambda row: files.lacks(*(row[i] for i in at)))
