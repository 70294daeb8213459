from __future__ import annotations

import threading
import time

import pytest

from jaxclnf.batch.overlap import ahead, background, begun, in_groups


def test_results_come_in_order_and_a_few_ahead() -> None:
    begun = []

    def slow(i: int) -> int:
        begun.append(i)
        time.sleep(0.02 if i % 2 else 0.001)
        return i * i

    results = ahead(slow, range(20), workers=3, depth=4)
    assert next(results) == 0
    time.sleep(0.1)
    assert len(begun) == 4
    assert list(results) == [i * i for i in range(1, 20)]


def test_stages_overlap() -> None:
    """Two stages that each wait for the other to have begun its next item would otherwise hang."""
    both = threading.Barrier(2, timeout=10)

    def stage(i: int) -> int:
        both.wait()
        return i

    results = ahead(stage, range(2), workers=2, depth=2)
    assert list(results) == [0, 1]


def test_an_error_comes_where_its_result_would_have() -> None:
    results = ahead(lambda i: 1 // (2 - i), range(5))
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_what_came_before_a_failure_of_the_items_is_not_lost() -> None:
    def items():
        yield from range(3)
        raise OSError("no more")

    results = ahead(lambda i: i * i, items(), depth=4)
    assert [next(results) for _ in range(3)] == [0, 1, 4]
    with pytest.raises(OSError, match="no more"):
        next(results)


def test_groups_end_when_they_are_heavy_enough() -> None:
    assert list(in_groups([5, 1, 1, 9, 2], float, 6)) == [[5, 1], [1, 9], [2]]
    assert list(in_groups([], float, 6)) == []


def test_the_first_item_is_asked_for_at_once() -> None:
    asked = threading.Event()

    def items():
        asked.set()
        yield from range(3)

    begun_items = begun(items())
    assert asked.wait(10)
    assert list(begun_items) == [0, 1, 2]
    assert list(begun(iter(()))) == []


def test_what_goes_wrong_in_the_background_is_raised_where_it_is_asked_for() -> None:
    assert background(pow, 2, 3).result() == 8
    failing = begun(map(int, ["1", "no number"]))
    assert next(failing) == 1
    with pytest.raises(ValueError):
        next(failing)
    with pytest.raises(ZeroDivisionError):
        background(divmod, 1, 0).result()
