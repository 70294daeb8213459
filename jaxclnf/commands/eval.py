"""``jaxclnf eval``: errors on annotated faces, with several models and settings side by side."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jaxclnf.commands import choices, messages, on_cluster, options, outputs
from jaxclnf.commands.annotated import annotated_faces, end_without, say_faces
from jaxclnf.commands.faces_on_cluster import fit_faces_on_cluster
from jaxclnf.commands.progress_bars import progress_bar

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from jaxclnf.config import FitConfig
    from jaxclnf.data.datasets import Faces, Refusal
    from jaxclnf.data.error_tables import ErrorRow
    from jaxclnf.output.run_folder import OutputFolder
    from jaxclnf.types import FitResult, Model

FACES = "faces.csv"
"""The table of errors; the output folder's list tells from where its relative names of photos count."""


def evaluate(
    datasets: options.DatasetsArgument,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            metavar="FILE",
            help="A converted .npz, OpenFace's main_clnf_*.txt or an installed model's name; may be given "
            "several times. Else $JAXCLNF_MODEL or our own.",
        ),
    ] = None,
    preset: Annotated[
        list[options.Preset] | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=options.FIT,
            help=f"Settings that belong together: {options.PRESETS}; may be given several times.",
        ),
    ] = None,
    multi_view: options.MultiViewOption = False,
    parts: options.PartsOption = None,
    set_: options.SetOption = None,
    landmarks: options.LandmarksOption = None,
    held_back: Annotated[
        bool, typer.Option("--held-back", help="Leave out the faces that a model says it learned from.")
    ] = False,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="Folder for faces.csv and ced.png.")
    ] = Path("eval"),
    cluster: options.ClusterOption = None,
    workers: options.WorkersOption = None,
) -> None:
    """Fit annotated faces from their boxes and compare with the truth.

    Prints errors in percent of the distance of the outer eye corners, over all, by landmark group and by
    yaw; writes every face to faces.csv and the cumulative error curves to ced.png. Faces that cannot be used
    are listed in refused.csv, and make the exit status 1.
    """
    from jaxclnf.data.evaluate import true_yaws
    from jaxclnf.output.earlier_tables import check_shares

    there = on_cluster.given(cluster, workers=workers)
    if there is not None:
        on_cluster.check_ray()
    faces = _read(datasets, landmarks, out)
    names = model or [os.environ.get("JAXCLNF_MODEL") or ""]
    inputs = [*datasets, *(Path(name) for name in names if name)]
    with outputs.results_in(out, inputs, (FACES, "ced.png", "refused.csv")) as folder:
        before = str(folder.done.get(FACES, {}).get("folder", ""))
        check_shares(out / FACES, "photo", faces.photos, before)
        _write_refused(out / "refused.csv", faces.refused)
        models = {title: choices.use_model(name or None) for title, name in _titles(names).items()}
        faces = _fitting(faces, models.values(), held_back)
        yaws = true_yaws(next(iter(models.values())).pdm, faces.points)
        configured = partial(_configured, multi_view=multi_view, parts=parts, settings=set_)
        runs = dict(configured(models, *each) for each in product(models, preset or [options.Preset.default]))
        if there is not None:
            fits = fit_faces_on_cluster(models, runs, faces, there)
        else:
            lost: dict[int, str] = {}
            fits = {name: _fit(name, models[m], faces, config, lost) for name, (m, config) in runs.items()}
            if lost:
                faces, yaws, fits = _without(lost, faces, yaws, fits)
                _write_refused(out / "refused.csv", faces.refused)
        _show(folder, faces, yaws, fits)
    end_without(faces.refused, "the figures are")


def _fitting(faces: Faces, models: Iterable[Model], held_back: bool) -> Faces:
    """Check that models have the faces' landmarks; leave out, or tell of, those that they learned from."""
    from jaxclnf.data.evaluate import check_landmarks, learned_warning, not_learned

    for model in models:
        check_landmarks(model, faces)
        messages.warn(learned_warning(faces, model, held_back))
        faces = not_learned(faces, model) if held_back else faces
    return faces


def _configured(
    models: Mapping[str, Model],
    title: str,
    preset: options.Preset,
    multi_view: bool,
    parts: str | None,
    settings: list[str] | None,
) -> tuple[str, tuple[str, FitConfig]]:
    """Make a run of a model, by its title, with a preset: the run's name, and the title and settings."""
    model = models[title]
    config = choices.asked_config(preset, multi_view, parts, settings, model)
    name = _run_name(model, preset.value, config, multi_view)
    return f"{title}, {name}" if len(models) > 1 else name, (title, config)


