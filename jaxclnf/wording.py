"""Numbers and names of things in sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence


def some(names: Sequence[object]) -> str:
    """List the first names."""
    return ", ".join(str(name) for name in names[:5]) + (", ..." if len(names) > 5 else "")


def counted(n: int, what: str, several: str = "") -> str:
    """Count things in words: ``1 photo``, ``2,000 photos``, ``2 boxes``."""
    return f"{n:,} {what if n == 1 else several or f'{what}s'}"


def percent(probability: float) -> str:
    """Write a probability; at most 99%, since 100% by rounding would promise too much. NaN is a ?."""
    return f"{min(probability, 0.99):.0%}" if math.isfinite(probability) else "?"
