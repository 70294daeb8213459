"""Batches of canvases of one size, in the few batch sizes that get compiled."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from jaxclnf.batch.placed_faces import PlacedFace


class Limits(NamedTuple):
    """Batch sizes that get compiled, and the bytes of canvases one batch may hold, on each device."""

    sizes: tuple[int, ...]
    canvas_bytes: int


CPU_LIMITS = Limits((1, 8, 32), 1 << 26)
ACCELERATOR_LIMITS = Limits((1, 16, 256, 4096), 1 << 30)


def limits_of(devices: Sequence[Any]) -> Limits:
    """Give the limits of batches that these devices share."""
    each, n = CPU_LIMITS if devices[0].platform == "cpu" else ACCELERATOR_LIMITS, len(devices)
    return Limits(tuple(n * size for size in each.sizes), n * each.canvas_bytes)


def in_batches(faces: Iterable[PlacedFace], limits: Limits) -> Iterator[list[PlacedFace]]:
    """Group faces whose canvases have one size and dtype, as many as a batch holds or as are left."""
    waiting: dict[tuple, list[PlacedFace]] = defaultdict(list)
    for n_seen, face in enumerate(faces, start=1):
        alike = waiting[face.canvas.pixels.shape, face.canvas.pixels.dtype.str]
        alike.append(face)
        if len(alike) >= sizes_for(face, limits)[-1]:
            yield list(alike)
            alike.clear()
        if n_seen % (4 * limits.sizes[-1]) == 0:
            yield from _leftovers(waiting, limits)
    yield from _leftovers(waiting, limits)


def _leftovers(waiting: dict[tuple, list[PlacedFace]], limits: Limits) -> Iterator[list[PlacedFace]]:
    """Make batches of all faces that still wait, full or nearly so."""
    for alike in waiting.values():
        while alike:
            size = padded_size(len(alike), sizes_for(alike[0], limits))
            smaller = [s for s in sizes_for(alike[0], limits) if s <= len(alike)]
            n = len(alike) if 4 * len(alike) >= 3 * size or not smaller else smaller[-1]
            yield alike[:n]
            del alike[:n]


def sizes_for(face: PlacedFace, limits: Limits) -> list[int]:
    """List the sizes that batches of canvases like this face's may have."""
    least, *others = limits.sizes
    return [least, *(s for s in others if s * face.canvas.pixels.nbytes <= limits.canvas_bytes)]


def padded_size(n: int, sizes: Sequence[int]) -> int:
    """Choose the smallest batch size that holds ``n`` faces, or the largest."""
    return next((s for s in sizes if s >= n), sizes[-1])
