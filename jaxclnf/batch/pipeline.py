"""Stages of a run that overlap: while one item is fitted, the next are read and the last one is written."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int = 1, depth: int = 4
) -> Iterator[Result]:
    """``map(function, items)`` in threads, in order, at most ``depth`` items ahead of the caller.

    An exception of ``function`` is raised where its result would have come; items not begun are dropped.
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= depth:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def in_groups(items: Iterable[Item], weight: Callable[[Item], float], most: float) -> Iterator[list[Item]]:
    """Items in a row whose weights add up to ``most``, or a little more."""
    group: list[Item] = []
    total = 0.0
    for item in items:
        group.append(item)
        total += weight(item)
        if total >= most:
            yield group
            group, total = [], 0.0
    if group:
        yield group
