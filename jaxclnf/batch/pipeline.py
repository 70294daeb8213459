"""Overlapping stages of a run: while one item is fitted, the next are read and the last one is written."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int = 1,
    depth: int = 4,
    cost: Callable[[Item], float] = lambda _: 0.0,
    most: float = 0.0,
) -> Generator[Result, None, None]:
    """Map a function over items in threads, in order, at most ``depth`` items ahead of the caller.

    The items ahead ``cost`` at most ``most`` together, unless one alone costs more: costs in bytes bound
    memory. An exception of ``function`` is raised in place of its result; items not begun are dropped.
    """
    waiting: deque[tuple[Future[Result], float]] = deque()
    total = 0.0
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
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
        finally:
            for future, _ in waiting:
                future.cancel()


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
