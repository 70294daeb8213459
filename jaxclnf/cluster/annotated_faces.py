"""The work of workers on annotated faces: fits under several models and settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from jaxclnf.cluster.pool import Lost, Pool
from jaxclnf.cluster.worker import Share
from jaxclnf.data.datasets import Faces
from jaxclnf.data.evaluate import fit_annotated
from jaxclnf.types import FitResult

FACES_AT_ONCE = 64


class FacesTask(NamedTuple):
    """Task to fit annotated faces, from number ``first`` on, under one run's model and settings."""

    run: str
    first: int
    faces: Faces

    @property
    def name(self) -> str:
        """Name of the task in messages."""
        return f"{self.run}: {len(self.faces)} faces from number {self.first} on"


def fit_faces_task(share: Share, task: FacesTask, before: None = None) -> list[FitResult]:
    """Fit the faces of a task; the share holds models by their titles and settings by the names of runs."""
    models, settings = share.arrays
    model = models[share.job[task.run]]
    return list(fit_annotated(model, task.faces, settings[task.run]))


def fit_on(pool: Pool, runs: Mapping[str, Faces]) -> Iterator[tuple[FacesTask, list[FitResult]]]:
    """Fit the faces of each run, in any order; raises ValueError if some cannot be fitted."""
    for finished in pool.run(_tasks(runs)):
        for done in finished:
            if isinstance(done.result, Lost):
                raise ValueError(f"{done.task.name}: {done.result.reason}")
            yield done.task, done.result


def _tasks(runs: Mapping[str, Faces]) -> Iterator[FacesTask]:
    for run, faces in runs.items():
        for first in range(0, len(faces), FACES_AT_ONCE):
            yield FacesTask(run, first, faces.take(range(first, min(first + FACES_AT_ONCE, len(faces)))))
