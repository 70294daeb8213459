"""Overlapping stages of a run: while one item is fitted, the next are read and the last one is written."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

_BEHIND = 10  # of Linux's 19 steps of giving way

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int = 1,
    depth: int = 4,
    cost: Callable[[Item], float] = lambda _: 0.0,
    most: float = 0.0,
    gives_way: bool = False,
) -> Generator[Result, None, None]:
    """Map a function over items in threads, in order, at most ``depth`` items ahead of the caller.

    The items ahead ``cost`` at most ``most`` together, unless one alone costs more: costs in bytes bound
    memory. Threads that give way, and those they begin, work while the caller leaves a core alone.
    An exception of ``function`` is raised in place of its result; items not begun are dropped. One of the
    iteration itself is raised after the results of the items before it.
    """
    failed: list[Exception] = []
    waiting: deque[tuple[Future[Result], float]] = deque()
    total = 0.0
    with ThreadPoolExecutor(workers, initializer=_give_way if gives_way else None) as pool:
        try:
            for item in until_failure(items, failed):
                price = cost(item)
                while waiting and total + price > most:
                    total -= waiting[0][1]
                    yield waiting.popleft()[0].result()
                waiting.append((pool.submit(function, item), price))
                del item
                total += price
                if len(waiting) >= depth:
                    total -= waiting[0][1]
                    yield waiting.popleft()[0].result()
            while waiting:
                yield waiting.popleft()[0].result()
            if failed:
                raise failed[0]
        finally:
            for future, _ in waiting:
                future.cancel()


def until_failure(items: Iterable[Item], failed: list[Exception]) -> Iterator[Item]:
    """Give items to the end or to the exception of their iteration, which is put into ``failed``."""
    try:
        yield from items
    except Exception as error:
        failed.append(error)


def _give_way() -> None:
    """Put this thread behind others; on systems other than Linux that would be the whole process."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _BEHIND)


def begun(items: Iterator[Item]) -> Iterator[Item]:
    """Begin an iteration at once: a thread asks for the first item while the caller does other things."""
    end = object()
    first = background(next, items, end)

    def rest() -> Iterator[Item]:
        item = first.result()
        if item is not end:
            yield item  # pyright: ignore[reportReturnType]
            del item
            yield from items

    return rest()


def background(function: Callable[..., Result], *arguments: object) -> Future[Result]:
    """Call a function in a thread of its own; returns a future of its result."""
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(function, *arguments)
    finally:
        pool.shutdown(wait=False)


def in_groups(items: Iterable[Item], weight: Callable[[Item], float], most: float) -> Iterator[list[Item]]:
    """Group consecutive items whose weights add up to ``most``, or a little more."""
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
