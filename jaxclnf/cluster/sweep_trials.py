"""The work of workers for a sweep: settings tried on batches of faces."""

from __future__ import annotations

from collections.abc import Iterator

from jaxclnf.cluster.pool import Lost, Pool
from jaxclnf.cluster.worker import Share
from jaxclnf.sweeps.tasks import SweepTask, TaskResult, TrialSetup, attempt


def attempt_task(share: Share, task: SweepTask, before: None = None) -> TaskResult:
    """Do a task of a sweep; the share's arrays are the model and the base settings, its job the faces."""
    model, base = share.arrays
    return attempt(TrialSetup(model, share.job, base), task)


def attempt_on(
    pool: Pool, tasks: Iterator[SweepTask], given_up: list[str]
) -> Iterator[tuple[SweepTask, TaskResult]]:
    """Do tasks, in any order; those that are given up have no result and are reported."""
    for finished in pool.run(tasks):
        for done in finished:
            if isinstance(done.result, Lost):
                given_up.append(f"{done.task.name}: {done.result.reason}")
            yield done.task, None if isinstance(done.result, Lost) else done.result
