"""Python's search for garbage, put off while a command starts: what imports make stays, and looking at it
again and again takes a fifth of their time.
"""

from __future__ import annotations

import gc

_RARELY = 50_000, 20, 100
_usually: list[tuple[int, int, int]] = []


def put_off() -> None:
    """Look for garbage rarely, until `as_usual`."""
    _usually.append(gc.get_threshold())
    gc.set_threshold(*_RARELY)


def as_usual() -> None:
    """Look as often as before, but no more at what is there now; frames of films lie in cycles."""
    if _usually:
        gc.freeze()
        gc.set_threshold(*_usually.pop())
