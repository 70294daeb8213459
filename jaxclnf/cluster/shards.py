"""The plan of a run: its sources in shards, written before the work begins."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from jaxclnf.cluster.places import Store, Unreachable

PLAN = "plan.jsonl"

Boxes = dict[str, list[list[float]] | str]
"""Boxes of sources' faces, or why those of a source cannot be used."""


class Shard(NamedTuple):
    """Sources that one worker does together; a shard that is done twice gives the same results."""

    number: int
    sources: tuple[str, ...]
    boxes: Boxes | None = None  # of these sources' faces, if the run has a table of boxes
    stems: tuple[str, ...] = ()  # names of each source's files, if pictures or the like are written

    @property
    def name(self) -> str:
        """Name of the shard in messages."""
        n, first = len(self.sources), self.sources[0]
        return first if n == 1 else f"shard {self.number} ({n} files from {first} on)"


class Sizes(NamedTuple):
    """The size of a plan."""

    shards: int
    sources: int


def in_shards(sources: Iterable[str], size: int) -> Iterator[Shard]:
    """Divide sources into shards of ``size``, in order."""
    remaining, number = iter(sources), 0
    while some := tuple(islice(remaining, size)):
        yield Shard(number, some)
        number += 1


def write_plan(store: Store, shards: Iterable[Shard]) -> Sizes:
    """Write a plan, one line for each shard; shards are taken one at a time."""
    n_shards = n_sources = 0

    def lines() -> Iterator[bytes]:
        nonlocal n_shards, n_sources
        for shard in shards:
            n_shards, n_sources = n_shards + 1, n_sources + len(shard.sources)
            yield json.dumps([shard.sources, shard.boxes, shard.stems]).encode() + b"\n"

    store.write_lines(PLAN, lines())
    return Sizes(n_shards, n_sources)


def read_plan(store: Store, n_shards: int) -> Iterator[Shard]:
    """Read the shards of a plan, one at a time; raises ValueError for a plan that is damaged."""
    number = -1
    try:
        for number, line in enumerate(store.lines(PLAN) if store.exists(PLAN) else ()):
            sources, boxes, stems = json.loads(line)
            yield Shard(number, tuple(sources), boxes, tuple(stems))
    except Unreachable:  # which does not tell that the plan is damaged
        raise
    except (ValueError, TypeError, RecursionError):
        number = -1
    if number + 1 != n_shards:
        raise ValueError(f"{store.at(PLAN)} is damaged or missing; start again into another --out")
