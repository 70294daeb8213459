"""The order of a table's rows, restored where some of them were made later than others."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from jaxclnf.whole_files import written_whole


def reorder(path: Path, parts: Iterable[tuple[int, int]]) -> None:
    """Order a file's parts, given by rank and first byte; those of one rank stay in their order.

    The file is copied part by part: only the ranks are held in memory.
    """
    ranked = sorted(parts, key=lambda part: part[1])
    ends = [start for _, start in ranked[1:]] + [path.stat().st_size]
    spans = [(rank, start, end) for (rank, start), end in zip(ranked, ends, strict=True)]
    with written_whole(path) as copy, copy.open("xb") as target, path.open("rb") as source:
        for _, start, end in sorted(spans):
            source.seek(start)
            target.write(source.read(end - start))
