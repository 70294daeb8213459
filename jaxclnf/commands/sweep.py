"""``jaxclnf sweep``: many settings on annotated faces, and a page of what they are worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jaxclnf.commands import common


def sweep(
    spec: Annotated[Path, typer.Argument(help="What to try: a TOML file (see jaxclnf/sweeps/spec.py).")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of results [default: beside SPEC, its name].")
    ] = None,
    model: common.ModelOption = None,
) -> None:
    """Try many settings of a fit on annotated faces.

    Every finished setting is stored at once; the same command goes on where a stopped sweep was. Writes
    settings.csv, charts and a page, README.md, into the folder.
    """
    from jaxclnf.runs import make_folder
    from jaxclnf.sweeps.report import write_report
    from jaxclnf.sweeps.run import Results, describe, draw_photos, run_sweep
    from jaxclnf.sweeps.spec import read_spec
    from jaxclnf.training.datasets import read_faces

    plan = read_spec(spec)
    folder = make_folder(out or spec.with_suffix(""))
    opened = common.open_model(model or plan.model)
    photos = draw_photos(read_faces(plan.datasets), plan)
    if opened.pdm.n_points != photos.points.shape[1]:
        raise ValueError(
            f"the model has {opened.pdm.n_points} landmarks and the faces have {photos.points.shape[1]}"
        )
    results = Results(folder / "results.jsonl", describe(plan, opened, photos))
    with common.progress("% done") as bar:
        task = bar.add_task(f"{len(plan.settings)} settings", total=100)
        outcomes = run_sweep(
            plan, opened, photos, results, lambda share: bar.update(task, completed=100 * share)
        )
    page = write_report(folder, plan, outcomes, results)
    error = sum(outcomes[0].errors) / len(outcomes[0].errors)
    typer.echo(f"best of {len(plan.settings)}: mean error {error:.3f} %, {outcomes[0].setting}")
    typer.echo(f"{page}: the report")