def _show(folder: OutputFolder, faces: Faces, yaws: np.ndarray, fits: dict[str, list[FitResult]]) -> None:
    """Print the errors of the runs, and write those of every face, and their curves."""
    from jaxclnf.data.charts import draw_cumulative_errors
    from jaxclnf.data.error_tables import error_tables, rows_without_offsets, write_errors
    from jaxclnf.data.evaluate import errors_of

    errors = {name: errors_of(results, faces) for name, results in fits.items()}
    typer.echo("\nErrors in percent of the distance of the outer eye corners")
    for title, table in error_tables(errors, yaws, faces.n_points).items():
        _print(title, table)
    _print(
        "All faces, each run's mean offset (right, down in %) taken away", rows_without_offsets(fits, faces)
    )
    table, chart = folder.path / FACES, folder.path / "ced.png"
    write_errors(table, faces, yaws, fits, errors)
    folder.done[FACES] = {"folder": choices.base_folder(faces.photos)}
    folder.save()
    draw_cumulative_errors(chart, {name: e.mean(axis=1) for name, e in errors.items()})
    typer.echo(f"{table}: every face; {chart}: cumulative errors")


def _read(datasets: list[Path], landmarks: str | None, out: Path) -> Faces:
    """Read the datasets; if no face of theirs can be used, at least why is written."""
    from jaxclnf.data.datasets import NoUsableFace
    from jaxclnf.data.markup import parse_groups

    try:
        faces = annotated_faces(datasets)
    except NoUsableFace as error:
        with outputs.results_in(out, datasets, ("refused.csv",)):
            _write_refused(out / "refused.csv", error.refused)
        raise
    say_faces(faces)
    return faces.regroup(parse_groups(landmarks)) if landmarks else faces


def _titles(names: list[str]) -> dict[str, str]:
    """Title the models, by short names if those tell them apart, in letters that files can hold."""
    from jaxclnf.output.csv_cells import path_cell

    short = [Path(name).stem or "own model" for name in names]
    unique = len(set(short)) == len(names)
    return dict(zip(map(path_cell, short if unique else names), names, strict=True))


def _run_name(model: Model, preset: str, config: FitConfig, multi_view: bool) -> str:
    """Name a run by the settings that it really has."""
    from jaxclnf.models.preset_settings import named_as_used

    starts = f", {len(config.start_rotations)} starts" if multi_view else ""
    return named_as_used(model, preset) + starts


def _fit(name: str, model: Model, faces: Faces, config: FitConfig, lost: dict[int, str]) -> list[FitResult]:
    """Fit all faces; adds to ``lost`` those whose photos can no longer be read, and why."""
    from jaxclnf.data.evaluate import fit_annotated

    with progress_bar("faces") as bar:
        task = bar.add_task(name, total=len(faces))
        results = []
        for result in fit_annotated(model, faces, config, on_lost=lost.__setitem__):
            results.append(result)
            bar.advance(task)
    return results


def _without(
    lost: Mapping[int, str], faces: Faces, yaws: np.ndarray, fits: dict[str, list[FitResult]]
) -> tuple[Faces, np.ndarray, dict[str, list[FitResult]]]:
    """Refuse the faces whose photos went away during the runs, which leaves the others' results."""
    from jaxclnf.data.datasets import Refusal

    kept = [i for i in range(len(faces)) if i not in lost]
    gone = tuple(Refusal(faces.photos[i], reason) for i, reason in sorted(lost.items()))
    rest = replace(faces.take(kept), refused=(*faces.refused, *gone))
    return rest, yaws[kept], {name: [results[i] for i in kept] for name, results in fits.items()}


def _write_refused(path: Path, refused: Sequence[Refusal]) -> None:
    """Write which annotated faces were left out, and why; where there are none there is no table."""
    from jaxclnf.media.failures import Failure
    from jaxclnf.output.failures_table import write_failures

    write_failures(path, [Failure(str(each.photo), each.reason) for each in refused])
    if refused:
        typer.echo(f"{path}: all that was refused")


def _print(title: str, rows: list[ErrorRow]) -> None:
    width = max(len(run) for run, _, _ in rows) + 2
    typer.echo(f"\n{title}\n{'':<{width}}{'':<8}  faces    mean  median  >10 %  AUC 8 %  failed")
    for run, part, f in rows:
        typer.echo(
            f"{run:<{width}}{part:<8}{f.faces:>7}{f.mean:>8.3f}{f.median:>8.3f}"
            f"{f.large:>7.1f}{f.area:>9.4f}{f.failed:>8}"
        )
