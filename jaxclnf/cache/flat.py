"""Arguments as compiled programs tell them apart: structure, shapes, number types, where they are."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np
from jax.core import Tracer

from jaxclnf.by_identity import ByIdentity
from jaxclnf.pytrees import no_tracers


class Flat(NamedTuple):
    """What a program must know of an argument."""

    kind: ArgumentKind | None  # None: there is something else than arrays in this host's memory
    n_leaves: int


class ArgumentKind:
    """An argument's structure, and the shapes and number types of its leaves; equal ones are one object.

    A program's key is made of such objects, since comparing hundreds of shapes would take as long as a part
    of a fit.
    """

    __slots__ = ("_hash", "told")

    def __init__(self, told: tuple) -> None:
        self.told = told
        self._hash = hash(told)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, ArgumentKind) and self.told == other.told)

    def __repr__(self) -> str:
        return repr(self.told)


def flat(argument: Any) -> Flat:
    """Describe an argument; that of a frozen PyTree with ``flat_once`` is looked at once."""
    return _of_unchanging(argument) if getattr(argument, "flat_once", False) else _described(argument)


def _described(argument: Any) -> Flat:
    leaves, structure = jax.tree.flatten(argument)
    if not _all_here(leaves):
        return Flat(None, len(leaves))
    avals = tuple((a.shape, a.dtype, getattr(a, "weak_type", False)) for a in leaves)
    return Flat(ArgumentKind((structure, avals)), len(leaves))


_of_unchanging = ByIdentity(_described, no_tracers)


def _all_here(leaves: list) -> bool:
    """Whether all leaves are arrays in this host's memory."""
    here = {first_device()}

    def is_here(leaf: Any) -> bool:
        if isinstance(leaf, (np.ndarray, np.generic)):  # quicker than of A | B
            return True
        is_array = isinstance(leaf, jax.Array) and not isinstance(leaf, Tracer)
        return is_array and leaf.sharding.device_set == here

    return all(map(is_here, leaves))


def first_device() -> Any:
    """Return the device for which programs are kept."""
    return jax.local_devices()[0]
