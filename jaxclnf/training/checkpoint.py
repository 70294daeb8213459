"""The state of a training run on disk, from which a stopped run goes on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxclnf.models.memory_budget import Budget
from jaxclnf.models.npz import read_checked, write_arrays

EVERY = 30.0  # seconds between two writings


def checkpoint_of(out: Path, what: str = "") -> Path:
    """Name the checkpoint of what is learned for the model in the file ``out``, which it lies beside."""
    return out.with_suffix(f".{what}.checkpoint.npz" if what else ".checkpoint.npz")


class Checkpoint:
    """The file of one run: the learned values, the progress, and the optimiser's state.

    ``run`` identifies the run (settings and data): a file of another run is refused. Stages are
    numbered over all rounds.
    """

    def __init__(self, path: Path | None, run: str) -> None:
        self.path, self.run = path, run
        self._written = 0.0
        self._state: list[np.ndarray] | None = None
        self._number, self._step = 0, 0

    def begin(self, neurons: list) -> list:
        """Read the neurons of the file, or begin with those given if there is no file yet.

        Raises ValueError if the file is damaged or of another run.
        """
        file = self._read()
        if file is None:
            return neurons
        leaves, tree = jax.tree.flatten(neurons)
        loaded = [jnp.asarray(file[f"neurons_{k}"]) for k in range(len(leaves))]
        n_state = sum(name.startswith("state_") for name in file)
        self._state = [file[f"state_{k}"] for k in range(n_state)]
        self._number, self._step = int(file["number"]), int(file["step"])
        return jax.tree.unflatten(tree, loaded)

    def check(self) -> None:
        """Raise ValueError if there is a file that is damaged or of another run."""
        self._read()

    def _read(self) -> dict[str, np.ndarray] | None:
        if self.path is None or not self.path.exists():
            return None
        try:
            file = read_checked(self.path, Budget())
        except (ValueError, OSError) as error:
            raise ValueError(
                f"{self.path}: not a whole checkpoint ({error}); delete it to begin anew"
            ) from None
        if str(file.get("run")) != self.run:
            raise ValueError(
                f"{self.path} belongs to a run with other settings or faces; "
                "delete it or name another model to write."
            )
        return file

    def unfinished(self, number: int) -> bool:
        """Tell whether a stage still has to be learned."""
        return number >= self._number

    def resume(self, number: int, neurons: Any, state: Any) -> tuple[Any, Any, int]:
        """Read a stage's neurons, optimiser state and number of steps done."""
        if number != self._number or not self._state:
            return neurons, state, 0
        tree = jax.tree.structure(state)
        state = jax.tree.unflatten(tree, [jnp.asarray(leaf) for leaf in self._state])
        return neurons, state, self._step

    def save(self, number: int, step: int, neurons: list, state: Any, finished: bool) -> None:
        """Write the state after a step, if a stage is finished or the last writing is not recent."""
        if self.path is None or not (finished or time.monotonic() - self._written > EVERY):
            return
        arrays: dict[str, Any] = {
            f"neurons_{k}": np.asarray(a) for k, a in enumerate(jax.tree.leaves(neurons))
        }
        if finished:
            number, step = number + 1, 0
        else:
            arrays |= {f"state_{k}": np.asarray(a) for k, a in enumerate(jax.tree.leaves(state))}
        arrays |= {"run": np.array(self.run), "number": np.array(number), "step": np.array(step)}
        write_arrays(self.path, arrays, compress=False)
        self._written = time.monotonic()
