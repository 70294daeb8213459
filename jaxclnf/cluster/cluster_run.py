"""A run on a cluster: a plan, shards done by workers, a ledger of those that are done, and its resumption."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import Any, NamedTuple, Protocol, runtime_checkable
from uuid import uuid4

from jaxclnf.cluster.ledger import LEDGER, Entry, Ledger
from jaxclnf.cluster.local_copies import has_come
from jaxclnf.cluster.places import Store
from jaxclnf.cluster.pool import Done, Lost
from jaxclnf.cluster.result_names import PICTURES
from jaxclnf.cluster.shards import PLAN, Shard, read_plan, write_plan
from jaxclnf.cluster.table_parts import (
    FAILURES,
    failures_of,
    parts_of,
    read_failures,
    shards_of,
    write_failures_part,
)
from jaxclnf.media.addresses import here, is_address
from jaxclnf.media.earlier_results import LIST
from jaxclnf.media.failures import Failure
from jaxclnf.output.photo_files import CROPS, OPENFACE
from jaxclnf.output.run_folder import OutputFolder
from jaxclnf.output.table_runs import differing
from jaxclnf.whole_files import remove_parts
from jaxclnf.wording import counted, some

JOB = "job.json"
"""The file that marks a folder of a run on a cluster: the run's settings and size."""

DRIVER = "driver"
"""The file that names the command which works on the run."""

BESIDE = (PICTURES, CROPS, OPENFACE)
"""Folders of results that stand beside the table."""

MOST_NAMED = 20
"""Failures that are printed at the end; all are in their table."""


class Job(NamedTuple):
    """The description of a run in its folder."""

    told: dict[str, Any]  # its settings and model
    table: str
    shards: int
    sources: int
    failures: int  # of its inputs
    inputs: dict[str, str] = {}  # as `_described` gives them; empty in runs that earlier states began


def read_job(store: Store) -> Job:
    """Read what a folder says of its run; raises ValueError if that is damaged."""
    text = store.read(JOB)
    with suppress(ValueError, TypeError, RecursionError):
        job = Job(**json.loads(text))
        if _is_sound(job):
            return job
    raise ValueError(f"{store.at(JOB)} is damaged; choose another --out")


def _is_sound(job: Job) -> bool:
    """Tell whether the values of a job have the types that it declares."""
    told, table, *counts, inputs = job
    are_tables = isinstance(told, dict) and isinstance(inputs, dict)
    return are_tables and isinstance(table, str) and all(type(each) is int for each in counts)


def _described(inputs: Sequence[str]) -> dict[str, str]:
    """Name the first inputs of a run for messages, and give a digest of all, in whatever order they come."""
    plain = {each.rstrip("/") if is_address(each) else os.path.normpath(here(each)) for each in inputs}
    text = "\0".join(sorted(plain)).encode(errors="surrogateescape")
    return {"named": some(inputs), "digest": hashlib.sha256(text).hexdigest()}


class Progress(NamedTuple):
    """The progress of a run."""

    done: int  # sources
    total: int
    failures: int
    workers: int


@runtime_checkable
class Workers(Protocol):
    """An object that does shards, as `Pool` does."""

    @property
    def n_workers(self) -> int: ...

    def run(self, tasks: Iterable[Shard]) -> Iterator[list[Done]]: ...


