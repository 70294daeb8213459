"""``jaxclnf eval --cluster`` and ``sweep --cluster``: batches of annotated faces on a cluster's workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from jaxclnf.commands import messages, on_cluster
from jaxclnf.commands.progress_bars import progress_bar

if TYPE_CHECKING:
    from jaxclnf.config import FitConfig
    from jaxclnf.data.datasets import Faces
    from jaxclnf.sweeps.results import Results, TriedSetting
    from jaxclnf.sweeps.spec import Spec
    from jaxclnf.sweeps.sweep_faces import Canvases
    from jaxclnf.types import FitResult, Model


def fit_faces_on_cluster(
    models: Mapping[str, Model],
    runs: Mapping[str, tuple[str, FitConfig]],
    faces: Faces,
    asked: on_cluster.Asked,
) -> dict[str, list[FitResult]]:
    """Fit all faces under each run, which is a model's title and settings."""
    from jaxclnf.cluster.annotated_faces import fit_faces_task, fit_on

    stages = on_cluster.stages(fit_faces_task, asked)
    arrays = dict(models), {name: config for name, (_, config) in runs.items()}
    titles = {name: title for name, (title, _) in runs.items()}
    found: dict[str, dict[int, list[FitResult]]] = {name: {} for name in runs}
    with on_cluster.pool(asked, stages, arrays, titles) as workers, progress_bar("faces") as bar:
        line = bar.add_task(", ".join(runs), total=len(runs) * len(faces))
        for task, results in fit_on(workers, dict.fromkeys(runs, faces)):
            found[task.run][task.first] = results
            bar.advance(line, len(results))
    return {name: [fit for first in sorted(parts) for fit in parts[first]] for name, parts in found.items()}


def sweep_on_cluster(
    spec: Spec,
    model: Model,
    photos: Canvases,
    results: Results,
    advance: Callable[[float], None],
    asked: on_cluster.Asked,
    given_up: list[str],
) -> list[TriedSetting]:
    """Run a sweep whose settings and batches of faces are a cluster's tasks.

    Warns of tasks that are given up, and adds them to ``given_up``. Raises ValueError if no setting was tried
    on all faces.
    """
    from jaxclnf.cluster.sweep_trials import attempt_on, attempt_task
    from jaxclnf.sweeps.sweep_run import run_sweep

    stages, arrays = on_cluster.stages(attempt_task, asked), (model, spec.base_config(model))
    try:
        with on_cluster.pool(asked, stages, arrays, photos) as workers:
            elsewhere = partial(attempt_on, workers, given_up=given_up)
            return run_sweep(spec, model, photos, results, advance, elsewhere)
    finally:
        for sentence in given_up:
            messages.warn(sentence)
