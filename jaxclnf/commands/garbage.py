"""Python's garbage collection, put off while a command starts: imported objects stay, and collecting them
again and again takes a fifth of the time of imports.
"""

from __future__ import annotations

import gc

_RARELY = 50_000, 20, 100
_usually: list[tuple[int, int, int]] = []


def put_off() -> None:
    """Collect garbage rarely, until `as_usual`."""
    _usually.append(gc.get_threshold())
    gc.set_threshold(*_RARELY)


def as_usual() -> None:
    """Collect as often as before, but never the objects that exist now; frames of films lie in cycles."""
    if _usually:
        gc.freeze()
        gc.set_threshold(*_usually.pop())
