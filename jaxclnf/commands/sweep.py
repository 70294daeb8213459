"""``jaxclnf sweep``: many settings tried on annotated faces, and a page of the results."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jaxclnf.commands import choices, messages, on_cluster, options, outputs
from jaxclnf.commands.annotated import annotated_faces, end_without, say_faces
from jaxclnf.commands.faces_on_cluster import sweep_on_cluster
from jaxclnf.commands.progress_bars import progress_bar
from jaxclnf.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxclnf.config import FitConfig
    from jaxclnf.sweeps.results import Results, TriedSetting
    from jaxclnf.sweeps.spec import Spec
    from jaxclnf.sweeps.sweep_faces import Canvases
    from jaxclnf.types import Model


def sweep(
    spec: Annotated[Path, typer.Argument(help="Settings to try: a TOML file (see docs/sweep-settings.md).")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder of results; by default beside SPEC, with its name."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="FILE",
            help="A model as jaxclnf fit takes it; else that of SPEC, of $JAXCLNF_MODEL, or our own.",
        ),
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="Write a copy of the model, with the best setting as its own.")
    ] = None,
    cluster: options.ClusterOption = None,
    workers: options.WorkersOption = None,
) -> None:
    """Try many settings of a fit on annotated faces.

    Every finished setting is stored at once; the same command goes on where a stopped sweep was. Writes
    settings.csv, charts and a page, README.md, into the folder. Faces that cannot be used make the exit
    status 1, and so do tasks that a cluster gives up.
    """
    from jaxclnf.media.earlier_results import LIST
    from jaxclnf.sweeps.results import Results
    from jaxclnf.sweeps.spec import check_settings, configure, read_spec, unread_by_all
    from jaxclnf.sweeps.sweep_faces import draw_photos, held_back_warning
    from jaxclnf.sweeps.sweep_page import write_report
    from jaxclnf.sweeps.sweep_run import describe

    plan = read_spec(spec)
    there = on_cluster.given(cluster, workers=workers)
    if there is not None:
        on_cluster.check_ray()
    chosen = model or plan.model or os.environ.get("JAXCLNF_MODEL")
    if save:
        models = [Path(name) for name in (chosen, plan.model) if name]
        outputs.check_model_out("--save", save, [spec, *models])
    opened = choices.use_model(chosen)
    check_settings(plan, opened)
    choices.warn_of_unread(unread_by_all(plan, opened))
    place = out or spec.with_suffix("")
    known = (place / "results.jsonl").exists() and not (place / LIST).exists()  # as earlier releases left it
    names = ("results.jsonl", "settings.csv", "README.md", "pareto.png", "heatmap.png", "ced.png")
    with outputs.results_in(place, [spec, *map(Path, plan.datasets)], names, replace=known) as folder:
        faces = annotated_faces([Path(each) for each in plan.datasets])
        say_faces(faces)
        messages.warn(held_back_warning(faces, plan, opened))
        photos = draw_photos(faces, plan, opened)
        results = Results(folder.path / "results.jsonl", describe(plan, opened, photos))
        called = _called(opened, chosen)
        given_up: list[str] = []
        outcomes = _tried(plan, opened, photos, results, there, given_up)
        _say_best(outcomes, len(plan.settings))
        typer.echo(f"{write_report(folder.path, plan, called, outcomes, results)}: the report")
        if save:
            _save(opened, configure(plan.base_config(opened), outcomes[0].setting), save)
    _say_given_up(given_up)
    end_without(faces.refused, "the figures are")
    if given_up:
        raise typer.Exit(1)


def _called(model: Model, chosen: str | None) -> str:
    """Name a model and, since several files may hold models of one name, its file."""
    name, file = model.provenance.name, Path(chosen or "").name
    return f"{name} ({file})" if name and file else name or file


def _tried(
    plan: Spec,
    model: Model,
    photos: Canvases,
    results: Results,
    there: on_cluster.Asked | None,
    given_up: list[str],
) -> list[TriedSetting]:
    """Try the settings, here or on a cluster, whose given up tasks are added; the best comes first."""
    from jaxclnf.sweeps.sweep_run import run_sweep

    with progress_bar("% done") as bar:
        task = bar.add_task(f"{len(plan.settings)} settings", total=100)

        def advance(share: float) -> None:
            bar.update(task, completed=100 * share)

        if there is None:
            return run_sweep(plan, model, photos, results, advance)
        return sweep_on_cluster(plan, model, photos, results, advance, there, given_up)


def _say_best(outcomes: Sequence[TriedSetting], n_settings: int) -> None:
    """Print the best setting, and how many it is the best of: halving and lost tasks leave settings out."""
    best, n_whole = outcomes[0], len(outcomes)
    error = sum(best.errors) / len(best.errors)
    setting = ", ".join(f"{name} = {value}" for name, value in best.setting.items())
    whole = f" ({n_whole} tried on all faces)" if n_whole < n_settings else ""
    typer.echo(f"best of {n_settings}{whole}: mean error {error:.3f} % with {setting}")


def _say_given_up(tasks: Sequence[str]) -> None:
    """Say that results are without what a cluster could not do, and how to get it."""
    if tasks:
        was = "was" if len(tasks) == 1 else "were"
        messages.warn(f"{counted(len(tasks), 'task')} {was} given up; the same command tries again")


def _save(model: Model, settings: FitConfig, path: Path) -> None:
    """Save the model with other settings; weights that were stored in half precision stay so."""
    from jaxclnf.models.storage import save_model, weights_dtype

    save_model(replace(model, settings=settings), path, weights_dtype(model))
    typer.echo(f"{path}: {model.provenance.name} with the best setting")
