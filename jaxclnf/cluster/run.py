"""A run on a cluster: a plan, shards through workers, a ledger of what is done, and how it goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple, Protocol, runtime_checkable

from jaxclnf.cluster.ledger import LEDGER, Entry, Ledger
from jaxclnf.cluster.parts import FAILURES, read_failures, write_failures_part
from jaxclnf.cluster.places import Store
from jaxclnf.cluster.plan import PLAN, Shard, Sizes, read_plan, write_plan
from jaxclnf.cluster.pool import Done, Lost
from jaxclnf.media.inputs import Failure
from jaxclnf.output.files import remove_parts
from jaxclnf.output.folder import OutputFolder

JOB = "job.json"
"""What tells a folder of a run on a cluster: its settings and how large it is."""

MOST_NAMED = 20
"""Failures that are said at the end; all stand in their table."""


class Progress(NamedTuple):
    """How far a run is."""

    done: int  # sources
    total: int
    failures: int
    workers: int


@runtime_checkable
class Workers(Protocol):
    """Who does shards: a `Pool`, or whatever else a caller has."""

    @property
    def n_workers(self) -> int: ...

    def run(self, tasks: Iterable[Shard]) -> Iterator[list[Done]]: ...


class Run:
    """The folder of a run that is begun or goes on; no other run of this file system writes to it meanwhile.

    ``told`` is what tells its settings and model from others. Use as a context manager.
    """

    def __init__(self, store: Store, table: str, told: dict[str, Any]) -> None:
        self.store, self.table = store, table
        self._told = json.loads(json.dumps(told, default=str))
        self._held = ExitStack()

    def __enter__(self) -> Run:
        if self.store.folder is not None:
            self._held.enter_context(OutputFolder(self.store.folder))
            for name in (self.table, FAILURES, LEDGER):
                remove_parts(self.store.folder / name)
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def begin(self, plan: Callable[[list[Failure]], Iterable[Shard]], resume: bool) -> None:
        """Write the plan, or with ``resume`` go on by the one that is there.

        Raises ValueError for a folder that holds anything else, or a run with other settings or model.
        """
        said = self._said()
        if said is None:
            failures: list[Failure] = []
            sizes = write_plan(self.store, plan(failures))
            write_failures_part(self.store, "inputs", failures)
            said = {"told": self._told, "table": self.table, **sizes._asdict(), "failures": len(failures)}
            self.store.write(JOB, json.dumps(said, indent=1).encode())
        elif not resume:
            raise ValueError(
                f"{self.store.place} holds a run; go on with it by --resume, or choose another --out"
            )
        elif said["told"] != self._told:
            names = ", ".join(_differing(said["told"], self._told))
            raise ValueError(
                f"{self.store.place} was begun with other settings, another model or from another folder "
                f"({names}); repeat them, or choose another --out"
            )
        self.sizes = Sizes(said["shards"], said["sources"])
        self._input_failures = said["failures"]
        self.ledger = Ledger(self.store)

    def _said(self) -> dict[str, Any] | None:
        """What the folder says of its run; None where there is none."""
        names = set(self.store.names())
        if JOB in names:
            try:
                return json.loads(self.store.read(JOB))
            except ValueError:
                raise ValueError(f"{self.store.at(JOB)} is damaged; choose another --out") from None
        if strange := names - {PLAN, FAILURES}:  # which a run leaves that was stopped while it began
            raise ValueError(
                f"{self.store.place} holds {min(strange)}, which is of no run on a cluster; "
                "choose another --out"
            )
        return None

    def work(self, workers: Workers, tell: Callable[[Progress], None]) -> list[Failure]:
        """Do the shards that are left; returns those that were given up."""
        lost: list[Failure] = []
        left = (shard for shard in read_plan(self.store) if shard.number not in self.ledger.done)
        tell(self._progress(workers))
        for finished in workers.run(left):
            entries = [_entry(done.task, done.result, done.machine) for done in finished]
            if entries:
                self.ledger.add(entries)
            lost += [
                Failure(done.task.name, f"{done.task.name}: {done.result.reason}")
                for done in finished
                if isinstance(done.result, Lost)
            ]
            tell(self._progress(workers))
        return lost

    def failures(self) -> list[Failure]:
        """Sources that could not be used, the first few, and where all of them are named."""
        total = self._input_failures + self.ledger.failures
        named = read_failures(self.store, MOST_NAMED)
        if total > len(named):
            place = self.store.at(FAILURES)
            named.append(Failure(place, f"{place} names {total - len(named)} more that could not be used"))
        return named

    def _progress(self, workers: Workers) -> Progress:
        failures = self._input_failures + self.ledger.failures
        return Progress(self.ledger.sources, self.sizes.sources, failures, workers.n_workers)


def _entry(shard: Shard, result: Entry | Lost, machine: str) -> Entry:
    if isinstance(result, Lost):
        return Entry(shard.number, len(shard.sources), lost=result.reason)
    return result._replace(worker=machine)


def _differing(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