class Run:
    """A run and its folder, to which no other run on this file system writes meanwhile.

    ``told`` describes its settings and model, by which a resumed run is recognised; so do the ``inputs`` that
    the user names. Use as a context manager.
    """

    def __init__(self, store: Store, table: str, told: dict[str, Any], inputs: Sequence[str] = ()) -> None:
        self.store, self.table, self._inputs = store, table, _described(inputs)
        self._told = json.loads(json.dumps(told, default=str))
        self._held = ExitStack()
        self._folder: OutputFolder | None = None
        self._id = uuid4().hex.encode()

    def __enter__(self) -> Run:
        if self.store.folder is not None:
            folder = self._held.enter_context(OutputFolder(self.store.folder))
            for name in (self.table, FAILURES, LEDGER, *BESIDE):
                remove_parts(self.store.folder / name)
            self._folder = folder
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def begin(self, plan: Callable[[list[Failure]], Iterable[Shard]], resume: bool) -> None:
        """Write the plan, or with ``resume`` go on with the existing one; ``goes_on`` tells which.

        Raises ValueError for a folder that holds anything else, or a run with other settings, model or
        inputs.
        """
        self.goes_on = self.store.exists(JOB)
        self.job = self._resumed(resume) if self.goes_on else self._begun(plan)
        if self._folder:
            self._folder.hold(*BESIDE)
        self.store.write(DRIVER, self._id)  # what worked on the run before hears of it and ends
        parts = shards_of(parts_of(self.store, self.table))
        self.ledger = Ledger(self.store, parts, self._have_come)

    def _have_come(self, shard: int) -> bool:
        """Tell whether absent sources of a shard have come: else it is not done again, in vain or worse."""
        return any(map(has_come, failures_of(self.store, shard)))

    def _resumed(self, resume: bool) -> Job:
        if not resume:
            raise ValueError(
                f"{self.store.place} holds a run; go on with it by --resume, or choose another --out"
            )
        job = read_job(self.store)
        if job.told != self._told or job.table != self.table:
            names = ", ".join(differing(job.told, self._told))
            raise ValueError(
                f"{self.store.place} was begun with other settings, another model or from another folder "
                f"({names}); repeat them, or choose another --out"
            )
        if job.inputs and job.inputs.get("digest") != self._inputs["digest"]:
            named, plan = job.inputs.get("named"), counted(job.sources, "source")
            raise ValueError(
                f"{self.store.place} was begun with other inputs ({named}) and keeps to its plan of {plan}, "
                "without a look at those named now; repeat the former, or choose another --out"
            )
        return job

    def _begun(self, plan: Callable[[list[Failure]], Iterable[Shard]]) -> Job:
        if strange := set(self.store.names()) - self._left_by_a_beginning():
            raise ValueError(
                f"{self.store.place} holds {min(strange)}, which is of no run on a cluster; "
                "choose another --out"
            )
        self.store.write(DRIVER, self._id)
        failures: list[Failure] = []
        sizes = write_plan(self.store, plan(failures))
        if not sizes.shards:
            more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
            raise ValueError(f"{failures[0].reason}{more}" if failures else "there is nothing to work on")
        write_failures_part(self.store, "inputs", failures)
        job = Job(self._told, self.table, *sizes, len(failures), self._inputs)
        self.store.write(JOB, json.dumps(job._asdict(), indent=1).encode())
        return job

    def _left_by_a_beginning(self) -> set[str]:
        """Name what a run leaves that was stopped while it began; without its driver, such are foreign."""
        is_ours = self.store.exists(DRIVER) and re.fullmatch(rb"[0-9a-f]{32}", self.store.read(DRIVER))
        return {LIST, DRIVER, PLAN, FAILURES} if is_ours else {LIST}

    @property
    def is_done(self) -> bool:
        """Whether no shard is left to do."""
        return len(self.ledger.done) == self.job.shards

    def work(self, workers: Workers, tell: Callable[[Progress], None]) -> list[Failure]:
        """Do the remaining shards; returns those that were given up."""
        lost: list[Failure] = []
        tell(self._progress(workers))
        for finished in workers.run(self._left()):
            entries = [_entry(done.task, done.result, done.machine) for done in finished]
            if entries:
                self._check_driver()
                self.ledger.add(entries)
            lost += [
                Failure(done.task.name, f"{done.task.name}: {done.result.reason}")
                for done in finished
                if isinstance(done.result, Lost)
            ]
            tell(self._progress(workers))
        return lost

    def _left(self) -> Iterator[Shard]:
        """Give the shards to do: first those never done, then those of absent sources."""
        again = frozenset(self.ledger.again)
        known = self.ledger.done | again
        yield from (each for each in read_plan(self.store, self.job.shards) if each.number not in known)
        if again:
            yield from (each for each in read_plan(self.store, self.job.shards) if each.number in again)

    def _check_driver(self) -> None:
        """Raise ValueError if another command goes on with the run, as it can where no lock keeps it out."""
        if self.store.read(DRIVER) != self._id:
            raise ValueError(f"another command has taken over {self.store.place} and goes on with the run")

    def failures(self) -> list[Failure]:
        """Give the first few sources that could not be used, and the place where all of them are named."""
        total = self.job.failures + self.ledger.failures
        named = read_failures(self.store, MOST_NAMED)
        if total > len(named):
            place = self.store.at(FAILURES)
            named.append(Failure(place, f"{place} names {total - len(named)} more that could not be used"))
        return named

    def _progress(self, workers: Workers) -> Progress:
        failures = self.job.failures + self.ledger.failures
        return Progress(self.ledger.sources, self.job.sources, failures, workers.n_workers)


def _entry(shard: Shard, result: Entry | Lost, machine: str) -> Entry:
    if isinstance(result, Lost):
        return Entry(shard.number, len(shard.sources), lost=result.reason)
    return result._replace(worker=machine)
