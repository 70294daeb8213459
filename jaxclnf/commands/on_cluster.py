"""Helpers of the sub-commands that run on a cluster: what is asked for, workers, progress."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from jaxclnf.commands import choices, messages
from jaxclnf.commands.interrupt import on_interrupt
from jaxclnf.commands.options import Format
from jaxclnf.commands.progress_bars import progress_bar
from jaxclnf.wording import counted

if TYPE_CHECKING:
    from jaxclnf.cluster.cluster_run import Progress, Run
    from jaxclnf.cluster.places import Store
    from jaxclnf.cluster.pool import Pool, PoolStage
    from jaxclnf.cluster.shards import Shard
    from jaxclnf.cluster.worker import Function
    from jaxclnf.commands.asked import Settled
    from jaxclnf.media.failures import Failure

SAY_EVERY = 10.0  # seconds, where the output is no terminal
GRACE = 15.0  # seconds after Ctrl-C in which a cluster that was started here ends


class Asked(NamedTuple):
    """The options of a cluster that a user asks for."""

    address: str
    workers: int | None = None
    shard: int = 200
    gpus: float = 0.0
    readers: int = 0


def given(address: str | None, **options: Any) -> Asked | None:
    """Collect the options of clusters; None without an address, where other ones raise ValueError."""
    said = {name: value for name, value in options.items() if value is not None}
    if address is not None:
        return Asked(address, **said)
    for name in said:
        raise ValueError(f"--{name} is for runs on a cluster; say which one by --cluster")
    return None


def check_tables(report: bool | None, format: Format | None) -> None:
    """Raise ValueError for a report or a single table, which runs on clusters do not write."""
    if report:
        raise ValueError("--report: runs on a cluster write none; jaxclnf merge makes one table of theirs")
    if format not in (None, Format.parquet):
        raise ValueError(
            f"--format {format}: runs on a cluster write Parquet; jaxclnf merge makes .csv or .jsonl of it"
        )


@contextmanager
def pool(asked: Asked, stages: Sequence[PoolStage], arrays: Any, job: Any) -> Iterator[Pool]:
    """Open a pool of a cluster's workers, which hold ``arrays`` and a job."""
    import jax
    import numpy as np

    from jaxclnf.cluster.pool import Pool
    from jaxclnf.cluster.ray_engine import connected
    from jaxclnf.cluster.worker import Circumstances

    on_interrupt("stopped", GRACE)
    config: Any = jax.config
    circumstances = Circumstances(os.getcwd(), config.jax_compilation_cache_dir, config.jax_enable_x64)
    arrays = jax.tree.map(np.asarray, arrays)
    with (
        connected(asked.address) as ray,
        Pool(ray, arrays, job, stages, circumstances, messages.warn) as workers,
    ):
        yield workers


def stages(function: Function, asked: Asked) -> list[PoolStage]:
    """Make a single stage, in which every worker does the whole task."""
    from jaxclnf.cluster.pool import PoolStage
    from jaxclnf.cluster.ray_engine import Size

    return [PoolStage(function, Size(gpus=asked.gpus, most=asked.workers))]


def check_ray() -> None:
    """Raise ValueError, before a model is opened and files are listed, if Ray is not installed."""
    from jaxclnf.cluster.ray_engine import ray_module

    ray_module()


def settle(
    settled: Callable[[], Settled], told: dict[str, Any], arguments: Sequence[str]
) -> tuple[Settled, dict[str, Any]]:
    """Settle a run's model, settings and description, after making sure that Ray is installed."""
    check_ray()
    run = settled()
    told = told | {"folder": choices.base_folder(arguments)}
    return run, told | choices.run_description(run.model, run.config)


class FolderRun(NamedTuple):
    """A run into a folder: its table, its description, what the user named, its plan and its work.

    ``partly`` says what it means that files, of which it takes the names, were used partly.
    """

    table: str
    unit: str
    told: dict[str, Any]
    inputs: Sequence[str]
    plan: Callable[[list[Failure]], Iterator[Shard]]
    stages: Sequence[PoolStage]
    arrays: Any
    job: Any
    partly: Callable[[Sequence[str]], str]


def into_folder(work: FolderRun, store: Store, resume: bool, asked: Asked) -> None:
    """Do a run, new or resumed, and report as a run on one machine would."""
    from jaxclnf.cluster.cluster_run import Run

    if store.place.startswith("memory://"):
        raise ValueError(f"--out {store.place} is the memory of one process, which workers cannot write to")
    with (
        pool(asked, work.stages, work.arrays, work.job) as workers,  # first: without it nothing is written
        Run(store, work.table, work.told, work.inputs) as run,
    ):
        run.begin(work.plan, resume)
        if run.goes_on:
            plan = counted(run.job.sources, work.unit.removesuffix("s"))
            typer.echo(f"{store.place} goes on with its plan of {plan}; what has come since is not in it")
        lost = [] if run.is_done else _work(run, workers, work.unit)
        place, ledger = store.at(work.table), run.ledger
        counts = (
            (ledger.sources, work.unit.removesuffix("s")),
            (ledger.rows, "row"),
            (len(ledger.done), "part"),
        )
        typer.echo(f"{place}: {', '.join(counted(*count) for count in counts)}")
        if ledger.partly:
            typer.echo(work.partly(ledger.partly))
        failures = [*run.failures(), *lost]
    messages.report_failures(failures)


def _work(run: Run, workers: Pool, unit: str) -> list[Failure]:
    """Do the rest of a run and report its progress; returns the shards that were given up."""
    on_interrupt(f"stopped; {run.store.place} holds the shards that are done, --resume goes on", GRACE)
    with telling(unit) as tell:
        return run.work(workers, tell)


@contextmanager
def telling(unit: str) -> Iterator[Callable[[Progress], None]]:
    """Report the progress of a run: by a bar on a terminal, else by a line now and then."""
    with progress_bar(unit, SAY_EVERY) as bar:
        task = bar.add_task("starting workers", total=None)

        def tell(progress: Progress) -> None:
            bar.update(
                task, completed=progress.done, total=progress.total, description=_said_of_workers(progress)
            )

        yield tell


def _said_of_workers(progress: Progress) -> str:
    return f"{counted(progress.workers, 'worker')}, {counted(progress.failures, 'failure')}"
