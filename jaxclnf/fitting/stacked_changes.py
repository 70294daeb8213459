"""Changes of settings with a leading axis of settings, as `jaxclnf.fit_settings` takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxclnf.config import FitConfig, is_static


def check_changes(config: FitConfig, changes: Any) -> None:
    """Raise ValueError for changes of static settings, of unlike lengths, or to values that none can have.

    Each row is tried with `FitConfig.changed`, whose rules hold. Values that JAX traces are not known yet
    and pass.
    """
    if not isinstance(changes, Mapping) or not changes:
        raise ValueError(f"changes = {changes!r:.200}, expected arrays by the names of their settings")
    values = {name: _rows(name, value) for name, value in changes.items()}
    lengths = {name: len(rows) for name, rows in values.items()}
    if 0 in lengths.values() or len(set(lengths.values())) > 1:
        found = ", ".join(f"{n} of {name}" for name, n in lengths.items())
        raise ValueError(f"expected equally many values of each setting, at least one; got {found:.200}")
    known = {name: rows for name, rows in values.items() if not isinstance(rows, Tracer)}
    for row in zip(*known.values(), strict=True):
        config.changed(dict(zip(known, row, strict=True)))


def _rows(name: str, value: Any) -> Any:
    """Lay out a setting's values as an array: NumPy's, or JAX's if some are traced."""
    if is_static(name) and name.split(".")[-1] != "start_rotations":
        raise ValueError(
            f"{name} is compiled anew for each value: call fit_settings once for each, with config.changed"
        )
    traced = any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(value))
    try:
        rows = jnp.asarray(value) if traced else np.asarray(value)
    except (TypeError, ValueError):
        rows = np.zeros(())
    if not rows.ndim:
        raise ValueError(f"{name} = {value!r:.200}, expected an array or list with a row for each setting")
    return rows
