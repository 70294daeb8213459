"""The ledger of a run's finished shards, from which a broken run resumes: JSON lines in small files."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from jaxclnf.cluster.places import Store

LEDGER = "ledger"


class Entry(NamedTuple):
    """The outcome of one shard."""

    shard: int
    sources: int
    rows: int = 0
    failures: int = 0  # sources that could not be used
    absent: int = 0  # of these, those that were not to be had
    seconds: float = 0.0  # that it took, on one worker
    core_seconds: float = 0.0  # of work
    worker: str = ""  # the machine
    lost: str = ""  # why the shard was given up; a resumed run tries it again
    partly: Sequence[str] = ()  # sources that hold more than was used: pictures, or faces to follow


class Stopwatch:
    """Measures the time and work that a shard takes, from its making on."""

    def __init__(self) -> None:
        self._begun = time.perf_counter(), time.process_time()

    def note(self, entry: Entry) -> Entry:
        """Add to an entry the time that has passed and the processor time of this process."""
        time_begun, work_begun = self._begun
        seconds, work = time.perf_counter() - time_begun, time.process_time() - work_begun
        return entry._replace(seconds=round(seconds, 3), core_seconds=round(work, 3))


class Ledger:
    """The entries of a run so far: their sums, the numbers of the shards that are done, sources used partly.

    Each call of `add` makes one file, since object stores cannot append; opening the ledger joins them. A
    shard counts as done if its part is among ``parts``; entries that are damaged do not count. Shards of
    which sources were absent are not done either, but ``again`` to do, if some ``have_come`` since; the sums
    are without them.
    """

    def __init__(
        self, store: Store, parts: Container[int], have_come: Callable[[int], bool] = lambda shard: True
    ) -> None:
        self._store = store
        names = [name for name in store.names(LEDGER) if name.partition(".")[0].isdecimal()]
        entries = {entry.shard: entry for name in names for entry in _read(store, name)}
        written = {n for n, entry in entries.items() if not entry.lost and n in parts}
        self.again = {n for n in written if entries[n].absent and have_come(n)}
        self.done = written - self.again
        kept = [entries[n] for n in sorted(self.done)]
        self.sources, self.rows, self.failures = (
            sum(getattr(entry, field) for entry in kept) for field in ("sources", "rows", "failures")
        )
        self.partly = [source for entry in kept for source in entry.partly]
        self._next = 1 + max((int(name.partition(".")[0]) for name in names), default=0)
        if len(names) > 1:
            self._write([entries[n] for n in sorted(written)])
            for name in names:
                store.remove(f"{LEDGER}/{name}")

    def add(self, entries: Sequence[Entry]) -> None:
        """Record the outcomes of shards."""
        self._write(entries)
        for entry in entries:
            if not entry.lost:
                self.done.add(entry.shard)
                self.sources += entry.sources
                self.rows += entry.rows
                self.failures += entry.failures
                self.partly += entry.partly

    def _write(self, entries: Sequence[Entry]) -> None:
        lines = "".join(json.dumps(entry._asdict()) + "\n" for entry in entries)
        self._store.write(f"{LEDGER}/{self._next:010}.jsonl", lines.encode())
        self._next += 1


def _read(store: Store, name: str) -> Iterator[Entry]:
    for line in store.read(f"{LEDGER}/{name}").splitlines():
        with suppress(ValueError, TypeError, RecursionError):
            entry = Entry(**json.loads(line))
            if _are(int, entry[:5]) and _are(str, entry.partly):
                yield entry


def _are(kind: type, values: Iterable[Any]) -> bool:
    return all(type(value) is kind for value in values)
